"""Whether the master is heard. Each agent listens to it, and asks the others before it takes it for lost.

Sentinel does the same, but asks the master once a second, and the other sentinels once a second after that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from caches_runtime.ops.sentinel.members import PATIENCE_SECONDS, UNREACHABLE, Member, ask
from caches_runtime.ops.sentinel.status import Silence, silence_of

LISTEN_SECONDS = 0.1


@dataclass(frozen=True)
class Limits:
    """When the master is taken for lost."""

    down_after_seconds: float
    quorum: int
    """Of agents that have not heard it for so long."""


class Hearing:
    """How one agent hears the master that its group has agreed on."""

    def __init__(self, members: Sequence[Member], own: Member, limits: Limits) -> None:
        self._members = members
        self._own = own
        self._limits = limits
        self._master: Member | None = None
        self._silent_seconds = 0.0
        self._lines: dict[Member, Redis] = {}

    def listen_to(self, master: Member) -> None:
        """From now on; a new master counts as heard just now."""
        if master is not self._master:
            self._master, self._silent_seconds = master, 0.0

    def silence(self) -> Silence:
        """What this agent tells the others."""
        return Silence(self._master.address if self._master else "", self._silent_seconds)

    def misses(self, master: Member) -> bool:
        """Whether this agent listens to that master and has not heard it for too long."""
        return master is self._master and self._silent_seconds >= self._limits.down_after_seconds

    async def run(self, replace: Callable[[Member], Awaitable[None]]) -> None:
        """Listens until it is cancelled, and replaces a master that is lost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._count(replace))

    async def _listen(self) -> None:
        while True:
            master = self._master
            if master is not None and await self._answers(master) and master is self._master:
                self._silent_seconds = 0.0
            await asyncio.sleep(LISTEN_SECONDS)

    async def _answers(self, master: Member) -> bool:
        # A line of its own, and a new one before it is too late: an old one may be broken where nobody notices.
        line = self._lines.setdefault(master, master.line(self._limits.down_after_seconds / 2))
        try:
            await line.execute_command("PING")  # type: ignore[no-untyped-call]
        except ResponseError:
            return True  # it is busy, and says so
        except UNREACHABLE:
            return False
        return True

    async def _count(self, replace: Callable[[Member], Awaitable[None]]) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(LISTEN_SECONDS)
            now = time.monotonic()
            # While this agent was held up itself, it did not listen: that time says nothing of the master.
            self._silent_seconds += min(now - last, 2 * LISTEN_SECONDS)
            last = now
            master = self._master
            if master is not None and self.misses(master) and await self._shall_replace(master):
                await replace(master)

    async def _shall_replace(self, master: Member) -> bool:
        """Whether enough agents miss it, and this one is who acts for them: the one beside the master last."""

        async def silence(member: Member) -> Silence:
            return self.silence() if member is self._own else await silence_of(member)

        said = await ask(self._members, silence, PATIENCE_SECONDS)
        too_long = self._limits.down_after_seconds
        missing = [member for member, one in said.items() if one.master == master.address and one.seconds >= too_long]
        if len(missing) < self._limits.quorum:
            return False
        return self._own is min(missing, key=lambda member: (member is master, member.ordinal))
