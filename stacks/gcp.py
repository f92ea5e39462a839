"""Caches of Google Cloud's Memorystore."""

from typing import Any, TypedDict, cast

import pulumi
from pulumi_caches.gcp import GcpNetwork, GcpNetworkArgs, Memorystore, MemorystoreArgs

from stacks import settings


class Gcp(TypedDict, total=False):
    """Configuration of the topology."""

    network: dict[str, Any]
    """One GcpNetwork: its arguments, by its name. Default: none, each cache names its gcp_network."""
    memorystore: dict[str, Any]
    """Memorystores: their arguments by name."""


def deploy() -> None:
    """Makes the network if one is asked for and every cache in it; exports `connections` by cache (secret) and what they cost."""
    config = settings.read(Gcp)
    networks = config.get("network", {})
    if len(networks) > 1:
        raise pulumi.RunError(f"caches:network has {', '.join(networks)}: a stack makes one; others are named by gcp_network")
    made = [GcpNetwork(name, cast("GcpNetworkArgs", args or {})) for name, args in networks.items()]
    within: dict[str, Any] = {"gcp_network": made[0].network_id} if made else {}
    caches = {
        name: Memorystore(name, cast("MemorystoreArgs", {**within, **(args or {})})) for name, args in config.get("memorystore", {}).items()
    }
    pulumi.export("connections", {name: cache.connection for name, cache in caches.items()})
    pulumi.export("monthly_costs", {name: cache.monthly_cost for name, cache in caches.items()})
