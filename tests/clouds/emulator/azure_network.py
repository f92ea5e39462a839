"""Azure's resources around a cache: groups, networks and private DNS. Names of properties are those of Pulumi's SDK, for which Microsoft's
packages with their models are not there."""

from __future__ import annotations

import inspect
import ipaddress
from collections.abc import Callable
from typing import Any

from clouds.emulator.cloud import Cloud, Kind, Problems, Resource
from pulumi_azure_native import network, privatedns, resources

SUBSCRIPTION = "00000000-0000-4000-8000-000000000000"


def _subscription(cloud: Cloud) -> str:
    return f"/subscriptions/{cloud.config.get('subscriptionId') or SUBSCRIPTION}"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _in(address: str) -> str:
    return f"resourceGroups/{{resourceGroupName}}/providers/{address}"


def _kind(
    arguments: type,
    address: str,
    name_key: str,
    rules: Callable[[dict[str, Any]], Problems] = lambda _: iter(()),
    conflicts: Callable[[Cloud, dict[str, Any]], Problems] = lambda *_: iter(()),
) -> Kind:
    parameters = inspect.signature(arguments).parameters
    parts = [part[1:-1] for part in address.split("/") if part.startswith("{")]
    known = {_camel(name) for name in parameters} - {"__self__"}
    needed = {_camel(name) for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty} - {"__self__"}

    def resource_id(cloud: Cloud, inputs: dict[str, Any]) -> str:
        names = {part: inputs[part] for part in parts}
        return f"{_subscription(cloud)}/{address.format(**names)}"

    def problems(inputs: dict[str, Any]) -> Problems:
        yield from ((key, "there is no such property") for key in inputs if key not in known)
        yield from ((key, "is required") for key in {*needed, name_key} if key not in inputs)
        yield from rules(inputs)

    def in_group(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
        if name_key != "resourceGroupName" and cloud.read(f"{_subscription(cloud)}/resourceGroups/{inputs['resourceGroupName']}") is None:
            yield "resourceGroupName", f"resource group {inputs['resourceGroupName']!r} could not be found"
        yield from conflicts(cloud, inputs)

    def note(cloud: Cloud, resource: Resource) -> None:
        resource.outputs |= {key: value for key, value in resource.inputs.items() if key not in parts}
        resource.outputs |= {"name": resource.inputs[name_key], "provisioningState": "Succeeded"}

    return Kind(resource_id, frozenset({*parts, "location"}), problems, in_group, make=note)


def _range(key: str, text: Any) -> Problems:
    if text is None:
        return
    try:
        ipaddress.IPv4Network(text)
    except ValueError as problem:
        yield key, f"InvalidCIDRNotation: {problem}"


def _network_rules(inputs: dict[str, Any]) -> Problems:
    for prefix in (inputs.get("addressSpace") or {}).get("addressPrefixes") or []:
        yield from _range("addressSpace", prefix)


def _subnet_conflicts(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
    group = f"{_subscription(cloud)}/resourceGroups/{inputs['resourceGroupName']}"
    around = cloud.read(f"{group}/providers/Microsoft.Network/virtualNetworks/{inputs['virtualNetworkName']}")
    if around is None:
        yield "virtualNetworkName", f"{inputs['virtualNetworkName']!r} was not found"
        return
    spaces = [ipaddress.IPv4Network(each) for each in around.inputs["addressSpace"]["addressPrefixes"]]
    if not any(ipaddress.IPv4Network(inputs["addressPrefix"]).subnet_of(space) for space in spaces):
        yield "addressPrefix", f"NetcfgInvalidSubnet: {inputs['addressPrefix']} is not within the network"


def _there(cloud: Cloud, key: str, resource_id: str) -> Problems:
    if cloud.read(resource_id) is None:
        yield key, f"{resource_id} was not found"


# What an endpoint can be for, by what is in the id.
_GROUP_IDS = {"/redisenterprise/": "redisEnterprise", "/redis/": "redisCache"}


def _endpoint_conflicts(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
    yield from _there(cloud, "subnet", inputs["subnet"]["id"])
    for link in inputs.get("privateLinkServiceConnections") or []:
        served = link["privateLinkServiceId"]
        yield from _there(cloud, "privateLinkServiceConnections", served)
        wanted = [group for part, group in _GROUP_IDS.items() if part in served.lower()]
        if link.get("groupIds") != wanted:
            yield "privateLinkServiceConnections", f"groupIds {link.get('groupIds')} must be {wanted} for {served}"


def _zone_rules(inputs: dict[str, Any]) -> Problems:
    if inputs.get("location") not in (None, "global"):
        yield "location", "a private DNS zone is global"


KINDS = {
    "azure-native:resources:ResourceGroup": _kind(resources.ResourceGroupArgs, "resourceGroups/{resourceGroupName}", "resourceGroupName"),
    "azure-native:network:VirtualNetwork": _kind(
        network.VirtualNetworkInitArgs, _in("Microsoft.Network/virtualNetworks/{virtualNetworkName}"), "virtualNetworkName", _network_rules
    ),
    "azure-native:network:Subnet": _kind(
        network.SubnetInitArgs,
        _in("Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}"),
        "subnetName",
        lambda inputs: _range("addressPrefix", inputs.get("addressPrefix")),
        _subnet_conflicts,
    ),
    "azure-native:network:PrivateEndpoint": _kind(
        network.PrivateEndpointArgs,
        _in("Microsoft.Network/privateEndpoints/{privateEndpointName}"),
        "privateEndpointName",
        conflicts=_endpoint_conflicts,
    ),
    "azure-native:network:PrivateDnsZoneGroup": _kind(
        network.PrivateDnsZoneGroupArgs,
        _in("Microsoft.Network/privateEndpoints/{privateEndpointName}/privateDnsZoneGroups/{privateDnsZoneGroupName}"),
        "privateDnsZoneGroupName",
        conflicts=lambda cloud, inputs: (
            problem
            for zone in inputs.get("privateDnsZoneConfigs") or []
            for problem in _there(cloud, "privateDnsZoneConfigs", zone["privateDnsZoneId"])
        ),
    ),
    "azure-native:privatedns:PrivateZone": _kind(
        privatedns.PrivateZoneArgs, _in("Microsoft.Network/privateDnsZones/{privateZoneName}"), "privateZoneName", _zone_rules
    ),
    "azure-native:privatedns:VirtualNetworkLink": _kind(
        privatedns.VirtualNetworkLinkArgs,
        _in("Microsoft.Network/privateDnsZones/{privateZoneName}/virtualNetworkLinks/{virtualNetworkLinkName}"),
        "virtualNetworkLinkName",
        _zone_rules,
        lambda cloud, inputs: _there(cloud, "virtualNetwork", inputs["virtualNetwork"]["id"]),
    ),
}
