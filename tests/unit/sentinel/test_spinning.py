"""A sentinel that spins is told from one that works."""

from __future__ import annotations

import time

import pytest
from caches_runtime.ops.sentinel.members import Member, SentinelUse, SentinelView
from caches_runtime.ops.sentinel.spinning import Watch
from unit.sentinel.loop import run


class Spinning(Member):
    """Uses a processor all the time, and answers or not."""

    def __init__(self, ordinal: int, answers: bool = True) -> None:
        super().__init__(ordinal, f"10.0.0.{ordinal}", "password", "cache")
        self.answers = answers
        self.ended = False

    async def view(self) -> SentinelView:
        if not self.answers:
            raise ConnectionError
        return SentinelView("id", "10.0.0.0", 1)

    async def sentinel_use(self) -> SentinelUse:
        return SentinelUse(time.monotonic(), 0)

    async def end_sentinel(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("cpu_a_second", "commands_a_second", "seconds", "spins"),
    [
        (0.01, 10, 60, False),
        (0.09, 10, 60, False),
        (0.3, 10, 12, True),
        (1.0, 10, 12, True),
        (1.0, 10, 9, False),
        (0.5, 20_000, 60, False),
    ],
)
def test_spins_when_it_uses_a_processor_for_some_time_and_is_asked_little(
    cpu_a_second: float, commands_a_second: int, seconds: int, spins: bool
) -> None:
    watch = Watch([], Spinning(0))
    said = [watch.is_spinning(now, SentinelUse(5 + cpu_a_second * now, 7 + commands_a_second * now)) for now in range(seconds + 1)]
    assert any(said) is spins


def test_a_moment_of_work_in_between_counts_anew() -> None:
    watch, cpu = Watch([], Spinning(0)), 0.0
    for now in range(30):
        cpu += 0.01 if now % 8 == 0 else 0.9
        assert not watch.is_spinning(now, SentinelUse(cpu, 0))


@pytest.mark.parametrize("others_answer", [True, False])
def test_it_is_ended_only_while_all_others_can_vote(monkeypatch: pytest.MonkeyPatch, others_answer: bool) -> None:
    own = Spinning(1)
    watch, clock = Watch([Spinning(0), own, Spinning(2, others_answer)], own), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    async def look(seconds: int) -> None:
        for _ in range(seconds):
            clock[0] += 1
            await watch.look()

    run(look(60))
    assert own.ended is others_answer


def test_all_that_spin_from_the_same_moment_on_end_one_after_the_other() -> None:
    def ends(ordinal: int) -> int:
        watch = Watch([], Spinning(ordinal))
        return next(now for now in range(1, 60) if watch.is_spinning(now, SentinelUse(now, 0)))

    assert [ends(ordinal) for ordinal in range(3)] == [11, 16, 21]
