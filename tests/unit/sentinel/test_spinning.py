"""A sentinel that spins is told from one that works."""

from __future__ import annotations

import time

import pytest
from caches_runtime.ops.sentinel.members import Member, SentinelUse
from caches_runtime.ops.sentinel.spinning import Watch
from unit.sentinel.loop import run


class Spinning(Member):
    """Uses a processor all the time."""

    def __init__(self) -> None:
        super().__init__(0, "10.0.0.1", "password", "cache")
        self.connected_anew = 0

    async def sentinel_use(self) -> SentinelUse:
        return SentinelUse(time.monotonic(), 0)

    async def connect_sentinel_anew(self) -> None:
        self.connected_anew += 1


@pytest.mark.parametrize(
    ("cpu_a_second", "commands_a_second", "seconds", "spins"),
    [
        (0.01, 10, 60, False),
        (0.09, 10, 60, False),
        (0.3, 10, 4, True),
        (1.0, 10, 4, True),
        (1.0, 10, 2, False),
        (0.5, 20_000, 60, False),
    ],
)
def test_spins_when_it_uses_a_processor_for_some_time_and_is_asked_little(
    cpu_a_second: float, commands_a_second: int, seconds: int, spins: bool
) -> None:
    watch = Watch(Spinning())
    said = [watch.is_spinning(now, SentinelUse(5 + cpu_a_second * now, 7 + commands_a_second * now)) for now in range(seconds + 1)]
    assert any(said) is spins


def test_a_moment_of_work_in_between_counts_anew() -> None:
    watch, cpu = Watch(Spinning()), 0.0
    for now in range(30):
        cpu += 0.01 if now % 3 == 0 else 0.9
        assert not watch.is_spinning(now, SentinelUse(cpu, 0))


def test_one_that_spins_connects_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    own, clock = Spinning(), [0.0]
    watch = Watch(own)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    async def look(seconds: int) -> None:
        for _ in range(seconds):
            clock[0] += 1
            await watch.look()

    run(look(10))
    assert own.connected_anew == 2
