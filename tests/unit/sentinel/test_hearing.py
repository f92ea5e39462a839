"""When an agent takes the master for lost, and which one acts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from caches_runtime.ops.sentinel import hearing
from caches_runtime.ops.sentinel.hearing import Hearing, Limits
from caches_runtime.ops.sentinel.members import Member
from caches_runtime.ops.sentinel.status import Silence
from redis.exceptions import BusyLoadingError, ConnectionError, ResponseError
from unit.sentinel.loop import run

DOWN_AFTER_SECONDS = 0.3
LONG, SHORT = Silence("10.0.0.0", DOWN_AFTER_SECONDS), Silence("10.0.0.0", DOWN_AFTER_SECONDS / 2)
ANOTHER = Silence("10.0.0.1", 60)


@dataclass(eq=False)
class Fake:
    """A member that answers as a test wants it to; `silence` is what its agent tells, nothing when that does not answer."""

    ordinal: int
    silence: Silence | None = None
    answer: Exception | str = "PONG"
    replaced: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"10.0.0.{self.ordinal}"

    def line(self, _: float) -> Fake:
        return self

    async def execute_command(self, _: str) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def group(monkeypatch: pytest.MonkeyPatch, *silences: Silence | None, answer: Exception | str = "") -> list[Fake]:
    """The first one is the master, and does not answer unless told otherwise."""

    async def silence_of(member: Fake) -> Silence:
        if member.silence is None:
            raise TimeoutError
        return member.silence

    monkeypatch.setattr(hearing, "silence_of", silence_of)
    members = [Fake(ordinal, silence) for ordinal, silence in enumerate(silences)]
    members[0].answer = answer or ConnectionError("gone")
    return members


def replaced(members: list[Fake], own: int, quorum: int = 2, held_up_seconds: float = 0) -> bool:
    """Whether that member's agent replaces the master within a second."""

    async def listen() -> bool:
        acted = asyncio.Event()

        async def act(master: Member) -> None:
            assert cast("Fake", master) is members[0]
            acted.set()

        known = cast("list[Member]", members)
        agent = Hearing(known, known[own], Limits(DOWN_AFTER_SECONDS, quorum))
        agent.listen_to(known[0])
        task = asyncio.create_task(agent.run(act))
        if held_up_seconds:
            await asyncio.sleep(0.05)
            time.sleep(held_up_seconds)
            await asyncio.sleep(0.01)
            assert not agent.misses(known[0])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(acted.wait(), 1)
        task.cancel()
        return acted.is_set()

    return run(listen())


@pytest.mark.parametrize(
    ("silences", "own", "acts"),
    [
        ((None, None, LONG), 1, True),
        ((None, LONG, None), 2, False),
        ((None, None, SHORT), 1, False),
        ((None, None, None), 1, False),
        ((None, None, ANOTHER), 1, False),
        ((LONG, None, LONG), 1, True),
        ((LONG, LONG, None), 2, False),
        # The one beside the master only when no other can.
        ((None, LONG, None), 0, False),
        ((None, LONG, LONG), 0, False),
    ],
)
def test_enough_agents_must_miss_it_and_one_of_them_acts(
    silences: tuple[Silence | None, ...], own: int, acts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replaced(group(monkeypatch, *silences), own) is acts


@pytest.mark.parametrize("answer", ["PONG", ResponseError("BUSY")])
def test_a_master_that_answers_is_not_replaced_whatever_others_say(answer: Exception | str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not replaced(group(monkeypatch, None, None, LONG, answer=answer), own=1)


@pytest.mark.parametrize("answer", [TimeoutError(), OSError("no route"), BusyLoadingError("LOADING")])
def test_silence_has_many_forms(answer: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert replaced(group(monkeypatch, None, None, LONG, answer=answer), own=1)


def test_a_quorum_of_one_needs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replaced(group(monkeypatch, None, None, None), own=1, quorum=1)


def test_the_time_in_which_an_agent_was_held_up_itself_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replaced(group(monkeypatch, None, None, LONG), own=1, held_up_seconds=2 * DOWN_AFTER_SECONDS)
