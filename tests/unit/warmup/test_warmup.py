"""Warm-ups of real caches: what the source says is in the cache afterwards, and what the cache had stays."""

from __future__ import annotations

import gzip
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.ops.migrate.errors import UnfinishedError
from certificates import certify
from common.waiting import until
from unit.backup.caches import standalone
from unit.migrate.servers import PASSWORD, Server, fill, server
from unit.warmup.servers import KEYS, alike, cache, database, file, lines, many, memcached, postgresql, three_masters, url, warm, web

ALL_TYPES = [
    {"key": "text", "value": "ä value", "ttl": 1000},
    {"key": "number", "value": 1.5},
    {"key": "bytes", "value_base64": "AP8="},
    {"key": "hash", "type": "hash", "value": {"field": "one", "other": 2}, "ttl": 1000},
    {"key": "list", "type": "list", "value": ["a", "b", "a"]},
    {"key": "set", "type": "set", "value": ["a", "b"]},
    {"key": "zset", "type": "zset", "value": {"one": 1, "half": 0.5}},
    {"key": "long", "type": "list", "value": list(range(5000))},
]


@pytest.fixture
def target() -> Iterator[Server]:
    with server("redis") as made:
        yield made


def has_all_types(client: Any) -> None:
    assert client.get("text") == "ä value".encode()
    assert 900_000 < client.pttl("text") <= 1_000_000
    assert (client.get("number"), client.ttl("number")) == (b"1.5", -1)
    assert client.get("bytes") == b"\0\xff"
    assert client.hgetall("hash") == {b"field": b"one", b"other": b"2"}
    assert 900_000 < client.pttl("hash") <= 1_000_000
    assert client.lrange("list", 0, -1) == [b"a", b"b", b"a"]
    assert client.smembers("set") == {b"a", b"b"}
    assert client.zrange("zset", 0, -1, withscores=True) == [(b"half", 0.5), (b"one", 1.0)]
    assert client.lrange("long", 0, -1) == [str(number).encode() for number in range(5000)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_a_file_with_every_type(engine: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("warm.jsonl.gz" if packed else "warm.jsonl")
    path.write_bytes(gzip.compress(lines(*ALL_TYPES)) if packed else lines(*ALL_TYPES))
    with server(engine) as target:
        done = warm(standalone(target, engine=engine), file(path))
        assert (done.written, done.there, done.bad, done.keys, done.keys_before) == (8, 0, 0, 8, 0)
        has_all_types(target.client())
        assert warm(standalone(target), file(path)).there == 8


def test_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "warm.json").write_bytes(lines(*ALL_TYPES) + many())
    with three_masters() as (_, connection):
        done = warm(connection, file(tmp_path / "warm.json"))
        assert (done.written, done.keys) == (KEYS + 8, KEYS + 8)
        with redis.RedisCluster(host=connection["host"], protocol=2) as client:
            has_all_types(client)
            assert client.get("key4999") == b"value4999"


def test_a_csv_file(target: Server, tmp_path: Path) -> None:
    text = '\ufeffvalue,ttl,key\r\none,,first\r\n"two\nlines, ""quoted""",600,second\r\n\r\nthird,150.5,third\r\n'
    (tmp_path / "warm.csv").write_bytes(text.encode() + b"\xff\xfe,,bytes\r\n")
    assert warm(standalone(target), file(tmp_path / "warm.csv")).written == 4
    assert target.ask("MGET", "first", "second", "bytes") == [b"one", b'two\nlines, "quoted"', b"\xff\xfe"]
    assert target.ask("TTL", "first") == -1
    assert 500_000 < target.ask("PTTL", "second") <= 600_000


def test_what_the_cache_has_is_left_alone_unless_told_otherwise(target: Server, tmp_path: Path) -> None:
    target.ask("SET", "text", "newer")
    target.ask("SADD", "list", "newer")
    (tmp_path / "warm.jsonl").write_bytes(lines(*ALL_TYPES))
    done = warm(standalone(target), file(tmp_path / "warm.jsonl"))
    assert (done.written, done.there, done.keys_before) == (6, 2, 2)
    assert (target.ask("GET", "text"), target.ask("SMEMBERS", "list")) == (b"newer", [b"newer"])
    assert warm(standalone(target), file(tmp_path / "warm.jsonl"), overwrite=True).written == 8
    has_all_types(target.client())


def test_keys_that_say_nothing_live_as_long_as_the_default(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(lines(*ALL_TYPES))
    warm(standalone(target), file(tmp_path / "warm.jsonl"), default_seconds=3000)
    assert 900_000 < target.ask("PTTL", "text") <= 1_000_000
    assert 2_900_000 < target.ask("PTTL", "zset") <= 3_000_000


def test_times_to_live_are_spread_and_only_ever_shorter(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many())
    warm(standalone(target), file(tmp_path / "warm.jsonl"), jitter=0.5)
    lives = sorted(target.ask("PTTL", f"key{number}") for number in range(0, KEYS, 10))
    assert 1_700_000 < lives[0] < 1_900_000
    assert 3_400_000 < lives[-1] <= 3_600_000


def test_a_url_that_sends_on_and_packs(target: Server) -> None:
    def moved(request: Any) -> None:
        request.send_response(302)
        request.send_header("Location", "/there.jsonl.gz?signature=secret")
        request.end_headers()

    said: list[str] = []
    with web(moved, gzip.compress(many())) as address:
        assert warm(standalone(target), url(f"{address}/warm.jsonl?token=secret"), said).written == KEYS
    assert target.ask("GET", "key4999") == b"value4999"
    assert "secret" not in "".join(said)


def test_a_url_that_breaks_off_is_asked_again(target: Server) -> None:
    content = many()

    def breaks_off(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:-100])

    said: list[str] = []
    with web(503, breaks_off, content) as address:
        done = warm(standalone(target), url(f"{address}/warm.jsonl"), said)
    assert done.written + done.there == KEYS
    assert done.keys == KEYS
    assert sum("trying again: http://127.0.0.1" in line for line in said) == 2


def sqlite(folder: Path, keys: int = KEYS) -> str:
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE product (id INTEGER, name TEXT, price REAL, lives INTEGER)")
        rows = [(number, f"name{number}", number / 2, None if number % 2 else 600) for number in range(keys)]
        connection.executemany("INSERT INTO product VALUES (?, ?, ?, ?)", rows)
    return f"sqlite:///{folder / 'shop.db'}"


def test_a_query(target: Server, tmp_path: Path) -> None:
    query = "SELECT 'product:' || id AS key, name AS value, lives AS ttl FROM product WHERE name LIKE 'name%';"
    assert warm(standalone(target), database(sqlite(tmp_path), query)).written == KEYS
    assert target.ask("GET", "product:4999") == b"name4999"
    assert target.ask("TTL", "product:4999") == -1
    assert 500 < target.ask("TTL", "product:4998") <= 600


def test_a_query_of_postgresql(target: Server) -> None:
    with postgresql() as address:
        engine = sa.create_engine(address.replace("postgresql", "postgresql+psycopg"))
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE product (id int primary key, about jsonb, picture bytea, price numeric)"))
            rows = "SELECT n, jsonb_build_object('name', n), decode('00ff', 'hex'), n / 4.0 FROM generate_series(1, 5000) AS n"
            connection.execute(sa.text(f"INSERT INTO product {rows}"))
        engine.dispose()
        query = "SELECT 'about:' || id::text AS key, about AS value, 60 AS ttl FROM product"
        assert warm(standalone(target), database(address, query)).written == 5000
        assert target.ask("GET", "about:5000") == b'{"name": 5000}'
        assert warm(standalone(target), database(address, "SELECT id AS key, picture AS value FROM product")).written == 5000
        assert target.ask("GET", "7") == b"\0\xff"
        query = "SELECT concat('price:', id) AS key, price AS value FROM product WHERE id % 2 = 0"
        assert warm(standalone(target), database(address, query)).written == 2500
        assert float(target.ask("GET", "price:10")) == 2.5


def test_another_cache(target: Server) -> None:
    with server("redis") as source:
        fill(source)
        source.ask("FLUSHDB", database=3)
        assert warm(standalone(target), cache(standalone(source))).written == 2006
        assert alike(source.client(), target.client())


def test_another_cache_into_a_cluster_and_back(target: Server) -> None:
    with server("redis") as source, three_masters() as (_, connection):
        fill(source)
        source.ask("FLUSHDB", database=3)
        assert warm(connection, cache(standalone(source))).written == 2006
        assert warm(standalone(target), cache(connection)).written == 2006
        assert alike(source.client(), target.client())


def test_another_cache_whose_values_can_not_be_read_as_they_are() -> None:
    said: list[str] = []
    with server("redis") as source, server("valkey") as target:
        fill(source)
        source.ask("FLUSHDB", database=3)
        done = warm(standalone(target, engine="valkey"), cache(standalone(source)), said)
        assert (done.written, done.bad) == (2005, 1)
        assert "a key is a stream, which can't be brought into this cache" in said
        source.ask("DEL", "stream")
        assert alike(source.client(), target.client())


def test_memcached_gets_strings_where_clients_look_for_them(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many() + lines({"key": "list", "type": "list", "value": ["a"]}, {"key": "a b", "value": "c"}))
    with ExitStack() as closing:
        shards = [closing.enter_context(memcached(login=False)) for _ in range(3)]
        nodes = [shard["nodes"][0] for shard in shards]
        said: list[str] = []
        done = warm({**shards[0], "nodes": nodes}, file(tmp_path / "warm.jsonl"), said)
        assert (done.written, done.bad) == (KEYS + 1, 1)
        assert any(line == f"line {KEYS + 1} is a list, and Memcached only has strings" for line in said)
        with MemcachedClient({**shards[0], "nodes": nodes[::-1]}) as client:
            assert client.get_many(f"key{number}" for number in range(KEYS)) == {f"key{n}": f"value{n}".encode() for n in range(KEYS)}
            assert client.get("a b") == b"c"
        counts = [warm({**shard, "nodes": []}, file(tmp_path / "warm.jsonl")).there for shard in shards]
        assert sum(counts) == KEYS + 1
        assert min(counts) > KEYS / 5


def test_memcached_with_a_login_and_tls(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(100))
    with memcached(certificate=certify("DNS:another.name")) as connection:
        assert warm(connection, file(tmp_path / "warm.jsonl")).written == 100
        (tmp_path / "warm.jsonl").write_bytes(lines({"key": "key0", "value": "later", "ttl": 40 * 24 * 3600}))
        assert warm(connection, file(tmp_path / "warm.jsonl")).there == 1
        assert warm(connection, file(tmp_path / "warm.jsonl"), overwrite=True).written == 1


def test_another_cache_into_memcached() -> None:
    with server("redis") as source, memcached() as connection:
        source.ask("MSET", "a", "1", "b", "2")
        source.ask("RPUSH", "list", "1")
        done = warm(connection, cache(standalone(source)))
        assert (done.written, done.bad) == (2, 1)


def test_a_cache_that_begins_to_evict_is_filled_no_further(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(200_000))
    with server("redis", "maxmemory 3mb", "maxmemory-policy allkeys-lru") as target:
        done = warm(standalone(target), file(tmp_path / "warm.jsonl"), rate=20_000)
        assert done.full
        assert done.written < 100_000


def test_a_server_that_comes_back_empty_is_filled_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(20_000))
    said: list[str] = []
    with ExitStack() as closing:
        first = closing.enter_context(server("redis"))
        results: list[Any] = []
        connection = standalone(first)
        running = threading.Thread(target=lambda: results.append(warm(connection, file(tmp_path / "warm.jsonl"), said, rate=5000)))
        running.start()
        assert until(lambda: first.ask("DBSIZE") > 8000, 60)
        first.end()
        again = closing.enter_context(server("redis", host=first.host))
        running.join(120)
        assert any(line.startswith("trying again: ") for line in said)
        assert results[0].keys == again.ask("DBSIZE") == 20_000


