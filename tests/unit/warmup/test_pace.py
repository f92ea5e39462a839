"""How fast a warm-up goes, by a clock of the test's own, and how it spreads times to live."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from caches_runtime.ops.migrate.errors import InterruptedMigrationError
from caches_runtime.ops.warmup.entries import Entry
from caches_runtime.ops.warmup.pace import BATCH_KEYS, Pace, jittered
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    """Stands still unless somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 0.5, "who is asked to end must be heard"
        self.now += seconds


def pace(clock: Clock, rate: float | None, look: Callable[[], None] = lambda: None) -> Pace:
    return Pace(rate, look, clock, clock.sleep)


@given(st.floats(0.1, 1_000_000), st.lists(st.integers(1, 1000), min_size=2, max_size=50))
def test_never_more_than_the_rate_allows_after_the_first_portion(rate: float, portions: list[int]) -> None:
    clock = Clock()
    held = pace(clock, rate)
    began, written = clock.now, 0
    for keys in portions:
        held.wait(keys)
        # What came before this portion has had its time, and not much more.
        assert clock.now - began == pytest.approx(written / rate, rel=1e-6, abs=1e-6)
        written += keys


def test_time_that_was_not_used_is_not_made_up_for() -> None:
    clock = Clock()
    held = pace(clock, 10)
    held.wait(10)
    clock.now += 100
    held.wait(10)
    held.wait(10)
    assert clock.now == 1101


def test_without_a_rate_nothing_waits() -> None:
    clock = Clock()
    for _ in range(10):
        pace(clock, None).wait(1000)
    assert clock.now == 1000


@pytest.mark.parametrize(("rate", "keys"), [(None, BATCH_KEYS), (1e9, BATCH_KEYS), (500, 50), (0.01, 1)])
def test_a_slow_rate_has_small_portions(rate: float | None, keys: int) -> None:
    assert pace(Clock(), rate).batch == keys


def test_who_is_asked_to_end_while_it_waits_ends() -> None:
    clock = Clock()

    def look() -> None:
        if clock.now >= 1002:
            raise InterruptedMigrationError

    held = pace(clock, 0.01, look)
    held.wait(1)
    with pytest.raises(InterruptedMigrationError):
        held.wait(1)
    assert clock.now == 1002


@given(st.floats(0.001, 1e9), st.floats(0, 1), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
def test_a_time_to_live_is_shortened_by_at_most_the_jitter_and_never_lengthened(
    seconds: float, jitter: float, chance: float, now: float
) -> None:
    entry = Entry(b"key", "string", [b"value"], now + seconds, "line 1")
    made = jittered(entry, jitter, now, lambda: chance)
    assert made.until is not None
    left, slack = made.until - now, 1e-6 * (now + seconds)
    assert seconds * (1 - jitter) - slack <= left <= seconds + slack


@given(st.floats(0, 1))
def test_what_lives_for_ever_goes_on_to(jitter: float) -> None:
    assert jittered(Entry(b"key", "string", [b"value"], None, "line 1"), jitter, 0).until is None
