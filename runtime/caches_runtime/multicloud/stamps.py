"""When a write was: a hybrid logical clock, which goes with the machine's, and never behind what it has seen.

Source: Kulkarni et al., "Logical Physical Clocks", 2014.
"""

import os
import time
from collections.abc import Callable

from caches_runtime.multicloud.errors import RefusedError

STAMP_LENGTH = 28
"""Of a stamp: 12 hexadecimal digits of milliseconds since 1970, 4 of a counter, 12 of who wrote. Later is greater, also as text."""
_COUNTER_MAXIMUM = 0xFFFF


class Clock:
    """Stamps that only grow. `now` is the machine's clock, in seconds, which may jump."""

    def __init__(self, max_drift_seconds: float, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._max_drift = int(max_drift_seconds * 1000)
        self._milliseconds = 0
        self._counter = 0
        self._node = os.urandom(6).hex()

    def now_milliseconds(self) -> int:
        """By the machine's clock."""
        return int(self._now() * 1000)

    def next(self) -> str:
        """A stamp later than all before, and than all that were observed."""
        now = self.now_milliseconds()
        if now > self._milliseconds:
            self._milliseconds, self._counter = now, 0
        elif self._counter < _COUNTER_MAXIMUM:
            self._counter += 1
        else:
            self._milliseconds, self._counter = self._milliseconds + 1, 0
        return f"{self._milliseconds:012x}{self._counter:04x}{self._node}"

    def observe(self, stamp: str) -> None:
        """Goes beyond another writer's stamp. Raises RefusedError when that is further ahead than clocks may differ."""
        milliseconds, counter = int(stamp[:12], 16), int(stamp[12:16], 16)
        ahead = milliseconds - self.now_milliseconds()
        if ahead > self._max_drift:
            raise RefusedError(
                f"a write is stamped {ahead / 1000:.0f} s ahead of this machine's clock, more than max_drift_seconds = "
                f"{self._max_drift / 1000:g}: mend the clocks, or allow more"
            )
        if (milliseconds, counter) > (self._milliseconds, self._counter):
            self._milliseconds, self._counter = milliseconds, counter
