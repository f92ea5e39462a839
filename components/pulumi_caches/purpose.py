"""What a cache is for, and what follows from it: what is removed when memory is full, and what a crash may cost."""

from dataclasses import dataclass
from enum import StrEnum

from pulumi_caches.arguments import Arguments


class Purpose(StrEnum):
    """What a cache is for."""

    CACHE = "cache"
    """Copies of what can be computed again."""
    SESSION = "session"
    """What expires by itself and is missed before: log-ins, carts."""
    QUEUE = "queue"
    """What must stay until it is taken: jobs, locks, counters."""


class Persistence(StrEnum):
    """What is written to disk."""

    NONE = "none"
    """Nothing: a restarted pod starts empty."""
    RDB = "rdb"
    """Snapshots at the save points: a crash loses what came after the last."""
    AOF = "aof"
    """An append-only file: a crash loses at most a second (with aof_fsync everysec)."""
    AOF_AND_RDB = "aof+rdb"
    """Both: the append-only file is loaded, the snapshots are for backups."""


class EvictionPolicy(StrEnum):
    """What the server removes when maxmemory is reached."""

    NOEVICTION = "noeviction"
    ALLKEYS_LRU = "allkeys-lru"
    ALLKEYS_LFU = "allkeys-lfu"
    ALLKEYS_RANDOM = "allkeys-random"
    VOLATILE_LRU = "volatile-lru"
    VOLATILE_LFU = "volatile-lfu"
    VOLATILE_RANDOM = "volatile-random"
    VOLATILE_TTL = "volatile-ttl"


@dataclass(frozen=True)
class Implied:
    """What is chosen where no argument says otherwise."""

    maxmemory_policy: EvictionPolicy
    persistence: Persistence


_NOTHING_LOST = Implied(EvictionPolicy.NOEVICTION, Persistence.AOF)
# Why each: docs/decisions/027-purpose.md.
_IMPLIED = {
    Purpose.CACHE: Implied(EvictionPolicy.ALLKEYS_LRU, Persistence.RDB),
    Purpose.SESSION: Implied(EvictionPolicy.VOLATILE_LRU, Persistence.AOF),
    Purpose.QUEUE: _NOTHING_LOST,
}


def read_purpose(arguments: Arguments) -> tuple[Purpose | None, EvictionPolicy, Persistence]:
    """Reads `purpose`, and what follows from it unless it is given; refuses what would lose what a queue holds."""
    purpose = arguments.choice("purpose", Purpose.CACHE) if arguments.given("purpose") else None
    implied = _IMPLIED[purpose] if purpose else _NOTHING_LOST
    policy = arguments.choice("maxmemory_policy", implied.maxmemory_policy)
    persistence = arguments.choice("persistence", implied.persistence)
    if purpose is Purpose.QUEUE and policy is not EvictionPolicy.NOEVICTION:
        problem = "would remove entries of a queue that nobody has taken yet, when memory is full"
        arguments.refuse("maxmemory_policy", f"{problem}: leave it out, or say which other purpose this has")
    if purpose is Purpose.QUEUE and persistence is Persistence.NONE:
        arguments.refuse("persistence", "a queue would be empty after a restart: leave it out, or say which other purpose this has")
    return purpose, policy, persistence
