"""Who begins when nobody is master: at the first start, and after all servers have stopped at once.

Servers never start as masters. What each one's volume held is compared, and the member with the newest data promotes itself.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from caches_runtime.ops.sentinel.members import Member, ServerState

log = logging.getLogger(__name__)

# How long members that do not answer are waited for, before the newest data among a majority is taken.
ABSENT_SECONDS = 60.0
# Longer than any handover takes, in which there are two masters for a moment, or none that answers.
HANDOVER_SECONDS = 2.0


@dataclass(frozen=True, order=True)
class Progress:
    """How new a member's data is: a later reign wins, within it the higher offset."""

    epoch: int = -1
    """Under which the master of that data was published; -1 is no data."""
    offset: int = 0

    @classmethod
    def parse(cls, text: str) -> Progress:
        """What asdict and JSON made of one. Raises ValueError."""
        try:
            fields = json.loads(text)
            return cls(int(fields["epoch"]), int(fields["offset"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"no progress: {text[:80]!r}") from error


@dataclass(frozen=True)
class Claim:
    """What a member has to say when nobody is master."""

    state: ServerState
    restored: Progress
    """Of the data in its volume, which is what a server has that has followed nobody since it started."""


class Record:
    """A member's progress, kept beside its data. Written at most once a second, so up to that much behind."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept = self.read()

    def read(self) -> Progress:
        """Of the data in the volume now: the server may have started more often than the agent, and the volume be another's."""
        try:
            return Progress.parse(self._file.read_text())
        except FileNotFoundError:
            return Progress()
        except ValueError:
            # Cut off by a crash in the middle of the very first write: the data is there, its age is not known.
            log.warning("%s can't be read: the data counts as older than any other", self._file)
            return Progress(epoch=0)

    def keep(self, progress: Progress) -> None:
        if progress == self._kept:
            return
        unfinished = self._file.with_suffix(".new")
        with unfinished.open("w") as file:
            json.dump(asdict(progress), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)
        self._kept = progress


def successor(claims: Mapping[Member, Claim], total: int, waited_seconds: float) -> Member | None:
    """Who should begin when whoever the sentinels name is no master; None while it can't be known yet.

    A server that is one all the same was promoted by somebody who did not live to say so: it begins, unless it led in an earlier
    reign and was cut off meanwhile. A replica that goes on running has what it received from the last master; a server that was
    restarted may have lost the end of it, so it only counts when there is none of the first kind. Then all members have to answer,
    or a majority after a while: the one that is missing may hold the newest data.
    """
    if len(claims) <= total // 2:
        return None
    masters = [member for member, claim in claims.items() if claim.state.is_master]
    if masters:
        reign = max(claim.restored.epoch for claim in claims.values())
        promoted = [member for member in masters if claims[member].restored.epoch == reign]
        if waited_seconds < HANDOVER_SECONDS or not promoted:
            return None
        return max(promoted, key=lambda member: (claims[member].state.offset, -member.ordinal))
    running = {member: claim for member, claim in claims.items() if claim.state.linked_once and not claim.state.stopping}
    if running:
        if waited_seconds < HANDOVER_SECONDS:
            return None
        return max(running, key=lambda member: (running[member].state.offset, -member.ordinal))
    if any(claim.state.loading for claim in claims.values()) or (len(claims) < total and waited_seconds < ABSENT_SECONDS):
        return None
    return max(claims, key=lambda member: (claims[member].restored, -member.ordinal))
