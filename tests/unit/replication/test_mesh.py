"""Caches that follow each other hold the same in the end, whatever is done to them."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from caches_runtime.replication import values
from common.waiting import until
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.migrate.servers import Server, content, server
from unit.replication.sites import EVENTS, Sites, alike, commands_seen, equal, of

KEYS = ["a", "b", "c"]
LASTING = [
    st.tuples(st.just("SET"), st.sampled_from(KEYS), st.sampled_from(["1", "2", ""])),
    st.tuples(st.just("DEL"), st.sampled_from(KEYS)),
    st.tuples(st.just("RPUSH"), st.sampled_from(KEYS), st.sampled_from(["x", "y"])),
    st.tuples(st.just("HSET"), st.sampled_from(KEYS), st.sampled_from(["f", "g"]), st.sampled_from(["1", "2"])),
    st.tuples(st.just("ZADD"), st.sampled_from(KEYS), st.sampled_from(["1", "0.1"]), st.sampled_from(["m", "n"])),
    st.tuples(st.just("XADD"), st.sampled_from(KEYS), st.just("*"), st.just("f"), st.just("v")),
    st.tuples(st.just("EXPIRE"), st.sampled_from(KEYS), st.just("1000")),
]
PASSING = [
    st.tuples(st.just("SET"), st.sampled_from(KEYS), st.just("passing"), st.just("PX"), st.sampled_from(["30", "60000"])),
    st.tuples(st.just("FLUSHALL")),
]
BETWEEN = st.sampled_from(["restart", "crash", "sweep"])
STEPS = st.lists(st.one_of(st.tuples(st.integers(0, 1), st.one_of(*LASTING, *PASSING)), BETWEEN), max_size=25)
OWNED = st.lists(st.one_of(st.tuples(st.integers(0, 1), st.one_of(*LASTING)), BETWEEN), max_size=25)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    with server("redis", EVENTS) as one, server("valkey", EVENTS) as other:
        yield one, other


class Crashed(BaseException):
    """Where it does most harm: something is written, and not noted."""


class Runs:
    """Replicators of a mesh, one after the other."""

    def __init__(self, sites: Sites) -> None:
        self.sites = sites
        self.crash = threading.Event()
        self._put: Callable[..., Any] = values.put
        self._running: AbstractContextManager[Any] = nullcontext()

    def __enter__(self) -> Runs:
        values.put = cast(Any, self._put_and_crash)
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        values.put = self._put
        self.end()

    def end(self) -> None:
        with contextlib.suppress(Crashed):
            self._running.__exit__(None, None, None)

    def restart(self) -> None:
        """Also after a crash."""
        self.end()
        self.crash.clear()
        self._running = self.sites.replicating(leader=False, sweep_seconds=0.1)
        self._running.__enter__()

    def sweep(self) -> None:
        """Returns after a whole one, or when it has crashed."""
        swept = self.sites.sweeps()
        assert until(lambda: self.sites.sweeps() > swept + 1 or self.crash.is_set(), 30, every=0.01)

    def _put_and_crash(self, site: Any, gift: Any) -> Any:
        problems = self._put(site, gift)
        if self.crash.is_set():
            raise Crashed
        return problems


def do(pair: tuple[Server, Server], steps: list[Any], folder: Path, *, owned: bool) -> None:
    """Each step at either server while a replicator runs, crashes, or is started anew; `owned` for keys that one of them has for itself."""
    one, other = pair
    for each in pair:
        each.ask("FLUSHALL")
    with Runs(of(folder, one=one, other=other)) as runs:
        for step in steps:
            if step == "restart":
                runs.restart()
            elif step == "crash":
                runs.crash.set()
            elif step == "sweep":
                runs.sweep()
            else:
                number, words = step
                if owned:
                    words = (words[0], f"{words[1]}{number}", *words[2:])
                # A key of another type refuses it.
                with pair[number].client() as client, contextlib.suppress(redis.ResponseError):
                    client.execute_command(*words)
        written = [_owned(each, number) for number, each in enumerate(pair)]
        runs.restart()
        assert alike(one.client(), other.client())
        assert not owned or written == [_owned(each, number) for number, each in enumerate(pair)]
        # And so it stays.
        runs.sweep()
        assert equal(one.client(), other.client())


def _owned(owner: Server, number: int) -> dict[bytes, Any]:
    """What an owner has."""
    with owner.client() as client:
        return {key: value[:2] for key, value in content(client).items() if key.endswith(b"%d" % number)}


@settings(max_examples=10, deadline=None)
@given(steps=STEPS)
def test_any_operations_on_either_side_converge(pair: tuple[Server, Server], steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="mesh-") as folder:
        do(pair, steps, Path(folder), owned=False)


@settings(max_examples=10, deadline=None)
@given(steps=OWNED)
def test_what_one_side_writes_alone_is_never_undone(pair: tuple[Server, Server], steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="mesh-") as folder:
        do(pair, steps, Path(folder), owned=True)


@pytest.mark.long
@settings(max_examples=120, deadline=None)
@given(steps=st.one_of(STEPS.map(lambda steps: (False, steps)), OWNED.map(lambda steps: (True, steps))))
def test_very_many_operations(pair: tuple[Server, Server], steps: tuple[bool, list[Any]]) -> None:
    with tempfile.TemporaryDirectory(prefix="mesh-") as folder:
        do(pair, steps[1], Path(folder), owned=steps[0])


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


def test_a_connection_that_is_lost_between_a_write_and_its_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, lost = values.put, list[int]()
    with server("redis", EVENTS) as one, server("redis", EVENTS) as other:

        def put(site: Any, gift: Any) -> Any:
            problems = real(site, gift)
            if not lost and b"key" in gift:
                lost.append(1)
                # A newer one at the giver, before anybody looks again.
                one.ask("SET", "key", "newer")
                other.ask("SET", "another", "1")
                raise redis.ConnectionError("lost")
            return problems

        one.ask("SET", "key", "old")
        sites = of(tmp_path, one=one, other=other)
        sites.replicate(leader=False)
        monkeypatch.setattr(values, "put", put)
        one.ask("SET", "key", "new")
        done = sites.replicate(leader=False)
        assert lost
        assert done.conflicts == 0
        assert one.ask("GET", "key") == other.ask("GET", "key") == b"newer"
        assert one.ask("GET", "another") == b"1"


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
