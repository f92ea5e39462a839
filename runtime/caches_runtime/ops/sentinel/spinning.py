"""Ends a sentinel that spins, so that Kubernetes starts it again.

After a pod that a sentinel was connected to is gone, the connection can be left with an error that the sentinel's client
library does not read, and the sentinel then asks for it without end (redis/redis#9956, and 15107 for the cause). It does its
work meanwhile, at the cost of a processor.
"""

from __future__ import annotations

import logging
import time

from caches_runtime.ops.sentinel.members import Member, SentinelUse

log = logging.getLogger(__name__)

# A sentinel at work uses a hundredth of a processor. One that clients ask all the time uses more, but not for nothing.
BUSY_SHARE = 0.1
IDLE_COMMANDS_PER_SECOND = 100
PATIENCE_SECONDS = 10.0


class Watch:
    """Watches one sentinel; to be asked about once a second."""

    def __init__(self) -> None:
        self._last: tuple[float, SentinelUse] | None = None
        self._spinning_since: float | None = None

    async def look(self, member: Member) -> None:
        """Ends the member's sentinel when it has been spinning for a while. Raises one of UNREACHABLE."""
        if not self.is_spinning(time.monotonic(), await member.sentinel_use()):
            return
        log.warning("the sentinel of %s uses a processor and does nothing with it: it is started again", member)
        self._last = self._spinning_since = None
        await member.end_sentinel()

    def is_spinning(self, now: float, use: SentinelUse) -> bool:
        """Whether it has been for PATIENCE_SECONDS."""
        last, self._last = self._last, (now, use)
        if last is None:
            return False
        elapsed, cpu, commands = now - last[0], use.cpu_seconds - last[1].cpu_seconds, use.commands - last[1].commands
        if cpu < BUSY_SHARE * elapsed or commands > IDLE_COMMANDS_PER_SECOND * elapsed:
            self._spinning_since = None
            return False
        self._spinning_since = self._spinning_since or last[0]
        return now - self._spinning_since >= PATIENCE_SECONDS
