"""Caches in Azure."""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any, TypedDict, cast

import pulumi
import pulumi_azure_native as azure_native
from pulumi_caches.azure import AzureCacheForRedis, AzureManagedRedis, AzureNetwork, AzureNetworkArgs

from stacks import settings

# Of the Azure command line and every other tool.
SUBSCRIPTION_VARIABLE = "ARM_SUBSCRIPTION_ID"


class Azure(TypedDict, total=False):
    """Configuration of the topology; of each component, the arguments by name."""

    azure_subscription: str
    """Id of the subscription to deploy to. Default: that of ARM_SUBSCRIPTION_ID."""
    region: str
    """Region of whatever names none."""
    network: dict[str, Any]
    """One AzureNetwork, whose subnet and zones caches get that name none. Default: none."""
    managed_redis: dict[str, Any]
    """AzureManagedRedis caches."""
    cache_for_redis: dict[str, Any]
    """AzureCacheForRedis caches."""


COMPONENTS: dict[str, Callable[..., Any]] = {"managed_redis": AzureManagedRedis, "cache_for_redis": AzureCacheForRedis}


def deploy() -> None:
    """Makes the network and every cache; exports `connections` (secret) and `monthly_costs` by cache."""
    config = settings.read(Azure)
    caches = [(cache, key, args or {}) for key in COMPONENTS for cache, args in config.get(key, {}).items()]
    if twice := [cache for cache, count in Counter(cache for cache, _, _ in caches).items() if count > 1]:
        raise pulumi.RunError(f"{', '.join(twice)}: in more than one of {', '.join(COMPONENTS)}; each cache needs a name of its own")
    networks = config.get("network", {})
    if len(networks) > 1:
        raise pulumi.RunError(f"caches:network has {', '.join(networks)}: there can be one; give other caches their azure_subnet_id")
    opts = pulumi.ResourceOptions(provider=_provider(config.get("azure_subscription")))
    region = {"region": config["region"]} if "region" in config else {}
    made_networks = [AzureNetwork(name, cast(AzureNetworkArgs, {**region, **(args or {})}), opts) for name, args in networks.items()]
    made = {}
    previous: dict[str, list[pulumi.Resource]] = {}
    for cache, key, args in caches:
        near = _inside(made_networks[0], key) if made_networks and not {"azure_subnet_id", "azure_public_access"} & args.keys() else {}
        # Members of a group come one after the other.
        before = previous.setdefault(str(args.get("azure_geo_group") or cache), [])
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(before)))
        made[cache] = COMPONENTS[key](cache, {**region, **near, **args}, after)
        before.append(made[cache])
    pulumi.export("connections", {cache: component.connection for cache, component in made.items()})
    pulumi.export("monthly_costs", {cache: component.monthly_cost for cache, component in made.items()})


def _provider(subscription: str | None) -> azure_native.Provider:
    """For the subscription that was named, and not for the one that somebody happens to be logged in to."""
    subscription = subscription or os.environ.get(SUBSCRIPTION_VARIABLE)
    if not subscription:
        raise pulumi.RunError(
            f"no subscription was named: set caches:azure_subscription in the stack's configuration or {SUBSCRIPTION_VARIABLE}; "
            "without one, see docs/azure.md for an emulated cloud"
        )
    return azure_native.Provider("azure", subscription_id=subscription)


def _inside(network: AzureNetwork, key: str) -> dict[str, pulumi.Output[str]]:
    """The arguments of a cache whose endpoint is in the network; it is in its resource group too."""
    zone_id = network.managed_redis_zone_id if key == "managed_redis" else network.cache_for_redis_zone_id
    return {
        "azure_subnet_id": network.subnet_id,
        "azure_private_dns_zone_id": zone_id,
        "azure_resource_group_name": network.resource_group_name,
    }
