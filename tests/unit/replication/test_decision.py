"""Which site is right about a key."""

from __future__ import annotations

import pytest
from caches_runtime.replication.decision import ABSENT, NOTHING, Decision, Mark, Note, decide

OLD, NEW, OTHER = Mark(b"old", 0), Mark(b"new", 0), Mark(b"other", 0)
AGREED = Note(OLD)
COPYING = Note(OLD, NEW, 0)
"""The second site was about to be given what the first had."""


@pytest.mark.parametrize(
    ("found", "note", "last", "expected"),
    [
        pytest.param([NEW, ABSENT], NOTHING, None, Decision(0), id="a new key is copied"),
        pytest.param([ABSENT, NEW], NOTHING, None, Decision(1), id="from wherever it is"),
        pytest.param([NEW, OLD], AGREED, None, Decision(0), id="who has changed is right"),
        pytest.param([OLD, NEW], AGREED, 0, Decision(1), id="also when something was heard elsewhere"),
        pytest.param([ABSENT, OLD], AGREED, None, Decision(0), id="a deletion is a change"),
        pytest.param([NEW, ABSENT], AGREED, 1, Decision(0, True), id="a write is worth more than a deletion"),
        pytest.param([NEW, OTHER], AGREED, 1, Decision(1, True), id="of two writes the one heard last"),
        pytest.param([NEW, OTHER], AGREED, None, Decision(0, True), id="else the first"),
        pytest.param([NEW, NEW], AGREED, None, Decision(0), id="two that write the same agree"),
        pytest.param([OLD, NEW, OLD], AGREED, None, Decision(1), id="one of three"),
        pytest.param([NEW, OLD], COPYING, None, Decision(0), id="a copy that was ended is made"),
        pytest.param([NEW, NEW], COPYING, None, Decision(0), id="or was made"),
        pytest.param([OTHER, NEW], COPYING, None, Decision(0), id="and is not taken for a write, when the giver has a newer one"),
        pytest.param([OLD, NEW], COPYING, None, Decision(0), id="even when that is the old one again"),
        pytest.param([NEW, OTHER], COPYING, None, Decision(1), id="a write at the taker is one"),
    ],
)
def test_of_a_mesh(found: list[Mark], note: Note, last: int | None, expected: Decision) -> None:
    assert decide(found, note, leader=False, last=last) == expected


@pytest.mark.parametrize(
    ("found", "note", "expected"),
    [
        pytest.param([NEW, OTHER], NOTHING, 0, id="the leader is right"),
        pytest.param([OLD, NEW], AGREED, 0, id="also when the other one was written to"),
        pytest.param([ABSENT, OLD], AGREED, 0, id="what it has deleted goes"),
        pytest.param([ABSENT, OTHER], NOTHING, None, id="what it never had stays"),
    ],
)
def test_of_a_leader(found: list[Mark], note: Note, expected: int | None) -> None:
    assert decide(found, note, leader=True, last=1) == Decision(expected)


def test_what_a_site_has_lost_was_not_deleted() -> None:
    assert decide([ABSENT, OLD], AGREED, leader=False, lost=[0]) == Decision(1)
    assert decide([ABSENT, OLD], AGREED, leader=True, lost=[0]) == Decision(None)
    assert decide([NEW, OLD], AGREED, leader=False, lost=[0]) == Decision(0)


@pytest.mark.parametrize(
    ("one", "other", "same"), [(0, 0, True), (0, 5, False), (100_000, 100_900, True), (100_000, 101_001, False), (100_000, 0, False)]
)
def test_deadlines_are_the_same_within_a_second(one: int, other: int, same: bool) -> None:
    assert Mark(b"v", one).same(Mark(b"v", other)) is same
