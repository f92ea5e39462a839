"""Caches that follow each other hold the same in the end, whatever is done to them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from common.waiting import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.migrate.servers import Server, server
from unit.replication.sites import EVENTS, alike, commands_seen, equal, of

KEYS = ["a", "b", "c"]
WRITES = st.one_of(
    st.tuples(st.just("SET"), st.sampled_from(KEYS), st.sampled_from(["1", "2", ""])),
    st.tuples(st.just("SET"), st.sampled_from(KEYS), st.just("passing"), st.just("PX"), st.sampled_from(["30", "60000"])),
    st.tuples(st.just("DEL"), st.sampled_from(KEYS)),
    st.tuples(st.just("RPUSH"), st.sampled_from(KEYS), st.sampled_from(["x", "y"])),
    st.tuples(st.just("HSET"), st.sampled_from(KEYS), st.sampled_from(["f", "g"]), st.sampled_from(["1", "2"])),
    st.tuples(st.just("ZADD"), st.sampled_from(KEYS), st.sampled_from(["1", "0.1"]), st.sampled_from(["m", "n"])),
    st.tuples(st.just("XADD"), st.sampled_from(KEYS), st.just("*"), st.just("f"), st.just("v")),
    st.tuples(st.just("EXPIRE"), st.sampled_from(KEYS), st.just("1000")),
    st.tuples(st.just("FLUSHALL")),
)
STEPS = st.lists(st.one_of(st.tuples(st.integers(0, 1), WRITES), st.sampled_from(["restart", "sweep"])), max_size=25)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    with server("redis", EVENTS) as one, server("valkey", EVENTS) as other:
        yield one, other


def do(pair: tuple[Server, Server], steps: list[Any], folder: Path) -> None:
    """Each step at either server while a replicator runs, is started anew, or is off."""
    one, other = pair
    for each in pair:
        each.ask("FLUSHALL")
    sites = of(folder, one=one, other=other)
    running = sites.replicating(leader=False, sweep_seconds=0.1)
    running.__enter__()
    try:
        for step in steps:
            if step == "restart":
                running.__exit__(None, None, None)
                running = sites.replicating(leader=False, sweep_seconds=0.1)
                running.__enter__()
            elif step == "sweep":
                swept = sites.sweeps()
                assert until(lambda swept=swept: sites.sweeps() > swept, 20, every=0.01)  # type: ignore[misc]
            else:
                number, words = step
                # A key of another type refuses it.
                with pair[number].client() as client, contextlib.suppress(redis.ResponseError):
                    client.execute_command(*words)
        assert alike(one.client(), other.client())
        # And so it stays.
        swept = sites.sweeps()
        assert until(lambda: sites.sweeps() > swept + 1, 20, every=0.01)
        assert equal(one.client(), other.client())
    finally:
        running.__exit__(None, None, None)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_operations_on_either_side_converge(pair: tuple[Server, Server], steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="mesh-") as folder:
        do(pair, steps, Path(folder))


@pytest.mark.long
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_very_many_operations_on_either_side_converge(pair: tuple[Server, Server], steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="mesh-") as folder:
        do(pair, steps, Path(folder))


def test_three_caches_follow_each_other(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("valkey", EVENTS) as two, server("redis", EVENTS) as three:
        one.ask("SET", "one", "1")
        with of(tmp_path, one=one, two=two, three=three).replicating(leader=False):
            two.ask("SET", "two", "2")
            three.ask("SADD", "three", "3")
            one.ask("DEL", "one")
            for each in (two, three):
                assert alike(one.client(), each.client())
            assert int(one.ask("DBSIZE")) == 2


def test_nothing_is_sent_back(tmp_path: Path) -> None:
    with (
        server("redis", EVENTS) as one,
        server("redis", EVENTS) as other,
        of(tmp_path, one=one, other=other).replicating(leader=False) as running,
        one.client() as client,
    ):
        for number in range(100):
            one.ask("SET", f"key{number}", "1")
        assert alike(one.client(), other.client())
        assert until(lambda: not running._backlog and running.done.compared >= 200, 10, every=0.01)
        assert running.done.copied == 100
        before = commands_seen(client)
        time.sleep(0.5)
        # This question is one; an idle connection's are few.
        assert commands_seen(client) - before < 10


def test_a_deleted_key_does_not_come_back_from_where_it_was_not_deleted_yet(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis", EVENTS) as other:
        sites = of(tmp_path, one=one, other=other)
        with one.client() as client:
            client.mset({f"key{number}": "1" for number in range(1000)})
        sites.replicate(leader=False)
        # While nobody replicates.
        other.ask("DEL", *(f"key{number}" for number in range(500)))
        sites.replicate(leader=False)
        assert int(one.ask("DBSIZE")) == int(other.ask("DBSIZE")) == 500


def test_of_two_writes_at_once_one_stays_everywhere_and_it_is_counted(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis", EVENTS) as other:
        sites = of(tmp_path, one=one, other=other)
        one.ask("SET", "key", "0")
        sites.replicate(leader=False)
        one.ask("SET", "key", "1")
        other.ask("SET", "key", "2")
        one.ask("SET", "kept", "1")
        assert sites.replicate(leader=False).conflicts == 1
        assert one.ask("GET", "key") == other.ask("GET", "key") == b"1"


def test_a_server_that_comes_back_empty_is_filled_again_and_an_emptied_one_empties_the_other(tmp_path: Path) -> None:
    with server("redis", EVENTS) as one, server("redis", EVENTS) as other:
        sites = of(tmp_path, one=one, other=other)
        with one.client() as client:
            client.mset({f"key{number}": "1" for number in range(1000)})
        sites.replicate(leader=False)
        one.end()
        with server("redis", EVENTS, host=one.host) as again:
            sites.replicate(leader=False)
            assert int(again.ask("DBSIZE")) == int(other.ask("DBSIZE")) == 1000
            assert any("has lost its data" in line for line in sites.said)
            again.ask("FLUSHALL")
            sites.replicate(leader=False)
            assert int(again.ask("DBSIZE")) == int(other.ask("DBSIZE")) == 0
