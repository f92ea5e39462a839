"""Holds a warm-up back, and spreads in time what it brings in at once."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from caches_runtime.ops.warmup.entries import Entry

BATCH_KEYS = 1000
# So many portions a second at least, so that what is held back comes evenly.
_PORTIONS = 10
_LOOK_SECONDS = 0.5


@dataclass
class Pace:
    """At most so many keys a second; None for as many as can be. `look` is called at least twice a second while it waits."""

    keys_per_second: float | None
    look: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _free: float = 0

    @property
    def batch(self) -> int:
        """How many keys to write at once."""
        return max(1, min(BATCH_KEYS, int(self.keys_per_second / _PORTIONS))) if self.keys_per_second else BATCH_KEYS

    def wait(self, keys: int) -> None:
        """Returns when so many more may be written."""
        while (left := self._free - self.clock()) > 0:
            self.look()
            self.sleep(min(left, _LOOK_SECONDS))
        self.look()
        if self.keys_per_second:
            self._free = max(self._free, self.clock()) + keys / self.keys_per_second


def jittered(entry: Entry, jitter: float, now: float, chance: Callable[[], float] = random.random) -> Entry:
    """The entry with up to that part of its time to live taken away: it may never outlive what its source says."""
    if entry.until is None:
        return entry
    return replace(entry, until=entry.until - (entry.until - now) * jitter * chance())
