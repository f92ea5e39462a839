"""Memcached through `connect`, for threads and for asyncio: options, budgets, no stale reads, metrics."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from caches_runtime.client import AsyncMemcachedClient, LoginRefusedError, ShardAwayError, connect_async
from common.waiting import until
from prometheus_client import REGISTRY
from unit.client.both import Connects, fails_in
from unit.client.shards import shards
from unit.sentinel import loop

BUDGET = 0.5
SLACK = 5
"""A hung shard takes for ever, which tells them apart."""


def count(command: str, outcome: str) -> float:
    labels = {"cache": "shards", "command": command, "outcome": outcome}
    return REGISTRY.get_sample_value("caches_client_call_seconds_count", labels) or 0.0


def test_every_method_is_there_for_both(connects: Connects) -> None:
    with shards(3) as under:
        cache = connects({**under.connection, "port": 11211.0})
        cache.set("k", b"v", 60)
        assert (cache.get("k"), cache.get(b"k"), cache.get("none", b"other")) == (b"v", b"v", b"other")
        assert (cache.add("k", b"2"), cache.replace("k", b"2"), cache.touch("k", 100)) == (False, True, True)
        value, token = cache.get_with_token("k")
        assert (value, cache.cas("k", b"5", token), cache.cas("k", b"6", token)) == (b"2", True, False)
        assert (cache.incr("k", 5), cache.decr("k", 3)) == (10, 7)
        keys = {f"key{number}": b"%d" % number for number in range(100)}
        assert cache.set_many(keys) == {}
        assert cache.get_many([*keys, "none"]) == keys
        assert {key: value for key, (value, _) in cache.get_many_with_tokens(keys).items()} == keys
        assert cache.delete_many(keys) == {}
        cache.delete("k")
        assert cache.get_many([*keys, "k"]) == {}


def test_a_hung_shard_holds_no_call_longer_than_its_budget_and_nothing_old_is_read_from_it(connects: Connects) -> None:
    with shards(1) as under:
        [node] = under.processes
        cache = connects(under.connection, budget=BUDGET, retry_seconds=0, name="shards")
        before = {what: count(*what) for what in (("GET", "ok"), ("GET", "error"), ("SET", "ok"), ("DELETE", "error"))}
        cache.set("k", b"old")
        cache.get("k")
        under.send(node, signal.SIGSTOP)
        assert BUDGET <= fails_in(ShardAwayError, lambda: cache.delete("k")) < BUDGET + SLACK
        began = time.monotonic()
        assert cache.get("k") is None
        assert time.monotonic() - began < BUDGET + SLACK
        seen = {what: count(*what) - number for what, number in before.items()}
        assert seen == {("GET", "ok"): 1, ("GET", "error"): 1, ("SET", "ok"): 1, ("DELETE", "error"): 1}
        under.send(node, signal.SIGCONT)
        assert until(lambda: _stores(under.client(), "other"), 60, every=0.01)
        assert until(lambda: _stores(cache, "another"), 60, every=0.01)
        assert cache.get("k") is None


def _stores(cache: object, key: str) -> bool:
    return not cache.set_many({key: b"v"})  # type: ignore[attr-defined]


@pytest.mark.parametrize("mounted", [True, False])
def test_a_password_comes_from_where_it_is_kept_for_each_connection(connects: Connects, tmp_path: Path, mounted: bool) -> None:
    with shards(1, login=True) as under:
        [(node, server)] = under.processes.items()
        file = tmp_path / "password"
        file.write_text(f"{under.connection['password']}\n")
        kept = file if mounted else lambda: file.read_text().strip()
        cache = connects({**under.connection, "password": None}, credentials=kept)
        cache.set("k", b"v")
        server.accept("later-password")
        under.send(node, signal.SIGHUP)
        assert until(lambda: _is_refused(connects, under.connection), 60, every=0.1)
        file.write_text("later-password")
        assert connects({**under.connection, "password": None}, credentials=kept).get("k") == b"v"


def _is_refused(connects: Connects, connection: dict[str, object]) -> bool:
    try:
        connects(connection).get("k")
    except LoginRefusedError:
        return True
    return False


def test_more_calls_at_once_than_threads_keep_to_the_budget_too() -> None:
    with shards(1) as under:

        async def many() -> None:
            async with connect_async(under.connection, budget=BUDGET, retry_seconds=60) as cache:
                await cache.set("k", b"v")
                under.send(next(iter(under.processes)), signal.SIGSTOP)
                began = time.monotonic()
                failed = await asyncio.gather(*(cache.set("k", b"w") for _ in range(600)), return_exceptions=True)
                assert {type(each) for each in failed} == {ShardAwayError}
                assert time.monotonic() - began < BUDGET + SLACK

        loop.run(many())


def test_a_call_that_is_cancelled_leaves_the_client_whole() -> None:
    with shards(1) as under:
        [node] = under.processes

        async def cancelled() -> None:
            async with connect_async(under.connection, budget=BUDGET, retry_seconds=0) as cache:
                assert isinstance(cache, AsyncMemcachedClient)
                await cache.set("k", b"old")
                under.send(node, signal.SIGSTOP)
                writing = asyncio.create_task(cache.set("k", b"new"))
                await asyncio.sleep(0)
                writing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await writing
                under.send(node, signal.SIGCONT)
                while await cache.set_many({"other": b"v"}):
                    pass
                await cache.set("k", b"last")
                assert await cache.get("k") == b"last"

        loop.run(cancelled())
