"""A migration between real Redis and Valkey processes: nothing is lost, whatever the clients and whoever ends it do."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from caches_runtime.ops.migrate import migration
from caches_runtime.ops.migrate.errors import InterruptedMigrationError, UnfinishedError
from caches_runtime.ops.migrate.link import Endpoint, Link
from caches_runtime.ops.migrate.source import Source
from caches_runtime.ops.migrate.target import MARKER, Target
from caches_runtime.ops.migrate.values import same_value
from common.waiting import until
from unit.cluster_nodes import Nodes, cluster_nodes
from unit.migrate.servers import LARGE, PASSWORD, Changes, Server, fill, migrate, same, server

each_engine = pytest.mark.parametrize("source", ["redis", "valkey"], indirect=True)


@pytest.fixture
def source(request: pytest.FixtureRequest) -> Iterator[Server]:
    with server(getattr(request, "param", "redis")) as made:
        fill(made)
        yield made


@pytest.fixture
def target() -> Iterator[Server]:
    """Redis reads what Valkey has written, not the other way round."""
    with server("redis") as made:
        yield made


@pytest.fixture
def cluster() -> Iterator[Nodes]:
    with cluster_nodes("redis", "+@all") as nodes:
        nodes.start(*nodes_of(3))
        nodes.repair(3, 0)
        yield nodes


def nodes_of(shards: int) -> list[Any]:
    from caches_runtime.ops.cluster_state import Wanted

    return list(Wanted(shards, 0).places())


def endpoint(nodes: Nodes) -> Endpoint:
    return Endpoint(nodes.hosts.of(nodes_of(1)[0]), 6379)


@pytest.mark.parametrize(("source", "seed"), [("redis", 1), ("valkey", 2)], indirect=["source"])
def test_all_is_equal_after_the_cut_over_whatever_clients_change_meanwhile(source: Server, target: Server, seed: int) -> None:
    with Changes(source, (0, 3), seed) as changes:
        assert not migrate(source.endpoint, target.endpoint).cut_over
        done = migrate(source.endpoint, target.endpoint, cut_over=True)
    assert done.cut_over
    assert done.held_seconds < 3
    assert not source.writes()
    for number, database in enumerate((0, 3)):
        with target.client(database) as client:
            assert int(client.get(f"client{number}:count") or 0) == changes.acknowledged[number] > 0
            assert same(source, client, database)


def test_all_is_equal_after_the_cut_over_to_a_cluster(source: Server, cluster: Nodes) -> None:
    source.ask("FLUSHDB", database=3)
    with Changes(source, (0, 0), 3) as changes:
        migrate(source.endpoint, endpoint(cluster))
        done = migrate(source.endpoint, endpoint(cluster), cut_over=True)
    assert done.cut_over
    with redis.RedisCluster(host=endpoint(cluster).host, protocol=2) as client:
        assert [int(client.get(f"client{number}:count") or 0) for number in range(2)] == changes.acknowledged
        assert same(source, client)


def test_a_copy_is_complete_and_the_source_serves_on(source: Server, target: Server) -> None:
    target_only = migrate(source.endpoint, target.endpoint)
    assert target_only.keys == 2 * 2006
    assert all(same(source, target.client(database), database) for database in (0, 3))
    assert source.writes()


def test_a_key_that_is_gone_from_the_source_goes_from_the_copy(source: Server, target: Server) -> None:
    migrate(source.endpoint, target.endpoint)
    source.ask("DEL", "text1", "text3", "hash")  # the second one expires, and is not counted at the cut-over
    source.ask("FLUSHDB", database=3)
    migrate(source.endpoint, target.endpoint)
    assert target.ask("EXISTS", "text1", "text3", "hash") == 0
    assert target.ask("DBSIZE", database=3) == 0
    assert same(source, target.client())


@each_engine
def test_it_may_be_killed_anywhere_and_run_again(source: Server, target: Server, tmp_path: Path) -> None:
    fill(source, 10_000)
    random_ = random.Random(4)  # noqa: S311
    with Changes(source, (0, 3), 5) as changes:
        for cut_over in (False, False, True, True):
            started = command(source, target, tmp_path, *(["--cut-over"] if cut_over else []))
            try:
                started.wait(random_.uniform(0.5, 1.5))
            except subprocess.TimeoutExpired:
                started.kill()
            started.communicate()
        migrate(source.endpoint, target.endpoint, cut_over=True)
    for number, database in enumerate((0, 3)):
        assert int(target.ask("GET", f"client{number}:count", database=database)) == changes.acknowledged[number] > 0
        assert same(source, target.client(database), database)


def test_one_that_was_stopped_while_writes_waited_sees_those_that_waited_no_longer(
    source: Server, target: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "PAUSE_SECONDS", 1)
    same_, late = Source.still_the_same, list[str]()

    def stopped(self: Source) -> bool:
        if not late:
            assert until(source.writes, 10)
            source.ask("SET", "late", "1")
            late.append("late")
        return same_(self)

    monkeypatch.setattr(Source, "still_the_same", stopped)
    migrate(source.endpoint, target.endpoint, cut_over=True)
    assert target.ask("GET", "late") == b"1"
    assert same(source, target.client())


def test_when_it_fails_while_writes_wait_they_go_on(source: Server, target: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Source) -> bool:
        raise InterruptedMigrationError

    monkeypatch.setattr(Source, "still_the_same", broken)
    with pytest.raises(InterruptedMigrationError):
        migrate(source.endpoint, target.endpoint, cut_over=True)
    assert source.writes()


def test_once_cut_over_nothing_is_copied_again_even_without_the_source(source: Server, target: Server) -> None:
    migrate(source.endpoint, target.endpoint, cut_over=True)
    target.ask("SET", "text1", "newer")
    assert not source.writes()
    source.ask("CLIENT", "UNPAUSE")
    assert source.writes()
    for cut_over in (True, False):
        assert migrate(source.endpoint, target.endpoint, cut_over=cut_over).already
    source.end()
    assert migrate(source.endpoint, target.endpoint, cut_over=True).already
    assert target.ask("GET", "text1") == b"newer"
    assert 0 < target.ask("TTL", MARKER.decode()) <= 30 * 24 * 3600


def test_two_at_once_wait_for_each_other(source: Server, target: Server) -> None:
    said: list[list[str]] = [[], []]
    threads = [
        threading.Thread(target=migrate, args=[source.endpoint, target.endpoint], kwargs={"cut_over": True, "said": lines})
        for lines in said
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(any("waiting for another migration" in line for line in lines) for lines in said) == 1
    assert same(source, target.client())


def test_a_source_that_is_emptied_meanwhile_is_copied_anew(source: Server, target: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    catch_up, said = migration._Copy._catch_up, list[str]()

    def emptied(self: Any) -> int:
        if not any("starting over" in line for line in said):
            source.ask("FLUSHALL")
            source.ask("SET", "new", "1")
        return catch_up(self)

    monkeypatch.setattr(migration._Copy, "_catch_up", emptied)
    migrate(source.endpoint, target.endpoint, said=said)
    assert any("starting over: a whole database of the source was emptied" in line for line in said)
    assert target.ask("KEYS", "*") in ([b"new", MARKER], [MARKER, b"new"])


def test_a_source_that_swaps_databases_meanwhile_is_copied_anew(source: Server, target: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    catch_up, said, swaps = migration._Copy._catch_up, list[str](), list[Any]()

    def swapped(self: Any) -> int:
        if not swaps:
            swaps.append(source.ask("SWAPDB", "3", "5"))
        return catch_up(self)

    monkeypatch.setattr(migration._Copy, "_catch_up", swapped)
    migrate(source.endpoint, target.endpoint, cut_over=True, said=said)
    assert any("has swapped databases" in line for line in said)
    assert target.ask("DBSIZE", database=3) == 0
    assert same(source, target.client(5), 5)


def test_a_large_value_is_copied_whole(target: Server) -> None:
    with server("redis") as source, source.client() as client:
        client.set("large", random.Random(6).randbytes(60 * 1024 * 1024))  # noqa: S311
        for part in range(20):
            client.hset("many", mapping={f"{part}:{number}": "x" * 50 for number in range(10_000)})
        migrate(source.endpoint, target.endpoint, cut_over=True)
        assert same(source, target.client())


VALUES: dict[str, Callable[[redis.Redis, bool], Any]] = {
    "string": lambda client, other: client.set("key", f"{other}"),
    "hash": lambda client, other: client.hset("key", mapping={str(number): f"{other}" for number in range(LARGE)}),
    "set": lambda client, other: client.sadd("key", *range(other, LARGE)),
    "zset": lambda client, other: client.zadd("key", {str(number): number + other for number in range(LARGE)}),
    "list": lambda client, other: client.rpush("key", *range(other, LARGE)),
    "stream": lambda client, other: client.xadd("key", {"number": int(other)}, id="1-1"),
    "group": lambda client, other: (
        client.xadd("key", {"number": 1}, id="1-1"),
        client.xgroup_create("key", "group", id="1" if other else "0"),
    ),
}


@each_engine
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("kind", VALUES)
def test_values_are_compared_as_clients_see_them(source: Server, target: Server, kind: str, other: bool) -> None:
    source.ask("FLUSHALL")
    for side, differs in ((source, False), (target, other)):
        with side.client() as client:
            VALUES[kind](client, differs)
    with Link(source.endpoint, "test") as ours, Link(target.endpoint, "test") as theirs:
        assert same_value(b"key", lambda words: ours.call(*words), lambda words: theirs.call(*words)) is not other


def test_a_connection_that_was_lost_is_not_made_anew(source: Server) -> None:
    with Link(source.endpoint, "caches-test") as link:
        source.ask("CLIENT", "KILL", "TYPE", "normal")
        for _ in range(2):
            with pytest.raises(redis.ConnectionError):
                link.call("PING")


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_copy_whose_connections_are_lost_starts_over(source: Server, target: Server, monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    catch_up, said, cut = migration._Copy._catch_up, list[str](), {"source": source, "target": target}[side]

    def lost(self: Any) -> int:
        if not any("starting over" in line for line in said):
            cut.ask("CLIENT", "KILL", "TYPE", "normal")
        return catch_up(self)

    monkeypatch.setattr(migration._Copy, "_catch_up", lost)
    migrate(source.endpoint, target.endpoint, cut_over=True, said=said)
    assert any("starting over" in line for line in said)
    assert same(source, target.client())


def test_a_target_names_those_that_were_first(target: Server) -> None:
    with Target(target.endpoint, "caches-migrate-a") as first, Target(target.endpoint, "caches-migrate-b") as second:
        assert (first.other_migration(), second.other_migration()) == ("", "caches-migrate-a")


def command(source: Server, target: Server, folder: Path, *more: str) -> subprocess.Popen[str]:
    (folder / "password").write_text(f"{PASSWORD}\n")
    files = [f"--source-password-file={folder / 'password'}", f"--target-password-file={folder / 'password'}"]
    words = ["migrate", f"--source={source.endpoint}", f"--target={target.endpoint}", *files, *more]
    return subprocess.Popen([Path(sys.executable).parent / "caches", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_ends_when_it_is_asked_to(source: Server, target: Server, tmp_path: Path) -> None:
    fill(source, 50_000)
    started = command(source, target, tmp_path, "--cut-over")
    assert started.stdout is not None
    assert started.stdout.readline().startswith("copying 100")
    started.send_signal(signal.SIGTERM)
    output = started.communicate(timeout=30)
    assert (started.returncode, output[1]) == (5, "asked to end: run it again to go on\n")
    assert source.writes()


def test_a_failover_right_after_the_cut_over_loses_nothing(source: Server, target: Server) -> None:
    with server("redis", f"replicaof {target.host} 6379", f"masterauth {PASSWORD}") as replica:
        assert until(lambda: b"state=online" in target.ask("INFO", "replication"), 10)
        migrate(source.endpoint, target.endpoint, cut_over=True)
        target.end()
        replica.ask("REPLICAOF", "NO", "ONE")
        assert same(source, replica.client())
        assert migrate(source.endpoint, replica.endpoint, cut_over=True).already


def test_replicas_that_do_not_follow_are_waited_for(source: Server, target: Server) -> None:
    with server("redis", f"replicaof {target.host} 6379", f"masterauth {PASSWORD}") as replica:
        assert until(lambda: b"state=online" in target.ask("INFO", "replication"), 10)
        replica.process.send_signal(signal.SIGSTOP)
        with pytest.raises(UnfinishedError, match="1 of 1 replicas of"):
            migrate(source.endpoint, target.endpoint, cut_over=True, seconds=1)
        assert source.writes()
