"""What the group looks like to whoever asks its members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caches_runtime.ops.sentinel.members import PATIENCE_SECONDS, Member, ServerState, ask, majority


@dataclass(frozen=True)
class Survey:
    """What the group looks like."""

    master: Member | None
    """Whom a strict majority of the sentinels names."""
    epoch: int
    state: ServerState | None
    """Of that member's server, if it answers."""


async def survey(members: Sequence[Member]) -> Survey:
    """Asks the sentinels, and then the server that they name."""
    master, epoch = await named(members)
    states = await ask([master] if master else [], lambda member: member.state())
    return Survey(master, epoch, next(iter(states.values()), None))


async def named(members: Sequence[Member]) -> tuple[Member | None, int]:
    """Whom a strict majority of the sentinels names, and since which epoch."""
    views = await ask(members, lambda member: member.view(), PATIENCE_SECONDS)
    address = majority([view.master for view in views.values()], len(members))
    # The one that a majority knows: who leads a failover counts the master before to the new epoch for a moment.
    epochs = sorted((view.config_epoch for view in views.values() if view.master == address), reverse=True)
    epoch = epochs[len(members) // 2] if address else 0
    return next((member for member in members if member.address == address), None), epoch