def test_a_cache_that_speaks_tls(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(100))
    certified = certify("DNS:a.name.that.it.is.not.called.by")
    files = [f"tls-{name}-file {{folder}}/{file}" for name, file in (("cert", "tls.crt"), ("key", "tls.key"), ("ca-cert", "ca.crt"))]
    with server("redis", "tls-port 6380", "tls-auth-clients no", *files, files=certified.files()) as target, server("redis") as other:
        connection = standalone(target, port=6380, tls=True, ca_pem=certified.authority_pem)
        assert warm(connection, file(tmp_path / "warm.jsonl")).written == 100
        assert warm(standalone(other), cache(connection)).written == 100


def test_replicas_have_all_when_it_ends(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(20_000))
    with server("redis", f"replicaof {target.host} 6379", f"masterauth {PASSWORD}") as replica:
        assert until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), 20)
        warm(standalone(target), file(tmp_path / "warm.jsonl"))
        assert replica.ask("DBSIZE") >= 20_000
        # One that takes nothing any more is waited for.
        replica.process.send_signal(signal.SIGSTOP)
        (tmp_path / "warm.jsonl").write_bytes(many(20_001))
        with pytest.raises(UnfinishedError, match=r"1 of 1 replicas of .*, which are behind"):
            warm(standalone(target), file(tmp_path / "warm.jsonl"), seconds=5)
        replica.process.send_signal(signal.SIGCONT)
