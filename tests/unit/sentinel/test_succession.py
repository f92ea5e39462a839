"""Who begins when nobody is master, and what a member remembers for that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from caches_runtime.ops.sentinel.members import Member, ServerState
from caches_runtime.ops.sentinel.succession import ABSENT_SECONDS, HANDOVER_SECONDS, Claim, Progress, Record, successor
from hypothesis import given
from hypothesis import strategies as st

MEMBERS = [Member(ordinal, f"10.0.0.{ordinal + 1}", "password", "cache") for ordinal in range(9)]
LONG = ABSENT_SECONDS + 1
A_MOMENT = HANDOVER_SECONDS


def claim(
    epoch: int = -1, restored: int = 0, *, role: str = "slave", running: int | None = None, loading: bool = False, stopping: bool = False
) -> Claim:
    """Of a server that was just started; or one that goes on running, and has `running` bytes of the last master's stream."""
    state = ServerState(role, running or 0, "", False, running is not None, loading, stopping)
    return Claim(state, Progress(epoch, restored))


def begins(claims: Mapping[int, Claim], total: int = 3, waited: float = 0) -> int | None:
    chosen = successor({MEMBERS[ordinal]: said for ordinal, said in claims.items()}, total, waited)
    return None if chosen is None else chosen.ordinal


@pytest.mark.parametrize(
    ("claims", "waited", "chosen"),
    [
        # At the first start
        ({0: claim(), 1: claim(), 2: claim()}, 0, 0),
        ({2: claim(), 1: claim(), 0: claim()}, 0, 0),
        ({1: claim(), 2: claim()}, 0, None),
        ({1: claim(), 2: claim()}, LONG, 1),
        ({2: claim()}, LONG, None),
        ({}, LONG, None),
        # After all have stopped
        ({0: claim(4, 10), 1: claim(4, 12), 2: claim(4, 11)}, 0, 1),
        ({0: claim(4, 99), 1: claim(5, 1), 2: claim(3, 999)}, 0, 1),
        ({0: claim(4, 7), 1: claim(4, 7), 2: claim(4, 7)}, 0, 0),
        ({0: claim(), 1: claim(4, 0), 2: claim()}, 0, 1),
        ({1: claim(4, 1), 2: claim(4, 2)}, 0, None),
        ({1: claim(4, 1), 2: claim(4, 2)}, LONG, 2),
        ({0: claim(), 1: claim(4, 1, loading=True), 2: claim()}, LONG, None),
        ({0: claim(0), 1: claim(), 2: claim()}, 0, 0),
        # While replicas go on running
        ({0: claim(), 1: claim(4, running=50), 2: claim(4, running=60)}, 0, None),
        ({0: claim(9, 900), 1: claim(4, running=50), 2: claim(4, running=60)}, A_MOMENT, 2),
        ({0: claim(9, 900), 1: claim(4, running=50)}, A_MOMENT, 1),
        ({0: claim(9, 900, loading=True), 1: claim(4, running=50)}, A_MOMENT, 1),
        ({0: claim(), 1: claim(4, running=60), 2: claim(4, running=60)}, A_MOMENT, 1),
        ({0: claim(), 1: claim(4, running=60, stopping=True), 2: claim(4, running=50)}, A_MOMENT, 2),
        ({1: claim(4, running=60)}, LONG, None),
        # There is a master that nobody names
        ({0: claim(), 1: claim(4, running=60), 2: claim(4, role="master", running=50)}, 0, None),
        ({0: claim(), 1: claim(4, running=60), 2: claim(4, role="master", running=50)}, A_MOMENT, 2),
        ({0: claim(3, role="master"), 1: claim(4, running=60), 2: claim(4, running=60)}, LONG, None),
        ({0: claim(4, role="master", running=50), 1: claim(4, role="master", running=60), 2: claim()}, A_MOMENT, 1),
        ({2: claim(4, role="master", running=50)}, LONG, None),
    ],
)
def test_the_newest_data_begins_and_of_equals_the_lowest_ordinal(claims: dict[int, Claim], waited: float, chosen: int | None) -> None:
    assert begins(claims, waited=waited) == chosen


PROGRESS = st.builds(Progress, st.integers(-1, 4), st.integers(0, 4))


def claims_of(linked_once: st.SearchStrategy[bool], loading: st.SearchStrategy[bool]) -> st.SearchStrategy[Claim]:
    state = st.builds(
        ServerState,
        role=st.just("slave"),
        offset=st.integers(0, 4),
        master=st.just(""),
        link_up=st.booleans(),
        linked_once=linked_once,
        loading=loading,
        stopping=st.booleans(),
    )
    return st.builds(Claim, state, PROGRESS)


STARTED = claims_of(linked_once=st.just(False), loading=st.booleans())
CLAIMS = st.dictionaries(st.sampled_from(MEMBERS), claims_of(linked_once=st.booleans(), loading=st.booleans()))
# Nobody goes on running.
ALL_STARTED = st.dictionaries(st.sampled_from(MEMBERS), STARTED)
TOTALS = st.sampled_from([3, 5, 7, 9])
WAITS = st.sampled_from([0.0, LONG])


def running(claims: Mapping[Member, Claim]) -> list[Member]:
    return [member for member, said in claims.items() if said.state.linked_once and not said.state.stopping]


