"""How caches are replicated, and what has come of it."""

from dataclasses import dataclass

from caches_runtime.replication.wanted import Wanted

BACKLOG_KEYS = 100_000


@dataclass(frozen=True)
class Settings:
    """How it is done."""

    leader: bool
    """Whether the first site is always right, and the others follow; else each follows all."""
    wanted: Wanted
    into_non_empty: bool = False
    """Whether a site that shall get keys may have others already."""
    once: bool = False
    """Whether to end when a sweep has made all sites alike."""
    sweep_seconds: float = 60.0
    """From the end of one sweep to the start of the next."""
    keys_per_second: float | None = None
    bytes_per_second: float | None = None
    backlog_keys: int = BACKLOG_KEYS


@dataclass
class Done:
    """What a run has come to."""

    copied: int = 0
    """Keys that were written or deleted, once for each site."""
    conflicts: int = 0
    errors: int = 0
    compared: int = 0
