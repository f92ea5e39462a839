"""AzureNetwork: a network with a subnet for private endpoints, and the private DNS zones that give caches' names their addresses."""

import ipaddress
from typing import NotRequired, TypedDict

import pulumi
from pulumi_azure_native import network, privatedns

from pulumi_caches.arguments import Arguments
from pulumi_caches.azure.placement import NAME_MAXIMUM, read_region, resource_group
from pulumi_caches.azure.private_access import CACHE_FOR_REDIS, MANAGED_REDIS, Service

# Azure keeps five addresses of each subnet.
_SMALLEST_SUBNET = 29


class AzureNetworkArgs(TypedDict):
    """Arguments of AzureNetwork. Only `region` is required."""

    region: str
    """Azure's name of the region, such as westeurope."""
    azure_resource_group_name: NotRequired[pulumi.Input[str]]
    """Existing resource group. Default: one is made, named after the component."""
    address_range: NotRequired[str]
    """Private IPv4 range of the network. Default: 10.60.0.0/16."""
    subnet_range: NotRequired[str]
    """Range of the subnet, within address_range. Default: its first 256 addresses, or all where it has fewer."""


class AzureNetwork(pulumi.ComponentResource):
    """
    A virtual network with one subnet for the private endpoints of caches, without any way in from outside.

    Creates, named after the component: the network, its subnet, and for each of Azure's two Redis services a private DNS zone,
    linked to the network.
    """

    resource_group_name: pulumi.Output[str]
    """Resource group that it is in."""
    network_id: pulumi.Output[str]
    """Resource id of the network."""
    subnet_id: pulumi.Output[str]
    """What caches take as azure_subnet_id."""
    managed_redis_zone_id: pulumi.Output[str]
    """What AzureManagedRedis takes as azure_private_dns_zone_id."""
    cache_for_redis_zone_id: pulumi.Output[str]
    """What AzureCacheForRedis takes as azure_private_dns_zone_id."""

    def __init__(self, name: str, args: AzureNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        arguments = Arguments("AzureNetwork", name, NAME_MAXIMUM, args, AzureNetworkArgs)
        region = read_region(arguments)
        space = _read_range(arguments, "address_range", "10.60.0.0/16")
        first = f"{space.network_address}/{max(space.prefixlen, 24)}"
        subnet_range = _read_range(arguments, "subnet_range", first)
        if not subnet_range.subnet_of(space):
            arguments.refuse("subnet_range", f"is not within the network's {space}")
        group_name = arguments.value("azure_resource_group_name", None)
        arguments.finish()

        super().__init__("caches:index:AzureNetwork", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        group_name = resource_group(name, group_name, region, child)
        virtual = network.VirtualNetwork(
            name,
            virtual_network_name=name,
            resource_group_name=group_name,
            location=region,
            address_space={"address_prefixes": [str(space)]},
            opts=child,
        )
        subnet = network.Subnet(
            name,
            subnet_name=name,
            resource_group_name=group_name,
            virtual_network_name=virtual.name,
            address_prefix=str(subnet_range),
            # Endpoints need no way out, and are to obey the network's rules.
            default_outbound_access=False,
            private_endpoint_network_policies="Enabled",
            opts=child,
        )

        def zone_of(service: Service, suffix: str) -> pulumi.Output[str]:
            zone = privatedns.PrivateZone(
                f"{name}{suffix}", private_zone_name=service.zone, resource_group_name=group_name, location="global", opts=child
            )
            privatedns.VirtualNetworkLink(
                f"{name}{suffix}",
                virtual_network_link_name=name,
                private_zone_name=zone.name,
                resource_group_name=group_name,
                location="global",
                registration_enabled=False,
                virtual_network={"id": virtual.id},
                opts=child,
            )
            return zone.id

        self.resource_group_name = pulumi.Output.from_input(group_name)
        self.network_id = virtual.id
        self.subnet_id = subnet.id
        self.managed_redis_zone_id = zone_of(MANAGED_REDIS, "-managed-redis")
        self.cache_for_redis_zone_id = zone_of(CACHE_FOR_REDIS, "-cache-for-redis")
        self.register_outputs(
            {
                "resourceGroupName": self.resource_group_name,
                "networkId": self.network_id,
                "subnetId": self.subnet_id,
                "managedRedisZoneId": self.managed_redis_zone_id,
                "cacheForRedisZoneId": self.cache_for_redis_zone_id,
            }
        )


def _read_range(arguments: Arguments, key: str, default: str) -> ipaddress.IPv4Network:
    given = arguments.value(key, default)
    try:
        found = ipaddress.IPv4Network(given)
    except (ValueError, TypeError):
        arguments.refuse(key, "must be an IPv4 range such as 10.60.0.0/16, whose address is the first of the range")
        return ipaddress.IPv4Network(default)
    if not found.is_private:
        arguments.refuse(key, "must be a private range, of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16")
    if found.prefixlen > _SMALLEST_SUBNET:
        arguments.refuse(key, f"has {found.num_addresses} addresses, of which Azure keeps 5: give at least /{_SMALLEST_SUBNET}")
    return found
