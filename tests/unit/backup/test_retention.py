"""Which backups are kept: by table, and for whatever there may be."""

from __future__ import annotations

import pytest
from caches_runtime.ops.backup import manifest
from caches_runtime.ops.backup.manifest import Manifest
from caches_runtime.ops.backup.retention import DAY_SECONDS, Retention, abandoned, superfluous
from hypothesis import given
from hypothesis import strategies as st
from unit.backup.caches import Place, standalone
from unit.migrate.servers import server

NOW = 1_000_000_000.0


def aged(days: float) -> Manifest:
    finished = NOW - days * DAY_SECONDS
    return Manifest(f"{days:g}", "redis", "standalone", finished - 1, finished, "", ())


@pytest.mark.parametrize(
    ("ages", "retention", "gone"),
    [
        ([], Retention(1, 1), []),
        ([0, 1, 2], Retention(), []),
        ([0, 1, 2], Retention(count=2), [2]),
        ([0, 1, 2], Retention(count=1), [1, 2]),
        ([0, 1, 2], Retention(days=1.5), [2]),
        ([0, 1, 2], Retention(count=1, days=10), [1, 2]),
        ([0, 1, 2], Retention(count=3, days=0.5), [1, 2]),
        ([30, 40], Retention(days=7), [40]),
        ([30], Retention(count=1, days=7), []),
    ],
)
def test_by_table(ages: list[float], retention: Retention, gone: list[float]) -> None:
    assert [each.id for each in superfluous([aged(days) for days in reversed(ages)], retention, NOW)] == [f"{days:g}" for days in gone]


@given(
    st.lists(st.integers(0, 1000), unique=True),
    st.none() | st.integers(1, 20),
    st.none() | st.floats(0.01, 1000),
)
def test_the_newest_stays_and_no_more_than_was_asked(ages: list[int], count: int | None, days: float | None) -> None:
    found = [aged(each) for each in sorted(ages, reverse=True)]
    gone = superfluous(found, Retention(count, days), NOW)
    kept = [each for each in found if each not in gone]
    assert bool(kept) == bool(found)
    if found:
        newest = max(found, key=lambda each: each.finished)
        assert newest in kept
        assert len(kept) <= (count or len(found))
        # Nothing goes that is newer than what stays.
        assert all(one.finished <= other.finished for one in gone for other in kept)
        for each in gone:
            assert (count and len(found) > count) or (days is not None and NOW - each.finished > days * DAY_SECONDS)


@pytest.mark.parametrize(
    ("id_", "gone"),
    [("20010907T000000Z-00000000", True), ("20010909T010000Z-00000000", False), ("other", False), ("2001-1", False)],
)
def test_what_nobody_is_still_writing_to_goes(id_: str, gone: bool) -> None:
    assert abandoned(id_, NOW) is gone


def test_what_goes_is_removed_and_what_others_have_put_there_is_not(place: Place) -> None:
    with server("redis") as source:
        run = place.backup(standalone(source))
        made = [run.run() for _ in range(3)]
    place.store.write("20200101T000000Z-00000000/all.rdb", b"of a run that was ended")
    place.store.write("other/file", b"of somebody else")
    newest = manifest.backups(place.store)[-1]
    gone = run.prune(Retention(count=1))
    assert set(gone) == {each.id for each in made} - {newest.id}
    assert place.store.folders() == [newest.id, "other"]
