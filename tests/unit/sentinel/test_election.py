"""Votes of real sentinels: at most one candidate wins an epoch, and only what was won under a higher one is believed."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import pytest
from common.waiting import until
from unit.sentinel.group import Group, group
from unit.servers import Pod, find_programs


@pytest.fixture(params=["redis", "valkey"], scope="module")
def settled(request: pytest.FixtureRequest) -> Iterator[tuple[Group, Pod]]:
    """A group that had a master, without agents: nothing moves but by a test. What tests leave is a later epoch."""
    with group(find_programs(request.param)) as made:
        master = made.serve()
        made.stop_agents()
        yield made, master


def epochs(members: Group) -> dict[str, int]:
    return {pod: view["config_epoch"] for pod, view in members.drive("views").items()}


def test_an_epoch_is_won_by_one_candidate_at_most(settled: tuple[Group, Pod]) -> None:
    members, _ = settled
    won = members.drive("elections", candidates=4, rounds=5)
    times = Counter(epoch for epochs in won for epoch in epochs)
    assert times, "nobody was ever elected"
    assert set(times.values()) == {1}
    assert all(mine == sorted(mine) for mine in won), "a later vote is for a later epoch"
    assert min(times) > max(epochs(members).values())


def test_a_candidate_is_elected_also_while_a_sentinel_hangs(settled: tuple[Group, Pod]) -> None:
    members, _ = settled
    sentinel = members.sentinels[members.pods[2]].process
    sentinel.send_signal(signal.SIGSTOP)
    try:
        assert len(members.drive("elections", candidates=1, rounds=1)[0]) == 1
    finally:
        sentinel.send_signal(signal.SIGCONT)


def test_a_master_is_believed_under_a_higher_epoch_only(settled: tuple[Group, Pod]) -> None:
    members, master = settled
    other = members.pods.index(members.others(master)[0])
    now = max(epochs(members).values())
    assert members.drive("publish", master=other, epoch=now) == 3
    assert set(members.named().values()) == {master.address}
    [[epoch]] = members.drive("elections", candidates=1, rounds=1)
    # The same master again, so that the sentinels have nothing to repair.
    assert members.drive("publish", master=members.pods.index(master), epoch=epoch) == 3
    assert until(lambda: set(epochs(members).values()) == {epoch}, 10)
    assert set(members.named().values()) == {master.address}


def test_votes_are_kept_through_a_restart(settled: tuple[Group, Pod]) -> None:
    """A sentinel that forgot its vote could give a second one in the same epoch."""
    members, _ = settled
    [[epoch]] = members.drive("elections", candidates=1, rounds=1)
    for pod in members.pods:
        members.sentinels[pod].end(signal.SIGKILL)
        members.start_sentinel(pod)
    assert until(lambda: len(members.drive("views")) == len(members.pods), 20)
    [[again]] = members.drive("elections", candidates=1, rounds=1)
    assert again > epoch


def test_a_master_is_handed_over_on_request(settled: tuple[Group, Pod]) -> None:
    members, master = settled
    new = members.pods[members.drive("hand_over", master=members.pods.index(master))]
    assert new is not master
    assert until(lambda: set(members.named().values()) == {new.address}, 10)
    followed = {pod.name: "master" if pod is new else new.address for pod in members.pods}
    assert until(lambda: members.roles() == followed, 20), members.roles()
