"""The client with real servers: what it does, and whom it does not let wait."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from typing import Any

import pytest
from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.client.memcached_connection import LoginRefusedError, ReplyError
from caches_runtime.client.memcached_shard import ShardAwayError
from certificates import certify
from common.waiting import until
from unit.client.shards import BUDGET_SECONDS, Shards, shards

KEYS = [f"key{number}" for number in range(200)]
# What a call may take beyond its budget on a machine that does much else. A hung shard takes for ever, so it tells them apart.
SLACK_SECONDS = 10


def homes(client: MemcachedClient, under: Shards) -> dict[str, list[str]]:
    """Keys by the node where they are: asked of each server."""
    found = {}
    for node in under.processes:
        found[node] = list(under.client([node]).get_many(KEYS))
    assert sum(map(len, found.values())) == len(client.get_many(KEYS))
    return found


def test_all_commands() -> None:
    with shards(3) as under:
        client = under.client()
        assert client.get("k") is None
        assert client.get("k", b"other") == b"other"
        client.set("k", b"\r\nEND\r\n\x00", 60)
        assert client.get(b"k") == b"\r\nEND\r\n\x00"
        assert not client.add("k", b"2")
        assert client.replace("k", b"2")
        assert not client.replace("none", b"2")
        assert client.touch("k", 100)
        assert not client.touch("none", None)
        assert (client.incr("k", 5), client.decr("k", 100), client.incr("none"), client.decr("none")) == (7, 0, None, None)
        read = client.get_with_token("k")
        assert read
        client.set("k", b"between")
        assert not client.cas("k", b"late", read[1])
        client.delete("k")
        client.delete("k")
        assert client.add("k", b"")
        assert client.get("k") == b""


def test_a_process_may_have_thousands_of_files_open() -> None:
    with ExitStack() as opened, shards(1) as under:
        # Numbers of files beyond what select() can name.
        while opened.enter_context(open("/dev/null")).fileno() < 1100:
            pass
        client = under.client()
        client.set("k", b"1")
        assert client.get("k") == b"1"


def test_many_keys_of_any_kind() -> None:
    with shards(3) as under:
        client = under.client()
        values: dict[str | bytes, bytes] = {"a b": b"1", "": b"2", "x" * 300: b"3", b"\xff\r\n": b"4"}
        values.update({key: key.encode() for key in KEYS})
        assert client.set_many(values) == {}
        assert client.get_many([*values, "none"]) == values
        assert min(map(len, homes(client, under).values())) > len(KEYS) / 6
        assert client.delete_many(["a b", "none"]) == {}
        assert "a b" not in client.get_many(values)


def test_what_a_server_says_is_wrong_is_said_and_the_rest_is_stored() -> None:
    with shards(1) as under:
        client = under.client()
        client.set_many({"large": b"small", "text": b"x"})
        failed = client.set_many({"a": b"1", "large": bytes(2_000_000), "b": b"2"})
        assert list(failed) == ["large"]
        assert isinstance(failed["large"], ReplyError)
        assert client.get_many(["a", "b", "large"]) == {"a": b"1", "b": b"2"}
        with pytest.raises(ReplyError, match="non-numeric"):
            client.incr("text")


def test_a_hung_shard_takes_no_longer_than_the_budget_and_others_answer() -> None:
    with shards(3) as under:
        client = under.client(retry_seconds=60)
        client.set_many(dict.fromkeys(KEYS, b"v"))
        placed = homes(client, under)
        hung = next(iter(placed))
        under.send(hung, signal.SIGSTOP)
        began = time.monotonic()
        assert set(client.get_many(KEYS)) == set(KEYS) - set(placed[hung])
        assert BUDGET_SECONDS <= time.monotonic() - began < BUDGET_SECONDS + SLACK_SECONDS
        began = time.monotonic()
        assert [client.get(placed[hung][0]) for _ in range(50)] == [None] * 50
        assert time.monotonic() - began < 50 * BUDGET_SECONDS / 2, "an away shard is not asked again before retry_seconds"
        assert set(client.set_many(dict.fromkeys(KEYS, b"w"))) == set(placed[hung])
        with pytest.raises(ShardAwayError, match=hung):
            client.delete(placed[hung][0])
        under.send(hung, signal.SIGCONT)


def test_large_values_into_a_hung_shard_take_no_longer_either() -> None:
    with shards(1) as under:
        client = under.client()
        under.send(next(iter(under.processes)), signal.SIGSTOP)
        began = time.monotonic()
        assert len(client.set_many({key: bytes(500_000) for key in KEYS[:40]})) == 40
        assert time.monotonic() - began < BUDGET_SECONDS + SLACK_SECONDS


def test_a_restarted_shard_is_empty_and_used_at_once() -> None:
    with shards(2) as under:
        client = under.client()
        client.set_many(dict.fromkeys(KEYS, b"v"))
        placed = homes(client, under)
        lost = next(iter(placed))
        under.kill(lost)
        assert set(client.get_many(KEYS)) == set(KEYS) - set(placed[lost])
        under.start_again(lost)
        assert client.set_many(dict.fromkeys(KEYS, b"w")) == {}
        assert len(client.get_many(KEYS)) == len(KEYS)


@pytest.mark.parametrize("tls", [False, True])
def test_login_and_its_rotation(tls: bool) -> None:
    with shards(1, login=True, certificate=certify("DNS:another.name") if tls else None) as under:
        [(node, server)] = under.processes.items()
        client = under.client()
        client.set("k", b"v")
        server.accept("later-password")
        under.send(node, signal.SIGHUP)
        assert until(lambda: _refused(under), 60, every=0.1)
        assert client.get("k") == b"v", "an open connection stays"
        with pytest.raises(LoginRefusedError) as refused:
            under.client().set("k", b"other")
        assert under.connection["password"] not in str(refused.value)
        client.log_in("cache", "later-password")
        with MemcachedClient({**under.connection, "password": "later-password"}) as other:
            assert other.get("k") == b"v"
        assert client.get("k") == b"v"


def _refused(under: Shards) -> bool:
    try:
        under.client().get("k")
    except LoginRefusedError:
        return True
    return False


def test_a_certificate_by_another_authority_is_not_spoken_to() -> None:
    with shards(1, certificate=certify("DNS:server")) as under:
        under.connection["ca_pem"] = certify("DNS:server").authority_pem
        with pytest.raises(ShardAwayError, match="certificate verify failed"):
            under.client().set("k", b"v")


GOOD: dict[str, Any] = {"engine": "memcached", "mode": "sharded", "nodes": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"engine": "redis"}, {}, "engine = 'redis'"),
        ({"mode": "cluster"}, {}, "mode = 'cluster': must be 'sharded' or 'standalone'"),
        ({"mode": "standalone"}, {}, "'host' is missing"),
        ({"nodes": []}, {}, "nodes is empty"),
        ({"nodes": ["a"]}, {}, "nodes: 'a' is not HOST:PORT"),
        ({"password": "p"}, {}, "no username"),
        ({}, {"budget_seconds": 0}, "budget_seconds = 0"),
        ({}, {"changing": ["c:1"]}, "must be among the nodes"),
        ({}, {"changing": ["a:1", "b:1"]}, "at least one must stay"),
    ],
)
def test_what_can_not_be_used_is_refused(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MemcachedClient({**GOOD, **change}, **options)
