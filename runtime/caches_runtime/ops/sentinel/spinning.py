"""Makes a sentinel that spins connect anew.

After a pod that a sentinel was connected to is gone, the connection can be left with an error that the sentinel's client
library does not read, and the sentinel then asks for it without end (redis/redis#9956, and 15107 for the cause). It does its
work meanwhile, at the cost of a processor. A new connection has no such error; started again, it would be away for a second.
"""

from __future__ import annotations

import logging
import time

from caches_runtime.ops.sentinel.members import Member, SentinelUse

log = logging.getLogger(__name__)

# A sentinel at work uses a hundredth of a processor. One that clients ask all the time uses more, but not for nothing.
BUSY_SHARE = 0.1
IDLE_COMMANDS_PER_SECOND = 100
PATIENCE_SECONDS = 3.0


class Watch:
    """Watches the own sentinel; to be asked about once a second."""

    def __init__(self, own: Member) -> None:
        self._own = own
        self._last: tuple[float, SentinelUse] | None = None
        self._spinning_since: float | None = None

    async def look(self) -> None:
        """Renews the sentinel's connections when it has been spinning for a while. Raises one of UNREACHABLE."""
        if not self.is_spinning(time.monotonic(), await self._own.sentinel_use()):
            return
        log.info("the sentinel of %s uses a processor and does nothing with it: it connects to all others anew", self._own)
        self._last = self._spinning_since = None
        await self._own.connect_sentinel_anew()

    def is_spinning(self, now: float, use: SentinelUse) -> bool:
        """Whether it has been for long enough."""
        last, self._last = self._last, (now, use)
        if last is None:
            return False
        elapsed, cpu, commands = now - last[0], use.cpu_seconds - last[1].cpu_seconds, use.commands - last[1].commands
        if cpu < BUSY_SHARE * elapsed or commands > IDLE_COMMANDS_PER_SECOND * elapsed:
            self._spinning_since = None
            return False
        self._spinning_since = self._spinning_since or last[0]
        return now - self._spinning_since >= PATIENCE_SECONDS
