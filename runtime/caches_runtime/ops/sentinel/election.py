"""Who may name a new master: Sentinel's own election, held by an agent.

Sentinels give one vote for each epoch. Whoever gets a strict majority of them for an epoch is the only one that may publish a
master under it, and every sentinel takes over what was published under a higher epoch than it knows. So agents and the
sentinels' own failovers never contradict each other: one of them has the higher epoch.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Sequence

from caches_runtime.ops.sentinel.members import PATIENCE_SECONDS, SENTINEL_PORT, SERVER_PORT, Member, SentinelView, ask

_HELLO = "__sentinel__:hello"
_ATTEMPTS = 5


class NotElected(Exception):
    """No majority of the sentinels voted for this agent."""


async def elect(members: Sequence[Member], group: str) -> int:
    """An epoch that this agent alone may publish under. Raises NotElected."""
    for attempt in range(_ATTEMPTS):
        views = await ask(members, lambda member: member.view(), PATIENCE_SECONDS)
        epoch = max((view.config_epoch for view in views.values()), default=0) + 1
        # One more attempt inside: the epoch of the last vote is only known from an answer.
        for _ in range(2):
            won, highest = await _campaign(views, epoch)
            if won > len(members) // 2:
                return epoch
            # A sentinel may know of a higher epoch than it has voted in, and does not say so: the steps grow.
            epoch = max(epoch, highest) + 1 + 2 * attempt
        # Somebody else asks for votes at the same time: whoever waits less is elected.
        await asyncio.sleep(random.uniform(0.02, 0.1) * (attempt + 1))  # noqa: S311 - it is no secret
    raise NotElected(f"{len(views)} of {len(members)} sentinels of {group} answered, and no majority voted for one candidate")


async def _campaign(views: dict[Member, SentinelView], epoch: int) -> tuple[int, int]:
    """How many sentinels voted for this candidate in that epoch, and the highest epoch that any has voted in."""
    candidate = secrets.token_hex(20)

    async def vote(member: Member) -> tuple[str, int]:
        master = views[member].master
        _, leader, leader_epoch = await member.sentinel("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", master, SERVER_PORT, epoch, candidate)
        return leader, int(leader_epoch)

    votes = await ask(list(views), vote)
    won = sum(1 for vote_ in votes.values() if vote_ == (candidate, epoch))
    return won, max((voted for _, voted in votes.values()), default=epoch)


async def publish(members: Sequence[Member], group: str, master: Member, epoch: int) -> int:
    """Tells every sentinel who is master under an epoch that was won; how many were told."""
    views = await ask(members, lambda member: member.view(), PATIENCE_SECONDS)

    async def tell(member: Member) -> int:
        # A message names its sender, which must be another sentinel of the group than the one it goes to.
        sender = next((other for other in views if other is not member), None)
        if sender is None:
            return 0
        said = [sender.address, SENTINEL_PORT, views[sender].id, epoch, group, master.address, SERVER_PORT, epoch]
        return int(await member.sentinel("PUBLISH", _HELLO, ",".join(map(str, said))))

    return sum((await ask(members, tell)).values())
