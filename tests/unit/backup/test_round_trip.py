"""Backups of real servers, restored into real ones: what comes back is what there was."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from caches_runtime.ops.backup import manifest, shards
from caches_runtime.ops.cluster_state import Wanted
from caches_runtime.ops.migrate.errors import UnfinishedError
from caches_runtime.ops.migrate.target import MARKER
from certificates import certify
from common.waiting import until
from pyrage import x25519
from unit.backup.caches import Place, clustered, standalone
from unit.cluster_nodes import Nodes, cluster_nodes
from unit.migrate.servers import PASSWORD, Server, address, fill, same, server

# Two databases, each with 2000 texts and one key of each other kind.
KEYS = 2 * 2006
FUNCTION = "#!lua name=mylib\nredis.register_function('answer', function() return 42 end)"


@pytest.fixture
def target() -> Iterator[Server]:
    with server("redis") as made:
        yield made


def places(shards: int, replicas: int = 0) -> list[Any]:
    return list(Wanted(shards, replicas).places())


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with cluster_nodes("redis", "+@all") as made:
        made.start(*places(3, 1))
        made.repair(3, 1)
        for each in places(3, 1):
            if each.ordinal:
                assert until(lambda each=each: "master_link_status:up" in made.ask(each, "INFO", "replication"), 20)  # type: ignore[misc]
        yield made


def test_all_comes_back_equal(source: Server, target: Server, place: Place) -> None:
    made = place.backup(standalone(source)).run()
    assert made.keys == KEYS
    assert place.bring(standalone(target)) == KEYS
    for database in (0, 3):
        assert same(source, target.client(database), database)
    assert target.ask("EXISTS", MARKER.decode()) == 0


def test_valkey_too(place: Place) -> None:
    with server("valkey") as source, server("valkey") as target:
        fill(source)
        connection = standalone(source, engine="valkey")
        assert place.backup(connection).run().parts[0].version.startswith("valkey ")
        place.bring(standalone(target, engine="valkey"))
        assert same(source, target.client(3), 3)


def test_it_is_read_from_a_replica_in_step(source: Server, place: Place) -> None:
    with server("redis", f"replicaof {source.host} 6379", f"masterauth {PASSWORD}") as replica:
        assert until(lambda: "master_link_status:up" in replica.ask("INFO", "replication").decode(), 10)
        nodes = [f"{source.host}:6379", f"{replica.host}:6379"]
        made = place.backup(standalone(source, nodes=nodes)).run()
        assert made.parts[0].read_from == f"{replica.host}:6379 (replica)"
        replica.ask("REPLICAOF", "127.0.0.1", "1")
        made = place.backup(standalone(source, nodes=nodes)).run()
        assert made.parts[0].read_from == f"{source.host}:6379 (master)"


def test_beside_sentinels_the_master_is_not_read(source: Server, place: Place) -> None:
    with pytest.raises(UnfinishedError, match="a replica in step"):
        place.backup(standalone(source, mode="sentinel")).run()


def test_sentinels_do_not_take_the_reader_for_a_replica(source: Server, place: Place) -> None:
    with server("redis", f"replicaof {source.host} 6379", f"masterauth {PASSWORD}") as replica, sentinel(source, place.folder) as asking:
        assert until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), 10)
        assert until(lambda: len(asking.sentinel_slaves("sessions")) == 1, 15)
        # So that it takes longer than the 10 s after which sentinels ask each server again.
        replica.ask("CONFIG", "SET", "rdb-key-save-delay", "3000")
        nodes = [f"{source.host}:6379", f"{replica.host}:6379"]
        assert place.backup(standalone(source, mode="sentinel", nodes=nodes)).run().keys == KEYS
        assert [found["port"] for found in asking.sentinel_slaves("sessions")] == [6379]


@contextmanager
def sentinel(master: Server, folder: Path) -> Iterator[redis.Redis]:
    host = address()
    watched = f"sentinel monitor sessions {master.host} 6379 1\nsentinel auth-pass sessions {PASSWORD}\n"
    (folder / "sentinel.conf").write_text(f"bind {host}\nport 26379\nprotected-mode no\n{watched}")
    with subprocess.Popen(["redis-server", str(folder / "sentinel.conf"), "--sentinel"], stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis(host=host, port=26379, decode_responses=True) as client:
                yield client
        finally:
            process.kill()


def test_the_files_are_encrypted_and_come_back(source: Server, target: Server, tmp_path: Path) -> None:
    identity = x25519.Identity.generate()
    source.ask("SET", "marked", "a text that must not be seen")
    # To make a backup the public key is enough.
    made = Place(tmp_path, key=str(identity.to_public())).backup(standalone(source)).run()
    [file] = (tmp_path / "bucket" / made.id).glob("*.age")
    assert b"must not be seen" not in file.read_bytes()
    Place(tmp_path, key=f"# created: today\n{identity}\n").bring(standalone(target))
    assert target.ask("GET", "marked") == b"a text that must not be seen"


def test_a_single_servers_data_goes_into_a_cluster(source: Server, nodes: Nodes, place: Place) -> None:
    source.ask("FLUSHDB", database=3)
    place.backup(standalone(source)).run()
    place.bring(clustered(nodes, *places(3)))
    with redis.RedisCluster(host=nodes.hosts.of(places(1)[0]), protocol=2) as client:
        assert same(source, client)


def test_a_cluster_is_read_shard_by_shard_from_replicas_and_goes_into_a_single_server(
    source: Server, nodes: Nodes, target: Server, place: Place
) -> None:
    source.ask("FLUSHDB", database=3)
    place.backup(standalone(source)).run()
    connection = clustered(nodes, *places(3))
    place.bring(connection)
    for each in places(3):
        nodes.ask(each, "FUNCTION", "LOAD", FUNCTION)
    for each in places(3, 1):
        assert until(lambda each=each: nodes.ask(each, "FUNCTION", "LIST") != [], 10)  # type: ignore[misc]
    made = place.backup(connection).run()
    assert made.mode == "cluster"
    ids = {nodes.ask(each, "CLUSTER", "MYID") for each in places(3)}
    assert {part.node_id for part in made.parts} == ids
    assert {part.slots for part in made.parts} == {"0-5461", "5462-10922", "10923-16383"}
    assert all(part.file == f"{part.node_id}_{part.slots}.rdb" for part in made.parts)
    assert [part.read_from for part in made.parts if "(replica)" not in part.read_from] == []
    place.bring(standalone(target), made)
    assert same(source, target.client())
    assert target.ask("FCALL", "answer", "0") == 42


def test_a_cluster_that_is_being_changed_has_no_backup_of_that_time(nodes: Nodes, place: Place) -> None:
    connection = clustered(nodes, *places(3))
    one, other = places(2)
    nodes.ask(one, "CLUSTER", "SETSLOT", "7", "MIGRATING", nodes.ask(other, "CLUSTER", "MYID"))
    with pytest.raises(UnfinishedError, match="just being moved"):
        place.backup(connection).run()
    nodes.ask(one, "CLUSTER", "SETSLOT", "7", "STABLE")
    nodes.ask(one, "CLUSTER", "DELSLOTS", "8")
    with pytest.raises(UnfinishedError, match=r"1 slots of .* to have a master"):
        place.backup(connection).run()
    assert manifest.backups(place.store) == []


def test_slots_that_move_while_it_reads_are_noticed(nodes: Nodes, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run = place.backup(clustered(nodes, *places(3)))
    found = shards.find(run.cache)
    seen = iter([found, found[1:]])
    monkeypatch.setattr(shards, "find", lambda _: next(seen))
    with pytest.raises(UnfinishedError, match="some have moved"):
        run.run()
    assert manifest.backups(place.store) == []


def test_a_cache_that_speaks_tls(place: Place) -> None:
    certified = certify("DNS:a.name.that.it.is.not.called.by")
    lines = [f"tls-{name}-file {{folder}}/{file}" for name, file in (("cert", "tls.crt"), ("key", "tls.key"), ("ca-cert", "ca.crt"))]
    with server("redis", "tls-port 6380", "tls-auth-clients no", *lines, files=certified.files()) as source:
        fill(source)
        connection = standalone(source, port=6380, tls=True, ca_pem=certified.authority_pem)
        assert place.backup(connection).run().keys == KEYS
        assert place.bring(connection, force=True) == KEYS
        with pytest.raises(UnfinishedError, match="none of 1 servers"):
            place.backup({**connection, "ca_pem": certify("DNS:another").authority_pem}).run()


def test_a_backup_of_nothing_is_one(target: Server, place: Place) -> None:
    assert place.backup(standalone(target)).run().keys == 0
    assert place.bring(standalone(target)) == 0


def test_keys_that_have_expired_meanwhile_do_not_come_back(source: Server, target: Server, place: Place) -> None:
    source.ask("SET", "short", "lived", "PX", "1500")
    made = place.backup(standalone(source)).run()
    assert made.keys == KEYS + 1
    assert until(lambda: source.ask("EXISTS", "short") == 0, 5)
    place.restore().drill(made)
    assert place.bring(standalone(target), made) == KEYS


def test_backups_are_listed_oldest_first(source: Server, place: Place) -> None:
    ids = [place.backup(standalone(source)).run().id for _ in range(2)]
    assert sorted(ids) == sorted(each.id for each in manifest.backups(place.store))
