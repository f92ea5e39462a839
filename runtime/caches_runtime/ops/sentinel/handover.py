"""Moves the master role: planned, without losing a write, or from a master that has died or is lost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from caches_runtime.ops.sentinel.election import elect, publish
from caches_runtime.ops.sentinel.members import PATIENCE_SECONDS, SERVER_PORT, UNREACHABLE, Member, ServerState, ask

log = logging.getLogger(__name__)

# Long enough for a replica on a slow network to receive what is on the way, short enough for clients to wait.
PAUSE_SECONDS = 5.0
# What is left of the pause when a replica is promoted, so that it has not ended before the old master is demoted.
_PAUSE_MARGIN_SECONDS = 2.0
_POLL_SECONDS = 0.002
# What a replica may lack and receive while writes wait, unnoticed: clients write while the members are asked.
_NEAR_BYTES = 1024 * 1024


class NoSuccessor(Exception):
    """No replica can take over."""


async def hand_over(members: Sequence[Member], group: str, master: Member) -> Member:
    """Makes the replica that has most the master, while writes wait. Raises NoSuccessor, NotElected or one of UNREACHABLE.

    Whatever fails, one master accepts writes afterwards: until the replica is promoted the old one, whose pause ends by itself.
    """
    successor = youngest(await followers(members, master))
    epoch = await elect(members, group)
    started = time.monotonic()
    await _pause(master)
    try:
        await _caught_up(successor, (await master.state()).offset, started + PAUSE_SECONDS - _PAUSE_MARGIN_SECONDS)
        await promote(successor)
        if not await _demote(master, successor, started + PAUSE_SECONDS):
            # The first pause may have ended and writes may have come. Nobody knows of the promotion yet, so it is taken back.
            await follow(successor, master)
            raise NoSuccessor(
                f"writes were paused for {PAUSE_SECONDS:g} s and {successor} was not promoted in time: this agent was held up"
            )
    except BaseException:
        await master.server("CLIENT", "UNPAUSE")
        raise
    await settle(members, group, successor, epoch)
    log.info("handed over from %s to %s in epoch %d within %.0f ms", master, successor, epoch, 1000 * (time.monotonic() - started))
    return successor


async def take_over(members: Sequence[Member], group: str, lost: Member, is_lost: Callable[[], bool] = lambda: True) -> Member:
    """Makes the replica that has most the master, because the master is dead or lost. Raises NoSuccessor or NotElected.

    `is_lost` is asked once more when nobody else can act any more: a master that only hung may have come back.
    """
    candidates = await followers(members, lost)
    successor = best(candidates)
    epoch = await elect(members, group)
    if not is_lost():
        raise NoSuccessor(f"{lost} answers again")
    if promoted := await _promoted(members, candidates[successor].stream):
        successor = promoted
    else:
        await promote(successor)
    await settle(members, group, successor, epoch)
    log.warning("%s is lost: %s took over in epoch %d", lost, successor, epoch)
    return successor


async def _promoted(members: Sequence[Member], stream: str) -> Member | None:
    """The replica of that stream that is a master by now: whoever was elected before has promoted it, and published nothing yet."""
    states = await ask(members, lambda member: member.state(), PATIENCE_SECONDS)
    return next((member for member, state in states.items() if state.is_master and state.former_stream == stream), None)


async def promote(member: Member) -> None:
    """Makes a server a master."""
    await member.server("REPLICAOF", "NO", "ONE")


async def follow(member: Member, master: Member) -> None:
    """Makes a server a replica."""
    await member.server("REPLICAOF", master.address, SERVER_PORT)


async def disconnect_clients(member: Member) -> None:
    """They would be told for ever that this is a replica now: their next connection leads to the master."""
    await member.server("CLIENT", "KILL", "USER", "default")


async def make_eligible(member: Member) -> None:
    """Lets Sentinel choose a replica. Until it has followed a master its data may be old or none, and Sentinel would not know."""
    await member.server("CONFIG", "SET", "replica-priority", 100)


async def settle(members: Sequence[Member], group: str, master: Member, epoch: int) -> None:
    """Tells the sentinels of the new master, and the other replicas to follow it."""

    async def repoint(member: Member) -> bool:
        if (await member.state()).is_master:
            return False
        await follow(member, master)
        return True

    others = [member for member in members if member is not master]
    await asyncio.gather(publish(members, group, master, epoch), ask(others, repoint))


async def followers(members: Sequence[Member], master: Member) -> dict[Member, ServerState]:
    """The replicas of a master that have its data and go on running."""
    states = await ask([member for member in members if member is not master], lambda member: member.state())
    return {
        member: state
        for member, state in states.items()
        if not state.is_master and state.master == master.address and state.linked_once and not state.loading and not state.stopping
    }


def best(candidates: dict[Member, ServerState]) -> Member:
    """The one with the highest offset; of equals the highest ordinal. Raises NoSuccessor."""
    if not candidates:
        raise NoSuccessor("no replica that has the master's data answers")
    return max(candidates, key=lambda member: (candidates[member].offset, member.ordinal))


def youngest(candidates: dict[Member, ServerState]) -> Member:
    """Of those that are hardly behind, the one that was started last: a roll, or an upgrade of nodes, has been there already, and
    does not come to it again soon. One that has lost its link, or has a full disk, only when there is no other. Raises NoSuccessor.
    """
    most = candidates[best(candidates)].offset
    near = {member: state for member, state in candidates.items() if most - state.offset <= _NEAR_BYTES}
    return min(
        near, key=lambda member: (not near[member].link_up, not near[member].keeps_writes, near[member].uptime_seconds, -member.ordinal)
    )


async def _demote(master: Member, successor: Member, deadline: float) -> bool:
    """Makes the old master follow the new one, if writes were paused until then: false when they may not have been."""
    try:
        await _pause(master)
        if time.monotonic() > deadline:
            return False
        await follow(master, successor)
    except UNREACHABLE as error:
        # The successor has all that it had, and there is no way back.
        log.warning("%s ended while it was replaced by %s: %s", master, successor, error)
    return True


async def _pause(master: Member) -> None:
    await master.server("CLIENT", "PAUSE", int(PAUSE_SECONDS * 1000), "WRITE")


async def _caught_up(replica: Member, offset: int, deadline: float) -> None:
    # The replica itself is asked: the master hears from it only once a second.
    while (behind := offset - (await replica.state()).offset) > 0:
        if time.monotonic() > deadline:
            raise NoSuccessor(f"{replica} is still {behind} bytes behind")
        await asyncio.sleep(_POLL_SECONDS)
