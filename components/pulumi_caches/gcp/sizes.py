"""Sizes of Memorystore, and the smallest that holds what is asked for: what the service keeps for itself is taken off."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class NodeType:
    """A kind of node, of Memorystore for Valkey and for Redis Cluster."""

    name: str
    """As Valkey's API has it; Redis Cluster puts REDIS_ before it."""
    writable_gb: float
    """GB for data."""
    valkey_only: bool = False
    """Whether Redis Cluster lacks it, and cluster mode."""
    chosen: bool = True
    """Whether it may be chosen for its memory: others have no SLA, or are for processing."""

    @property
    def memory_gib(self) -> float:
        """GiB for data."""
        return self.writable_gb / _GB_PER_GIB


_GB_PER_GIB = 1.073741824
# Memorystore for Valkey, "Instance and node specification", as it was on 2026-11-28; Redis Cluster's page has the same for its types.
NODE_TYPES = {
    each.name: each
    for each in (
        NodeType("SHARED_CORE_NANO", 1.12, chosen=False),
        NodeType("CUSTOM_PICO", 1.08, valkey_only=True),
        NodeType("CUSTOM_MICRO", 2, valkey_only=True),
        NodeType("CUSTOM_MINI", 3, valkey_only=True),
        NodeType("STANDARD_SMALL", 5.2),
        NodeType("HIGHMEM_MEDIUM", 10.4),
        NodeType("HIGHCPU_MEDIUM", 10.4, chosen=False),
        NodeType("STANDARD_LARGE", 20.8),
        NodeType("HIGHMEM_XLARGE", 46.4),
        NodeType("HIGHMEM_2XLARGE", 88),
    )
}
LARGEST = max(NODE_TYPES.values(), key=lambda each: each.writable_gb)
# What Google advises to leave free of a Redis instance, for exports and failovers.
_REDIS_RESERVED = 0.2
# Memcached keeps a tenth for connections and buffers: Google's default of max-reserved-memory.
_MEMCACHED_RESERVED = 0.1


def node_type_for(memory_gib: float, *, valkey_only: bool) -> NodeType | None:
    """The smallest with that much for data; None when there is none. `valkey_only`: whether those will do."""
    fitting = [
        each for each in NODE_TYPES.values() if each.chosen and each.memory_gib >= memory_gib and (valkey_only or not each.valkey_only)
    ]
    return min(fitting, key=lambda each: each.writable_gb, default=None)


def redis_size_gib(memory_gib: float) -> int:
    """Size of a Redis instance that leaves that much for data."""
    return math.ceil(round(memory_gib / (1 - _REDIS_RESERVED), 6))


def memcached_size_gib(memory_gib: float) -> int:
    """Size of a Memcached node that leaves that much for data."""
    return math.ceil(round(memory_gib / (1 - _MEMCACHED_RESERVED), 6))
