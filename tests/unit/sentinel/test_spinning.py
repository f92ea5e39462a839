"""A sentinel that spins is told from one that works."""

from __future__ import annotations

import pytest
from caches_runtime.ops.sentinel.members import SentinelUse
from caches_runtime.ops.sentinel.spinning import Watch


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
    watch = Watch()
    said = [watch.is_spinning(now, SentinelUse(5 + cpu_a_second * now, 7 + commands_a_second * now)) for now in range(seconds + 1)]
    assert any(said) is spins


def test_a_moment_of_work_in_between_counts_anew() -> None:
    watch, cpu = Watch(), 0.0
    for now in range(30):
        cpu += 0.01 if now % 8 == 0 else 0.9
        assert not watch.is_spinning(now, SentinelUse(cpu, 0))
