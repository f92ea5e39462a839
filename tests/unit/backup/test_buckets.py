"""Backups in a bucket of each cloud, over real HTTP, and what becomes of uploads that are cut off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from caches_runtime.ops.backup import manifest
from caches_runtime.ops.backup.retention import Retention
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from unit.backup.buckets import EMULATORS, Breaking, Emulator
from unit.backup.caches import Place, kill, standalone
from unit.migrate.servers import Server, same, server


@pytest.fixture(params=EMULATORS)
def emulator(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A cloud's, which this process is led to."""
    with EMULATORS[request.param](tmp_path) as made:
        made.lead(monkeypatch)
        yield made


def test_a_round_trip_through_a_bucket(source: Server, emulator: Emulator, tmp_path: Path) -> None:
    # More than one part of an upload.
    with source.client() as client:
        for number in range(40):
            client.set(f"large{number}", os.urandom(1024 * 1024))
    place = Place(tmp_path, emulator.url())
    run = place.backup(standalone(source))
    first, second = run.run(), run.run()
    assert second.bytes > 40 * 1024 * 1024
    assert [each.id for each in manifest.backups(place.store)] == [first.id, second.id]
    assert run.prune(Retention(count=1)) == [first.id]
    assert manifest.backups(place.store) == [second]
    with server("redis") as target:
        place.bring(standalone(target))
        for database in (0, 3):
            assert same(source, target.client(database), database)


def test_an_upload_that_breaks_off_leaves_nothing_that_is_listed(
    source: Server, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Breaking(emulator.port, 30_000, hangs_up=True)
    emulator.lead(monkeypatch, proxy.port)
    with pytest.raises(UnfinishedError, match="bucket "):
        Place(tmp_path, emulator.url()).backup(standalone(source)).run()
    assert proxy.broke.is_set()
    proxy.close()
    emulator.lead(monkeypatch)
    assert manifest.backups(Place(tmp_path, emulator.url()).store) == []


def test_one_killed_while_it_sends_leaves_nothing_that_is_listed(source: Server, emulator: Emulator, tmp_path: Path) -> None:
    proxy = Breaking(emulator.port, 30_000, hangs_up=False)
    place = Place(tmp_path, emulator.url())
    place.connection_file(standalone(source))
    started = place.command("make", **emulator.variables(proxy.port, True))
    assert proxy.broke.wait(60)
    kill(started)
    proxy.close()
    assert manifest.backups(place.store) == []
    assert place.backup(standalone(source)).run().keys == 4012


def test_a_bucket_that_there_is_not_is_refused_before_anything_is_read(source: Server, emulator: Emulator, tmp_path: Path) -> None:
    place = Place(tmp_path, emulator.url("another"))
    with pytest.raises(RefusedError, match="no such bucket"):
        place.backup(standalone(source)).run()
    assert place.said == []


def test_wrong_credentials_are_refused_before_anything_is_read(
    source: Server, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.demand()
    emulator.lead(monkeypatch, right=False)
    place = Place(tmp_path, emulator.url())
    with pytest.raises(RefusedError, match="does not let in"):
        place.backup(standalone(source)).run()
    assert place.said == []
