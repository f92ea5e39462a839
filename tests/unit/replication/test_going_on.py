"""Replication goes on by itself when servers hang, die, move or return, and after its own process was killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import redis
from caches_runtime.ops.cluster_state import Wanted
from certificates import certify
from common.waiting import until
from unit.backup.caches import clustered, standalone
from unit.client.processes import processes
from unit.client.test_topologies import SENTINELS, begin, exported
from unit.cluster_nodes import cluster_nodes
from unit.migrate.servers import server
from unit.replication.sites import EVENTS, Sites, alike, equal, of

KEYS = 20_000


@pytest.mark.parametrize("hangs", ["one", "other"])
def test_a_server_that_hangs(tmp_path: Path, hangs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caches_runtime.replication.site.ANSWER_SECONDS", 0.5)
    with server("redis", EVENTS) as one, server("redis") as other, of(tmp_path, one=one, other=other).replicating() as running:
        hung = {"one": one, "other": other}[hangs].process
        hung.send_signal(signal.SIGSTOP)
        try:
            assert until(lambda: not running.metrics.healthy, 20, every=0.02)
            if hangs == "other":
                one.ask("SET", "meanwhile", "1")
                one.ask("DEL", "never")
        finally:
            hung.send_signal(signal.SIGCONT)
        one.ask("SET", "later", "1")
        assert alike(one.client(), other.client())
        assert until(lambda: running.metrics.healthy, 20, every=0.02)


def test_servers_that_are_killed_and_come_back(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other:
        sites = of(tmp_path, one=one, other=other)
        with one.client() as client:
            client.mset({f"key{number}": number for number in range(1000)})
        with sites.replicating() as running:
            other.end()
            one.ask("SET", "meanwhile", "1")
            one.ask("DEL", "key1")
            assert until(lambda: not running.metrics.healthy, 20, every=0.02)
            with server("redis", host=other.host) as again:
                assert alike(one.client(), again.client())
                swept = sites.sweeps()
                # The leader has lost its data: the copy keeps them, and takes what is new.
                assert until(lambda: sites.sweeps() >= swept, 10, every=0.02)
                one.end()
                assert until(lambda: not running.metrics.healthy, 20, every=0.02)
                with server("redis", EVENTS, host=one.host) as empty:
                    empty.ask("SET", "new", "1")
                    assert until(lambda: again.ask("GET", "new") == b"1", 20, every=0.02)
                    assert int(again.ask("DBSIZE")) == 1001


def test_after_sigkill_it_goes_on_without_copying_all_again(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis", EVENTS) as other:
        with one.client() as client:
            client.mset({f"key{number}": number for number in range(KEYS)})
        sites = of(tmp_path, one=one, other=other)
        for _ in range(3):
            before = int(other.ask("DBSIZE"))
            started = sites.command("run", "--mesh={one}", "--mesh={other}", "--state={state}", "--keys-per-second=10000")
            try:
                assert until(lambda before=before: int(other.ask("DBSIZE")) > before + 1000, 60, every=0.01)  # type: ignore[misc]
            finally:
                started.kill()
                said = started.communicate()[0]
            assert started.returncode == -signal.SIGKILL, said
            # While it is away, of those that were copied.
            gone, changed = (other.ask("RANDOMKEY").decode() for _ in range(2))
            one.ask("DEL", gone)
            other.ask("SET", changed, "newer")
        there = int(other.ask("DBSIZE"))
        assert there < KEYS
        done = sites.replicate(leader=False)
        assert done.copied <= KEYS - there + 6
        assert equal(one.client(), other.client())
        assert one.ask("GET", changed) == b"newer"
        assert gone == changed or one.ask("EXISTS", gone) == 0


def test_a_full_target_is_filled_once_it_has_room(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis", "maxmemory 6mb") as other:
        with one.client() as client:
            client.mset({f"key{number}": "x" * 5000 for number in range(2000)})
            client.rpush("list", *(["y" * 1000] * 50))
        with of(tmp_path, one=one, other=other).replicating(sweep_seconds=0.5) as running:
            assert running.done.errors > 300
            assert not equal(one.client(), other.client())
            other.ask("CONFIG", "SET", "maxmemory", "0")
            assert alike(one.client(), other.client())


def test_it_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis") as other:
        started = of(tmp_path, one=one, other=other).command("run", "--from={one}", "--to={other}", "--state={state}")
        one.ask("SET", "key", "1")
        assert until(lambda: other.ask("GET", "key") == b"1", 60, every=0.02)
        started.terminate()
        said = started.communicate(timeout=60)[0]
        assert started.returncode == 5, said


def test_a_group_whose_master_is_killed(tmp_path: Path) -> None:
    with processes("valkey", certify("DNS:a.group")) as group, server("redis") as other:
        begin(group)
        # Of every server, whoever becomes the master.
        for number in (1, 2, 3):
            group.ask(number, "CONFIG", "SET", "notify-keyspace-events", "AE")
        sites = Sites(tmp_path, one=exported(group), other=standalone(other))
        with sites.replicating(sweep_seconds=1), other.client() as seen:
            group.ask(1, "SET", "before", "1")
            group.ask(1, "WAIT", "2", "5000")
            assert until(lambda: seen.get("before") == b"1", 20, every=0.02)
            group.signal(1, signal.SIGKILL)

            def master() -> int:
                host = group.ask(SENTINELS[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "cache")[0]
                return int(host.rpartition(".")[2])

            assert until(lambda: master() != 1, 30, every=0.1)
            assert until(lambda: group.ask(master(), "ROLE")[0] == "master", 30, every=0.1)
            group.ask(master(), "SET", "after", "1")
            group.ask(master(), "DEL", "before")
            assert until(lambda: seen.get("after") == b"1" and seen.exists("before") == 0, 40, every=0.05)


def test_a_cluster_whose_master_is_killed(tmp_path: Path) -> None:
    with cluster_nodes("redis", "+@all") as nodes, server("redis") as other:
        places = list(Wanted(3, 1).places())
        nodes.start(*places)
        nodes.repair(3, 1)
        for place in places:
            nodes.ask(place, "CONFIG", "SET", "notify-keyspace-events", "AE")
        sites = Sites(tmp_path, one=clustered(nodes, *places, auth="none"), other=standalone(other))
        keys = [f"key{number}" for number in range(50)]
        with sites.replicating(sweep_seconds=1), other.client() as seen:
            with nodes.clients() as clients:
                clients.mset_nonatomic(dict.fromkeys(keys, "1"))
            assert until(lambda: seen.mget(keys) == [b"1"] * 50, 20, every=0.02)
            assert until(
                lambda: all("state=online" in str(nodes.ask(place, "INFO", "replication")) for place in places[::2]), 20, every=0.1
            )
            nodes.end(places[0])

            def written() -> bool:
                try:
                    with nodes.clients() as clients:
                        return bool(clients.mset_nonatomic(dict.fromkeys(keys, "2")))
                except redis.RedisError:
                    return False

            assert until(written, 40, every=0.1)
            assert until(lambda: seen.mget(keys) == [b"2"] * 50, 40, every=0.05)
