"""What clients change at one cache comes to another."""

from __future__ import annotations

import random
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from common.waiting import until
from unit.backup.caches import standalone
from unit.migrate.servers import server
from unit.replication.sites import EVENTS, REFUSING, Sites, alike, equal, limited, of

# So often that no test waits for the next one.
OFTEN = 0.2


def test_changes_and_deletions_and_expiries_follow(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("valkey") as other:
        one.ask("SET", "there", "1")
        with of(tmp_path, one=one, other=other).replicating(), other.client() as seen:
            one.ask("SET", "text", "2", "PX", "300")
            one.ask("RPUSH", "list", "a", "b")
            assert until(lambda: seen.lrange("list", 0, -1) == [b"a", b"b"], 10, every=0.01)
            one.ask("LPOP", "list")
            one.ask("DEL", "there")
            one.ask("HSET", "there", "x", "1")
            assert until(lambda: seen.type("there") == b"hash", 10, every=0.01)
            assert until(lambda: seen.exists("text") == 0, 10, every=0.01)
            one.ask("PEXPIRE", "there", "500000")
            assert until(lambda: seen.pttl("there") > 400_000, 10, every=0.01)
            one.ask("DEL", "list", "there")
            assert until(lambda: seen.dbsize() == 0, 10, every=0.01)


def test_a_key_that_is_written_and_deleted_over_and_over_ends_as_it_is(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311
    with server("redis", EVENTS) as one, server("redis") as other, of(tmp_path, one=one, other=other).replicating():
        with one.client() as client:
            for _ in range(200):
                with client.pipeline(transaction=False) as pipe:
                    for _ in range(50):
                        key = f"key{chance.randrange(20)}"
                        pipe.delete(key) if chance.random() < 0.5 else pipe.set(key, chance.random())
                    pipe.execute()
        assert alike(one.client(), other.client())
        # Nothing comes back once all is quiet.
        assert not until(lambda: not equal(one.client(), other.client()), 0.5, every=0.05)


def test_it_begins_while_clients_write(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other:
        sites, ended = of(tmp_path, one=one, other=other), threading.Event()

        def write() -> None:
            with one.client() as client:
                while not ended.is_set():
                    client.mset({f"key{number}": time.monotonic() for number in range(200)})

        writing = threading.Thread(target=write)
        writing.start()
        try:
            for _ in range(5):
                with sites.replicating():
                    pass
        finally:
            ended.set()
            writing.join()
        with sites.replicating():
            assert alike(one.client(), other.client())
        assert not any("starting over" in line for line in sites.said)


def test_an_emptied_database_is_seen_by_the_sweep_and_other_peoples_keys_stay(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other:
        with one.client() as client:
            client.mset({f"key{number}": number for number in range(2500)})
        other.ask("SET", "foreign", "1")
        with of(tmp_path, one=one, other=other).replicating(into_non_empty=True, sweep_seconds=OFTEN):
            assert int(other.ask("DBSIZE")) == 2501
            one.ask("FLUSHALL")
            assert until(lambda: other.ask("KEYS", "*") == [b"foreign"], 30, every=0.05)


def test_a_server_without_keyspace_events_is_followed_by_client_tracking(tmp_path: Path) -> None:
    with server("redis") as one, server("valkey") as other:
        sites = of(tmp_path, one=one, other=other)
        with sites.replicating(leader=False):
            one.ask("SET", "key", "1", "PX", "500")
            other.ask("SADD", "set", "1")
            assert until(lambda: other.ask("EXISTS", "key") == one.ask("EXISTS", "set") == 1, 20, every=0.01)
            assert until(lambda: other.ask("EXISTS", "key") == 0, 20, every=0.05)
            one.ask("FLUSHALL")
            assert until(lambda: int(other.ask("DBSIZE")) == 0, 20, every=0.05)
        assert all("notify-keyspace-events must have the letters E and A" in line and "TRACKING" in line for line in sites.said[:2])


def test_a_server_that_tells_nothing_is_followed_by_sweeps_and_says_so(tmp_path: Path) -> None:
    with server("redis", *REFUSING) as one, server("redis") as other:
        sites = Sites(tmp_path, one=limited(one), other=standalone(other))
        with sites.replicating(sweep_seconds=OFTEN):
            one.ask("SET", "key", "1")
            assert until(lambda: other.ask("GET", "key") == b"1", 20, every=0.05)
        assert "notify-keyspace-events must have the letters E and A" in sites.said[0]
        assert "by sweeps only, every 0.2 s" in sites.said[0]


def test_a_server_that_tells_half_of_it_is_found_out(tmp_path: Path) -> None:
    with server("redis", "notify-keyspace-events E$g") as one, server("redis") as other:
        sites = of(tmp_path, one=one, other=other)
        sites.replicate()
        assert "(hset, rpush, sadd, xadd, zadd)" in sites.said[0]


def test_more_changes_than_are_remembered_are_found_by_a_sweep(tmp_path: Path) -> None:
    with (
        server("redis", EVENTS) as one,
        server("redis") as other,
        of(tmp_path, one=one, other=other).replicating(backlog_keys=10) as running,
        one.client() as client,
    ):
        for number in range(20):
            client.mset({f"key{number}:{each}": "1" for each in range(500)})
        assert alike(one.client(), other.client())
        assert len(running._backlog) <= 10


def test_what_others_write_to_the_copy_is_undone_by_the_sweep(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other:
        one.ask("SET", "key", "1")
        with of(tmp_path, one=one, other=other).replicating(sweep_seconds=OFTEN):
            other.ask("SET", "key", "2")
            assert until(lambda: other.ask("GET", "key") == b"1", 20, every=0.05)


def test_metrics_and_health(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other, of(tmp_path, one=one, other=other).replicating() as running:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        end = running.metrics.serve(port)
        try:

            def asked(path: str) -> str:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                    return str(answer.read().decode())

            one.ask("SET", "secret-key", "secret-value")
            assert until(lambda: "caches_replicate_change_seconds_count 1.0" in asked("/metrics"), 10, every=0.05)
            metrics = asked("/metrics")
            assert f'caches_replicate_keys_copied_total{{site="{other.host}:6379"}} 1.0' in metrics
            assert f'caches_replicate_events{{site="{one.host}:6379"}} 1.0' in metrics
            for name in ("lag_seconds 0.0", "backlog_keys 0.0", "divergent_keys 0.0", "up 1.0", "sweep_timestamp_seconds 1"):
                assert f"caches_replicate_{name}" in metrics
            assert "secret" not in metrics
            assert asked("/healthz") == "ok\n"
            other.end()
            with pytest.raises(urllib.error.HTTPError, match="503"):
                until(lambda: not asked("/healthz"), 20, every=0.05)
        finally:
            end()
