"""Copies of all types, between all kinds of caches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.replication import values
from caches_runtime.replication.wanted import Wanted
from unit.backup.caches import standalone
from unit.migrate.servers import LARGE, PASSWORD, fill, server
from unit.replication.sites import EVENTS, REFUSING, Sites, alike, equal, limited, of
from unit.warmup.servers import three_masters


@pytest.mark.parametrize(("source", "target"), [("redis", "redis"), ("redis", "valkey"), ("valkey", "redis")])
def test_every_type_is_the_same_afterwards_and_nothing_is_copied_twice(tmp_path: Path, source: str, target: str) -> None:
    with server(source, EVENTS) as one, server(target) as other:
        fill(one)
        one.ask("FLUSHDB", database=3)
        one.ask("PEXPIREAT", "hash", str(int(time.time() * 1000) + 500_000))
        sites = of(tmp_path, one=one, other=other)
        keys = int(one.ask("DBSIZE"))
        assert sites.replicate().copied == keys
        assert equal(one.client(), other.client())
        assert one.ask("PEXPIRETIME", "hash") == other.ask("PEXPIRETIME", "hash")
        assert sites.replicate().copied == 0


def test_streams_keep_what_is_pending(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("valkey") as other:
        with one.client() as client:
            for number in range(5):
                client.xadd("stream", {"number": number}, id=f"{number + 1}-0")
            client.xdel("stream", "5-0")
            client.xgroup_create("stream", "group", id="0")
            client.xreadgroup("group", "worker", {"stream": ">"}, count=3)
            client.xack("stream", "group", "1-0")
            client.xgroup_createconsumer("stream", "group", "idle")
            client.xgroup_create("empty", "group", mkstream=True)
        of(tmp_path, one=one, other=other).replicate()
        for words in (
            ("XINFO", "GROUPS", "stream"),
            ("XPENDING", "stream", "group"),
            ("XINFO", "GROUPS", "empty"),
            ("XRANGE", "stream", "-", "+"),
        ):
            assert one.ask(*words) == other.ask(*words)
        for field in (b"last-generated-id", b"entries-added", b"max-deleted-entry-id"):
            facts = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in (s.ask("XINFO", "STREAM", "stream") for s in (one, other))]
            assert facts[0][field] == facts[1][field], field


def test_fields_of_hashes_keep_their_time_to_live_where_both_know_it_and_lose_it_elsewhere(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other, server("valkey") as ignorant:
        one.ask("HSET", "hash", "lasting", "1", "passing", "2")
        one.ask("HEXPIRE", "hash", "1000", "FIELDS", "1", "passing")
        of(tmp_path, one=one, other=other).replicate()
        wanted = ("HPEXPIRETIME", "hash", "FIELDS", "2", "lasting", "passing")
        assert one.ask(*wanted) == other.ask(*wanted)
        (tmp_path / "two").mkdir()
        of(tmp_path / "two", one=one, other=ignorant).replicate()
        with ignorant.client() as theirs, one.client() as ours:
            assert theirs.hgetall("hash") == ours.hgetall("hash")


def test_a_type_that_only_one_engine_knows_is_brought_as_it_is_kept_or_counted(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other, server("valkey") as ignorant:
        one.ask("VADD", "vectors", "VALUES", "3", "1", "2", "3", "element")
        one.ask("SET", "text", "1")
        assert of(tmp_path, one=one, other=other).replicate().errors == 0
        assert other.ask("VCARD", "vectors") == 1
        (tmp_path / "two").mkdir()
        sites = of(tmp_path / "two", one=one, other=ignorant)
        assert sites.replicate().errors == 1
        assert ignorant.ask("GET", "text") == b"1"
        assert any("can't be brought" in line for line in sites.said)
        assert not any("vectors" in line for line in sites.said)


def test_into_a_cluster_and_back(tmp_path: Path) -> None:
    with three_masters() as (_, reached), server("valkey", EVENTS) as one, server("redis") as back:
        fill(one)
        one.ask("FLUSHDB", database=3)
        connection = {**reached, "auth": "none"}
        Sites(tmp_path, one=standalone(one), cluster=connection).replicate()
        (tmp_path / "back").mkdir()
        Sites(tmp_path / "back", cluster=connection, back=standalone(back)).replicate()
        assert equal(one.client(), back.client())


def test_only_keys_that_are_wanted(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other:
        for key in ("user:1", "user:temporary:1", "order:1", "pulumi-caches:migration", "user:é"):
            one.ask("SET", key, "1")
        of(tmp_path, one=one, other=other).replicate(wanted=Wanted(("user:*",), ("*temporary*",)))
        assert set(other.ask("KEYS", "*")) == {b"user:1", "user:é".encode()}


def test_servers_that_refuse_what_clouds_refuse(tmp_path: Path) -> None:
    with server("redis", EVENTS, *REFUSING) as one, server("valkey", EVENTS, *REFUSING) as other:
        fill(one, 300)
        one.ask("FLUSHDB", database=3)
        sites = Sites(tmp_path, one=limited(one), other=limited(other))
        with sites.replicating(leader=False):
            other.ask("SET", "later", "1")
            one.ask("DEL", "text7")
            assert alike(one.client(), other.client())
        assert sites.said == sites.said[:1], sites.said


def test_a_source_that_may_only_be_read(tmp_path: Path) -> None:
    rights = "+@read +info +time +ping +multi +exec +psubscribe"
    with server("redis", EVENTS, f"user limited on >{PASSWORD} ~* &* -@all {rights}") as one, server("valkey") as other:
        one.ask("HSET", "hash", "a", "1")
        sites = Sites(tmp_path, one=limited(one), other=standalone(other))
        with sites.replicating():
            one.ask("DEL", "hash")
            one.ask("SET", "later", "1")
            assert alike(one.client(), other.client())
        assert "may not be written to, so nobody knows whether it has keyspace events" in sites.said[0]


def test_no_faster_than_allowed(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other:
        with one.client() as client:
            client.mset({f"key{number}": "x" * 1000 for number in range(3000)})
        limits: list[dict[str, Any]] = [{"keys_per_second": 2000.0}, {"bytes_per_second": 2_000_000.0}]
        for limit in limits:
            other.ask("FLUSHALL")
            folder = tmp_path / next(iter(limit))
            folder.mkdir()
            began = time.monotonic()
            of(folder, one=one, other=other).replicate(**limit)
            assert time.monotonic() - began > 0.8
            assert int(other.ask("DBSIZE")) == 3000


def test_large_values_come_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    portions: list[int] = []
    real = values.contents

    def contents(site: Any, keys: Any, *more: Any, **options: Any) -> Any:
        portions.append(len(keys))
        return real(site, keys, *more, **options)

    monkeypatch.setattr(values, "contents", contents)
    with server("redis", EVENTS) as one, server("redis") as other:
        for number in range(6):
            one.ask("SET", f"large{number}", "x" * 9_000_000)
        one.ask("RPUSH", "list", *(["y" * 100] * LARGE))
        of(tmp_path, one=one, other=other).replicate()
        assert equal(one.client(), other.client())
    assert max(portions) <= 2