@given(CLAIMS, st.sampled_from(MEMBERS), TOTALS, WAITS)
def test_nobody_else_begins_beside_a_master(claims: dict[Member, Claim], master: Member, total: int, waited: float) -> None:
    assert successor({**claims, master: claim(4, role="master")}, total, waited) in (None, master)


@given(CLAIMS, st.sampled_from(MEMBERS), TOTALS, WAITS)
def test_a_master_of_an_earlier_reign_never_begins(claims: dict[Member, Claim], master: Member, total: int, waited: float) -> None:
    later = {member: replace(said, restored=replace(said.restored, epoch=5)) for member, said in claims.items() if member is not master}
    chosen = successor({**later, master: claim(4, role="master")}, total, waited)
    assert chosen is None or chosen is not master or not later


@given(CLAIMS, TOTALS, WAITS)
def test_nobody_begins_with_a_minority(claims: dict[Member, Claim], total: int, waited: float) -> None:
    minority = dict(list(claims.items())[: total // 2])
    assert successor(minority, total, waited) is None


@given(ALL_STARTED, st.sampled_from(MEMBERS), TOTALS, WAITS)
def test_nobody_begins_while_data_is_loaded_that_may_be_the_newest(
    claims: dict[Member, Claim], loading: Member, total: int, waited: float
) -> None:
    assert successor({**claims, loading: claim(4, loading=True)}, total, waited) is None


@given(CLAIMS, TOTALS, WAITS)
def test_whoever_begins_has_the_newest_data_of_those_that_count(claims: dict[Member, Claim], total: int, waited: float) -> None:
    chosen = successor(claims, total, waited)
    if chosen is None:
        return
    if ongoing := running(claims):
        assert chosen in ongoing
        assert claims[chosen].state.offset == max(claims[member].state.offset for member in ongoing)
    else:
        assert claims[chosen].restored == max(said.restored for said in claims.values())


@given(ALL_STARTED, st.sampled_from(MEMBERS), TOTALS, WAITS)
def test_an_emptied_volume_never_begins_beside_one_with_data(
    claims: dict[Member, Claim], member: Member, total: int, waited: float
) -> None:
    with_data = {**claims, member: claim(0, 1)}
    chosen = successor(with_data, total, waited)
    assert chosen is None or with_data[chosen].restored.epoch >= 0


@given(CLAIMS, TOTALS, WAITS, st.randoms())
def test_all_that_see_the_same_agree(claims: dict[Member, Claim], total: int, waited: float, random: object) -> None:
    shuffled = list(claims.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined] # what hypothesis gives is a Random
    assert successor(dict(shuffled), total, waited) is successor(claims, total, waited)


@given(ALL_STARTED, st.sampled_from(MEMBERS))
def test_a_member_that_is_missing_is_waited_for_unless_a_replica_goes_on_running(claims: dict[Member, Claim], missing: Member) -> None:
    without = {member: said for member, said in claims.items() if member is not missing}
    assert successor(without, len(MEMBERS), waited_seconds=ABSENT_SECONDS - 1) is None


# What is remembered


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "progress.json"


def test_without_a_file_there_is_no_data(file: Path) -> None:
    assert Record(file).read() == Progress(epoch=-1)
    assert not file.exists()


def test_what_was_kept_last_is_read_also_after_a_restart(file: Path) -> None:
    record = Record(file)
    for offset in (10, 20, 20, 15):
        record.keep(Progress(3, offset))
    assert record.read() == Progress(3, 15)
    again = Record(file)
    assert again.read() == Progress(3, 15)
    again.keep(Progress(4, 1))
    assert Record(file).read() == Progress(4, 1)


def test_what_was_kept_goes_with_the_volume(file: Path) -> None:
    record = Record(file)
    record.keep(Progress(3, 10))
    file.unlink()
    assert record.read() == Progress(epoch=-1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"epoch": 3, "off',
        "[]",
        "[1]",
        "3",
        "null",
        '"x"',
        '{"epoch": 3, "other": 1}',
        '{"epoch": "3"}',
        '{"epoch": null}',
        "\0\0",
    ],
)
def test_a_torn_file_is_data_that_is_older_than_any_other(file: Path, text: str) -> None:
    file.write_text(text)
    restored = Record(file).read()
    assert Progress(-1, 10**15) < restored < Progress(1, 0)


def test_a_write_that_was_cut_off_leaves_the_one_before(file: Path) -> None:
    Record(file).keep(Progress(3, 10))
    file.with_suffix(".new").write_text('{"epoch": 3, "off')
    record = Record(file)
    assert record.read() == Progress(3, 10)
    record.keep(Progress(3, 11))
    assert json.loads(file.read_text()) == {"epoch": 3, "offset": 11}


def test_what_has_not_changed_is_not_written_again(file: Path) -> None:
    record = Record(file)
    record.keep(Progress(3, 10))
    file.unlink()
    record.keep(Progress(3, 10))
    assert not file.exists()
    record.keep(Progress(3, 11))
    assert file.exists()


@given(st.lists(PROGRESS))
def test_a_later_reign_wins_and_within_it_the_higher_offset(found: list[Progress]) -> None:
    assert sorted(found) == sorted(found, key=lambda progress: (progress.epoch, progress.offset))
