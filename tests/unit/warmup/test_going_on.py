"""A warm-up that was ended goes on where it was, and misses nothing."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.migrate.errors import InterruptedMigrationError
from caches_runtime.ops.warmup.checkpoint import PREFIX, Checkpoint
from common.waiting import until
from unit.backup.caches import standalone
from unit.migrate.servers import Server, fill, server
from unit.migrate.test_migration import nodes_of
from unit.warmup.servers import alike, command, file, many, memcached, three_masters, warm, web

KEYS = 20_000


@pytest.fixture
def target() -> Iterator[Server]:
    with server("redis") as made:
        yield made


def kill_after(started: subprocess.Popen[str], reached: Callable[[], bool]) -> str:
    """Kills it in the middle; what it has said."""
    try:
        assert until(lambda: started.poll() is not None or reached(), 60, every=0.02)
    finally:
        started.kill()
    output = started.communicate()[0]
    assert started.returncode == -9, output
    return output


def finish(started: subprocess.Popen[str]) -> str:
    output = started.communicate(timeout=60)[0]
    assert started.returncode == 0, output
    return output


def went_on_after(output: str) -> int:
    found = re.search(r"going on after (\d+) records", output)
    return int(found[1]) if found else 0


def noted(target: Server) -> bool:
    """Whether there is a note, and more was written since."""
    return bool(target.ask("KEYS", f"{PREFIX.decode()}*")) and int(target.ask("DBSIZE")) > KEYS / 3


@pytest.mark.parametrize("kind", ["file", "url", "query"])
def test_killed_in_the_middle(kind: str, target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(KEYS))
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE warm (key TEXT, value TEXT)")
        connection.executemany("INSERT INTO warm VALUES (?, ?)", ((f"key{number}", f"value{number}") for number in range(KEYS)))
    with web((tmp_path / "warm.jsonl").read_bytes()) as address:
        words = {
            "file": [f"--source={tmp_path}/warm.jsonl"],
            "url": [f"--source={address}/warm.jsonl"],
            "query": [f"--source=sqlite:///{tmp_path}/shop.db", "--query=SELECT * FROM warm"],
        }[kind]
        kill_after(command(tmp_path, standalone(target), *words, "--keys-per-second=5000"), lambda: noted(target))
        there = int(target.ask("DBSIZE")) - 1
        output = finish(command(tmp_path, standalone(target), *words))
    assert KEYS / 5 < went_on_after(output) <= there
    assert target.ask("DBSIZE") == KEYS
    with target.client() as client:
        assert client.mget(*(f"key{number}" for number in range(KEYS))) == [f"value{number}".encode() for number in range(KEYS)]


def test_a_copy_of_another_cache_killed_in_the_middle(target: Server, tmp_path: Path) -> None:
    with server("redis") as source:
        fill(source, KEYS)
        source.ask("FLUSHDB", database=3)
        (tmp_path / "from.json").write_text(json.dumps(standalone(source)))
        words = [f"--from-connection={tmp_path}/from.json"]
        kill_after(command(tmp_path, standalone(target), *words, "--keys-per-second=5000"), lambda: noted(target))
        assert went_on_after(finish(command(tmp_path, standalone(target), *words))) > KEYS / 5
        assert alike(source.client(), target.client())


def test_asked_to_end_it_ends_and_goes_on(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(KEYS))
    started = command(tmp_path, standalone(target), f"--source={tmp_path}/warm.jsonl", "--keys-per-second=5000")
    assert until(lambda: noted(target), 60)
    started.terminate()
    output = started.communicate(timeout=60)[0]
    assert (started.returncode, output.splitlines()[-1]) == (5, "asked to end: run it again")
    assert went_on_after(finish(command(tmp_path, standalone(target), f"--source={tmp_path}/warm.jsonl"))) > 0
    assert target.ask("DBSIZE") == KEYS


def interrupt(connection: dict[str, Any], source: Path) -> None:
    """A run that is asked to end when it has noted how far it is for the first time, which is after a second."""
    saved: list[Checkpoint] = []
    save = Checkpoint.save

    def save_and_tell(self: Checkpoint, target: Any, name: str) -> None:
        save(self, target, name)
        saved.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_tell)
        with pytest.raises(InterruptedMigrationError):
            warm(connection, file(source), rate=5000, interrupted=lambda: bool(saved))


def test_nothing_is_left_of_a_run_that_has_ended_well(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(KEYS))
    interrupt(standalone(target), tmp_path / "warm.jsonl")
    [note] = target.ask("KEYS", f"{PREFIX.decode()}*")
    assert 0 < target.ask("TTL", note.decode()) <= 24 * 3600
    warm(standalone(target), file(tmp_path / "warm.jsonl"))
    assert target.ask("KEYS", f"{PREFIX.decode()}*") == []


def test_a_source_that_has_changed_is_read_from_the_beginning(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(KEYS))
    interrupt(standalone(target), tmp_path / "warm.jsonl")
    (tmp_path / "warm.jsonl").write_bytes(b'{"key": "new", "value": "1"}\n' + many(KEYS))
    said: list[str] = []
    warm(standalone(target), file(tmp_path / "warm.jsonl"), said)
    assert went_on_after(said[0]) == 0
    assert target.ask("GET", "new") == b"1"


def test_a_master_of_a_cluster_that_has_lost_its_data_is_filled_again(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(KEYS))
    with three_masters() as (nodes, connection):
        interrupt(connection, tmp_path / "warm.jsonl")
        said: list[str] = []
        interrupted = warm(connection, file(tmp_path / "warm.jsonl"), said)
        assert went_on_after(said[0]) > 0
        assert interrupted.keys == KEYS
        (tmp_path / "warm.jsonl").write_bytes(many(KEYS + 1))
        for place in nodes_of(3):
            nodes.ask(place, "FLUSHALL")
        interrupt(connection, tmp_path / "warm.jsonl")
        nodes.ask(nodes_of(3)[1], "FLUSHALL")
        said = []
        assert warm(connection, file(tmp_path / "warm.jsonl"), said).keys == KEYS + 1
        assert went_on_after(said[0]) == 0


def test_a_shard_of_memcached_that_has_lost_its_items_is_filled_again(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(KEYS))
    with memcached() as one:
        with memcached() as other:
            connection = {**one, "nodes": one["nodes"] + other["nodes"]}
            interrupt(connection, tmp_path / "warm.jsonl")
            said: list[str] = []
            assert warm(connection, file(tmp_path / "warm.jsonl"), said).keys == KEYS
            assert went_on_after(said[0]) > 0
        with memcached() as other:
            connection = {**one, "nodes": one["nodes"] + other["nodes"]}
            done = warm(connection, file(tmp_path / "warm.jsonl"))
            assert done.there + done.written == KEYS


def test_two_at_once_bring_all(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(KEYS))
    runs = [command(tmp_path, standalone(target), f"--source={tmp_path}/warm.jsonl") for _ in range(2)]
    for each in runs:
        finish(each)
    assert target.ask("DBSIZE") == KEYS
