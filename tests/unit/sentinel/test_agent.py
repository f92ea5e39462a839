"""What an agent decides by itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from caches_runtime.ops.sentinel import handover
from caches_runtime.ops.sentinel.agent import Agent
from caches_runtime.ops.sentinel.hearing import Limits
from caches_runtime.ops.sentinel.members import Member, ServerState
from caches_runtime.ops.sentinel.succession import HANDOVER_SECONDS, Progress, Record
from unit.sentinel.loop import run


class Nobody:
    """Shows nothing to nobody."""

    async def show(self, role: str, epoch: int = 0) -> None: ...

    async def master(self) -> str | None:
        return None


def server(role: str, offset: int, rewriting: bool) -> ServerState:
    return ServerState(role, offset, "", True, True, False, False, rewriting=rewriting)


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        ([("slave", False)], 0),
        ([("slave", True)], None),
        ([("slave", True), ("slave", False)], 1),
        ([("slave", False), ("slave", True)], 0),
        ([("slave", True), ("master", True)], None),
        ([("slave", True), ("master", True), ("master", False), ("master", True)], 3),
        ([("master", False), ("master", True)], 1),
        ([("master", True)], None),
    ],
)
def test_progress_is_noted_once_the_data_is_on_disk(seen: list[tuple[str, bool]], kept: int | None, tmp_path: Path) -> None:
    """After a full copy the old file is loaded until the new one is complete. On a master a rewrite loses nothing."""
    own = Member(0, "10.0.0.1", "password", "cache")
    agent = Agent("cache", [own], own, Limits(1, 1), Nobody(), tmp_path, tmp_path)
    for offset, (role, rewriting) in enumerate(seen):
        agent._note(3, server(role, offset, rewriting))
    assert Record(tmp_path / "progress.json").read() == (Progress() if kept is None else Progress(3, kept))


@pytest.mark.parametrize(
    ("led", "named", "waited", "follows"),
    [
        (3, 4, 0.0, True),  # it hung or was cut off, and has been replaced
        (None, 4, 0.0, False),  # it was just promoted: the sentinels still name the old master
        (4, 4, 0.0, False),  # of the same epoch: nobody has won over it
        (None, 4, HANDOVER_SECONDS, True),  # they go on naming it
        (4, 4, HANDOVER_SECONDS, True),
    ],
)
def test_a_second_master_follows_at_once_when_it_was_replaced_and_else_in_a_while(
    led: int | None, named: int, waited: float, follows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Member] = []

    async def follow(member: Member, master: Member) -> None:
        done.append(master)

    monkeypatch.setattr(handover, "follow", follow)
    own, other = (Member(ordinal, f"10.0.0.{ordinal}", "password", "cache") for ordinal in range(2))
    agent = Agent("cache", [own, other], own, Limits(1, 1), Nobody(), tmp_path, tmp_path)
    agent._led_epoch = led
    agent._second_master_since = time.monotonic() - waited
    run(agent._step_down(other, named))
    assert done == ([other] if follows else [])
