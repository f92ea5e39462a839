"""What AzureNetwork asks Azure for, and what it refuses."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi_caches.azure import AzureNetwork, AzureNetworkArgs
from unit import mocks
from unit.refusal import refused


def made(**args: Any) -> mocks.Registered:
    given = cast(AzureNetworkArgs, {"region": "westeurope", **args})
    return mocks.run(lambda: AzureNetwork("shop", given) and None)


def test_makes_a_network_without_a_way_in_and_zones_for_both_services() -> None:
    registered = made()
    assert registered.only("VirtualNetwork")["addressSpace"] == {"addressPrefixes": ["10.60.0.0/16"]}
    subnet = registered.only("Subnet")
    assert (subnet["addressPrefix"], subnet["defaultOutboundAccess"]) == ("10.60.0.0/24", False)
    zones = {zone["privateZoneName"] for zone in registered.named("PrivateZone").values()}
    assert zones == {"privatelink.redis.azure.net", "privatelink.redis.cache.windows.net"}
    links = registered.named("VirtualNetworkLink").values()
    assert {link["privateZoneName"] for link in links} == {"shop-managed-redis", "shop-cache-for-redis"}
    assert {link["registrationEnabled"] for link in links} == {False}
    assert registered.only("ResourceGroup")["resourceGroupName"] == "shop"


def test_a_small_network_is_one_subnet() -> None:
    assert made(address_range="192.168.4.0/26").only("Subnet")["addressPrefix"] == "192.168.4.0/26"


def test_a_given_resource_group_is_used() -> None:
    registered = made(azure_resource_group_name="theirs")
    assert registered.named("ResourceGroup") == {}
    assert registered.only("VirtualNetwork")["resourceGroupName"] == "theirs"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"region": "nowhere!"}, "region = 'nowhere!': must be Azure's name of a region"),
        ({"address_range": "10.60.0.1/16"}, "address_range = '10.60.0.1/16': must be an IPv4 range such as 10.60.0.0/16"),
        ({"address_range": "8.8.0.0/16"}, "address_range = '8.8.0.0/16': must be a private range"),
        ({"address_range": "10.60.0.0/30"}, "has 4 addresses, of which Azure keeps 5: give at least /29"),
        ({"subnet_range": "10.61.0.0/24"}, "subnet_range = '10.61.0.0/24': is not within the network's 10.60.0.0/16"),
        ({"subnets": 2}, "subnets: there is no such argument"),
    ],
)
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(AzureNetwork, {"region": "westeurope", **args})
