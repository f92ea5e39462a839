"""Starts a sentinel again whose certificate has been renewed: unlike a server, it reads its files at its start only."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from caches_runtime.ops.sentinel.members import SENTINEL_PORT, SERVER_PORT, Member, ask

log = logging.getLogger(__name__)

# Each member has a turn of its own, of which it uses the first half: one that is started again is back before the next one's.
TURN_SECONDS = 10


class Renewal:
    """Compares what the own server and sentinel have of the Secret, as their scripts noted it in the pod's folder."""

    def __init__(self, run: Path, members: Sequence[Member], own: Member) -> None:
        self._server, self._sentinel = (run / f"tls-{port}" / "applied" for port in (SERVER_PORT, SENTINEL_PORT))
        self._members = members
        self._own = own

    async def look(self) -> None:
        """Ends the own sentinel, so that Kubernetes starts it again, when that is due and the others can do without it."""
        if not self.is_due() or not is_turn(self._own.ordinal, len(self._members), time.time()):
            return
        others = await ask([member for member in self._members if member is not self._own], lambda member: member.view())
        if len(others) <= len(self._members) // 2:
            return
        log.info("the certificate was renewed: the sentinel of %s is started again", self._own)
        await self._own.end_sentinel()

    def is_due(self) -> bool:
        """Whether the server has taken a certificate that the sentinel has not: so it is one that can be used."""
        try:
            return self._server.read_text() != self._sentinel.read_text()
        except FileNotFoundError:
            return False


def is_turn(ordinal: int, members: int, now: float) -> bool:
    """Whether it is this member's turn; by the clock, which asks nobody."""
    turn, into = divmod(now, TURN_SECONDS)
    return turn % members == ordinal and into < TURN_SECONDS / 2
