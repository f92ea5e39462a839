"""Which replica becomes the master."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from caches_runtime.ops.sentinel.handover import NoSuccessor, best, youngest
from caches_runtime.ops.sentinel.members import Member, ServerState

HOUR, MIB = 3600, 1024 * 1024


def replica(offset: int = 10 * MIB, uptime: int = HOUR, link_up: bool = True, keeps_writes: bool = True) -> ServerState:
    return ServerState("slave", offset, "10.0.0.9", link_up, True, False, False, uptime_seconds=uptime, keeps_writes=keeps_writes)


def candidates(*replicas: ServerState) -> dict[Member, ServerState]:
    return {Member(ordinal, f"10.0.0.{ordinal}", "password", "cache"): state for ordinal, state in enumerate(replicas)}


@pytest.mark.parametrize(
    ("replicas", "chosen"),
    [
        ([replica(), replica(10 * MIB - 500, uptime=9)], 1),
        ([replica(10 * MIB - 500, uptime=9), replica()], 0),
        ([replica(), replica(8 * MIB, uptime=9)], 0),
        ([replica(), replica(uptime=9, link_up=False)], 0),
        ([replica(), replica(uptime=9, keeps_writes=False)], 0),
        ([replica(keeps_writes=False), replica(uptime=9, keeps_writes=False)], 1),
        ([replica(), replica()], 1),
    ],
    ids=["started last", "started last, first in order", "far behind", "cut off", "full disk", "only full disks", "equal"],
)
def test_a_planned_stop_goes_to_who_was_started_last_and_is_hardly_behind(replicas: list[ServerState], chosen: int) -> None:
    assert youngest(candidates(*replicas)).ordinal == chosen


def test_after_a_loss_only_the_data_counts() -> None:
    assert best(candidates(replica(100, keeps_writes=False), replica(99, uptime=9))).ordinal == 0


@pytest.mark.parametrize("choose", [best, youngest])
def test_without_a_replica_there_is_no_successor(choose: Callable[[dict[Member, ServerState]], Member]) -> None:
    with pytest.raises(NoSuccessor, match="no replica"):
        choose({})
