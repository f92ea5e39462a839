"""What the process's memory holds, and that no fill brings back what has been invalidated."""

from __future__ import annotations

import pytest
from caches_runtime.tiers import Memory
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = [b"a", b"b", b"c"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from(KEYS)),
            st.tuples(st.just("flush"), st.just(b"")),
            st.tuples(st.just("read"), st.sampled_from(KEYS)),
            st.tuples(st.just("arrive"), st.sampled_from(KEYS)),
        ),
        max_size=40,
    )
)
def test_whatever_order_reads_and_invalidations_come_in_nothing_invalidated_is_found(steps: list[tuple[str, bytes]]) -> None:
    memory = Memory(entries=2)
    server = dict.fromkeys(KEYS, b"0")
    under_way = []
    for number, (kind, key) in enumerate(steps):
        if kind == "write":
            server[key] = b"%d" % number
            memory.drop([key])
        elif kind == "flush":
            server = dict.fromkeys(KEYS, b"%d" % number)
            memory.clear()
        elif kind == "read":
            context = memory.filling([key])
            under_way.append((context, context.__enter__(), {key: server[key]}))
        elif under_way:
            context, fill, read = under_way.pop(0)
            memory.keep(fill, read)
            context.__exit__(None, None, None)
        found = memory.get_many(KEYS)
        assert found.items() <= server.items()
        assert memory.size_bytes == sum(len(key) + len(value) for key, value in found.items())
        assert len(memory) <= 2


def test_what_was_used_longest_ago_goes_first_and_what_is_too_large_is_not_held() -> None:
    memory = Memory(size_bytes=30)
    for key, size in ((b"a", 9), (b"b", 9), (b"a", 9), (b"c", 19), (b"d", 30)):
        memory.get_many([b"a"])
        with memory.filling([key]) as fill:
            memory.keep(fill, {key: b"x" * size})
    assert memory.get_many([b"a", b"b", b"c", b"d"]).keys() == {b"a", b"c"}
    assert memory.size_bytes == 30


def test_nothing_is_found_after_its_time() -> None:
    memory = Memory(seconds=1e-9)
    with memory.filling([b"a"]) as fill:
        memory.keep(fill, {b"a": b"x"})
    assert memory.get_many([b"a"]) == {}
    assert memory.size_bytes == 0


@pytest.mark.parametrize("limit", ["entries", "size_bytes", "seconds"])
def test_limits_that_hold_nothing_are_refused(limit: str) -> None:
    with pytest.raises(ValueError, match=rf"{limit} = 0: it is more than 0"):
        Memory(**{limit: 0})
