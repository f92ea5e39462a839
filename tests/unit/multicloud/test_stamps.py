"""Stamps grow whatever clocks do."""

from __future__ import annotations

import pytest
from caches_runtime.multicloud import RefusedError
from caches_runtime.multicloud.stamps import STAMP_LENGTH, Clock
from hypothesis import given
from hypothesis import strategies as st

SECONDS = st.floats(1_600_000_000, 1_900_000_000)


@given(st.lists(SECONDS, min_size=1, max_size=50))
def test_stamps_of_one_clock_grow_however_it_jumps(times: list[float]) -> None:
    remaining = iter([*times, *times])
    clock = Clock(60, lambda: next(remaining))
    stamps = [clock.next() for _ in times]
    assert stamps == sorted(set(stamps))
    assert all(len(stamp) == STAMP_LENGTH for stamp in stamps)


@given(SECONDS, st.floats(-59, 59))
def test_what_was_observed_is_gone_beyond(now: float, ahead: float) -> None:
    one, other = Clock(60, lambda: now), Clock(60, lambda: now + ahead)
    for _ in range(3):
        seen = other.next()
        one.observe(seen)
        assert one.next() > seen


def test_many_stamps_in_one_millisecond_are_different() -> None:
    clock = Clock(60, lambda: 1_700_000_000.0)
    stamps = [clock.next() for _ in range(70_000)]
    assert stamps == sorted(set(stamps))


@given(SECONDS, st.floats(61, 10_000))
def test_a_clock_that_is_too_far_ahead_is_not_followed(now: float, ahead: float) -> None:
    one = Clock(60, lambda: now)
    with pytest.raises(RefusedError, match="mend the clocks"):
        one.observe(Clock(60, lambda: now + ahead).next())
    assert int(one.next()[:12], 16) <= int(now * 1000)
