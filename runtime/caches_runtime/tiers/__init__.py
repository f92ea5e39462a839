"""A cache in the process, in front of one that it shares with others."""

from caches_runtime.tiers.link import AgeLimit, InvalidationLink
from caches_runtime.tiers.memory import Memory
from caches_runtime.tiers.tiered_cache import TieredCache

__all__ = ["AgeLimit", "InvalidationLink", "Memory", "TieredCache"]
