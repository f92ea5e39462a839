"""Writes that reach the source later: their order, bounds, refusals, and what is left of them after SIGKILL."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.client import connect
from caches_runtime.patterns import AsyncWriteBehind, LoadingCache, Namespace, QueueFullError, Strategy, WriteBehind
from caches_runtime.patterns.write_queue import WriteQueue
from common.waiting import until
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from unit.patterns.sides import Side

NOWHERE: dict[str, Any] = {"engine": "redis", "mode": "standalone", "host": "127.0.0.1", "port": 1, "auth": "none"}


def alone(name: str) -> LoadingCache:
    """A cache that is away: a queue has to do without."""
    return LoadingCache(connect(NOWHERE, budget=0.05), Namespace(name), Strategy(rest_seconds=3600))


class Shop:
    """A source, a process whose writes reach it later, and another process."""

    def __init__(self, over: Side, path: Path) -> None:
        self.over, self.source = over, dict.fromkeys((b"a", b"b"), 0)
        self.own = over.cache(Strategy(load_seconds=0.1))
        self.other = over.cache(Strategy(load_seconds=0.1), self.own.namespace)
        self.behind = AsyncWriteBehind(self.own, path, over.function(self._write))

    def load(self, key: str, meanwhile: Callable[[], Awaitable[None]] | None = None) -> Callable[[], Any]:
        """For readers; something may happen after the source has answered."""

        async def loaded() -> int:
            value = self.source[key.encode()]
            if meanwhile:
                await meanwhile()
            return value

        return self.over.function(loaded)

    async def _write(self, key: bytes, value: int) -> None:
        self.source[key] = value


def test_a_write_is_seen_at_once_and_reaches_the_source(over: Side, tmp_path: Path) -> None:
    shop = Shop(over, tmp_path / "queue")

    async def asks() -> list[Any]:
        values = [await shop.behind.get_or_load("a", shop.load("a")), await shop.behind.write("a", 7), shop.source[b"a"]]
        values.append(await shop.behind.get_or_load("a", shop.load("a")))
        await shop.own.invalidate("a")
        values.append(await shop.behind.get_or_load("a", shop.load("a")))
        await shop.behind.start()
        while await shop.behind.waiting():
            await shop.own.driver.sleep(0.01)
        await shop.behind.aclose()
        return [*values, shop.source[b"a"]]

    assert over.run(asks()) == [0, True, 0, 7, 7, 7]


STEPS = st.tuples(st.sampled_from(["write", "write", "send", "own read", "other read", "lose"]), st.sampled_from(["a", "a", "a", "b"]))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@example(program=[(("write", "a"), []), (("lose", "a"), []), (("other read", "a"), [("send", "a")])])
@given(program=st.lists(st.tuples(STEPS, st.lists(STEPS, max_size=2)), max_size=8))
def test_nobody_sees_what_is_older_than_promised(
    over: Side, tmp_path_factory: pytest.TempPathFactory, program: list[tuple[tuple[str, str], list[tuple[str, str]]]]
) -> None:
    shop, numbers = Shop(over, tmp_path_factory.mktemp("queue") / "queue"), itertools.count(1)
    written = dict.fromkeys("ab", 0)
    arrived = dict.fromkeys("ab", 0)

    async def do(what: str, key: str, meanwhile: list[tuple[str, str]]) -> None:
        async def inside() -> None:
            for step in meanwhile:
                await do(*step, [])

        if what == "write":
            value = next(numbers)
            assert await shop.behind.write(key, value)
            written[key] = value
        elif what == "send":
            await shop.behind.send_next()
            arrived.update({each: shop.source[each.encode()] for each in "ab"})
        elif what == "lose":
            await shop.other.invalidate(key)
        elif what == "own read":
            least = written[key]
            assert await shop.behind.get_or_load(key, shop.load(key, inside)) >= least
        else:
            least = arrived[key]
            assert await shop.other.get_or_load(key, shop.load(key, inside)) >= least

    async def all_of_it() -> None:
        for (what, key), meanwhile in program:
            await do(what, key, meanwhile)
        while await shop.behind.send_next():
            pass
        for cache, key in itertools.product((shop.own, shop.other), "ab"):
            assert await cache.get_or_load(key, shop.load(key)) == written[key]
        await shop.behind.aclose()

    over.run(all_of_it())


WRITER = """
import sys
from unit.patterns.test_write_behind import alone
from caches_runtime.patterns import WriteBehind
with alone("killed") as cache:
    behind = WriteBehind(cache, sys.argv[1], None)
    for number in range(10**9):
        behind.write(f"key-{number % 3}", number)
        print(number, flush=True)
"""


def test_every_acknowledged_write_survives_sigkill_in_the_order_of_its_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{WRITER}", str(tmp_path / "queue")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        acknowledged = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    arrived: list[tuple[bytes, Any]] = []
    with alone("killed") as cache, WriteBehind(cache, tmp_path / "queue", lambda key, value: arrived.append((key, value))) as behind:
        assert until(lambda: not behind.waiting(), 30, every=0.01)
    assert {value for _, value in arrived} >= set(acknowledged)
    for key in {key for key, _ in arrived}:
        values = [value for of, value in arrived if of == key]
        assert values == sorted(values)


def test_a_write_that_fails_is_tried_again_and_holds_up_only_its_key(tmp_path: Path) -> None:
    arrived: list[tuple[bytes, int]] = []
    failures = itertools.count()

    def write(key: bytes, value: int) -> None:
        if (key, value) == (b"a", 1) and next(failures) < 3:
            raise OSError("the source is away")
        arrived.append((key, value))

    with alone("again") as cache:
        behind = WriteBehind(cache, tmp_path / "queue", write)
        for key, value in (("a", 1), ("a", 2), ("b", 3)):
            behind.write(key, value)
        with behind:
            assert until(lambda: not behind.waiting(), 30, every=0.01)
    assert arrived == [(b"b", 3), (b"a", 1), (b"a", 2)]


def test_what_the_source_refuses_too_often_is_set_aside_and_shown(tmp_path: Path) -> None:
    arrived: list[int] = []

    def write(_: bytes, value: int) -> None:
        if value == 1:
            raise ValueError("a secret")
        arrived.append(value)

    with alone("aside") as cache, WriteBehind(cache, tmp_path / "queue", write, attempts=2) as behind:
        behind.write("a", 1)
        behind.write("a", 2)
        assert until(lambda: not behind.waiting(), 30, every=0.01)
        [aside] = behind.aside()
        assert (aside.key, aside.attempts, aside.refusal) == (b"a", 2, "ValueError")
        assert until(lambda: REGISTRY.get_sample_value("caches_write_behind_set_aside", {"cache": "aside"}) == 1, 10, every=0.01)
        assert behind.discard(aside.number)
        assert not behind.discard(aside.number)
    assert arrived == [2]


def test_a_full_queue_refuses_and_nothing_is_written(tmp_path: Path) -> None:
    with alone("full") as cache:
        behind = WriteBehind(cache, tmp_path / "queue", lambda *_: None, most_waiting=2)
        behind.write("a", 1)
        behind.write("a", 2)
        with pytest.raises(QueueFullError, match="2 writes wait for the source, or were set aside: at most 2 may"):
            behind.write("a", 3)
        assert behind.get_or_load("a", lambda: 0) == 2
        behind.close()


def test_only_the_newest_goes_where_that_is_asked_for(tmp_path: Path) -> None:
    arrived: list[int] = []
    with alone("newest") as cache:
        behind = WriteBehind(cache, tmp_path / "queue", lambda _, value: arrived.append(value), coalescing=True)
        for value in range(5):
            behind.write("a", value)
        with behind:
            assert until(lambda: not behind.waiting(), 30, every=0.01)
    assert arrived == [4]


def test_the_file_is_of_one_process_and_one_user(tmp_path: Path) -> None:
    queue = WriteQueue(tmp_path / "queue", 1, coalescing=False)
    with pytest.raises(BlockingIOError, match="another process has this queue"):
        WriteQueue(tmp_path / "queue", 1, coalescing=False)
    queue.put(b"key", "text", b"value")
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    queue.close()
    WriteQueue(tmp_path / "queue", 1, coalescing=False).close()


EVENTS = ["put", "take", "done", "fail", "aside", "reopen"]


@settings(max_examples=30, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.sampled_from(["put", "take", "done", "fail", "aside", "reopen"]), st.sampled_from([b"a", b"b"])), max_size=40
    ),
    coalescing=st.booleans(),
)
def test_a_key_s_writes_go_in_order_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, bytes]], coalescing: bool
) -> None:
    path = tmp_path_factory.mktemp("queue") / "queue"
    queue, numbers, taken = WriteQueue(path, 100, coalescing), itertools.count(1), None
    put: dict[bytes, list[int]] = {b"a": [], b"b": []}
    gone: dict[bytes, list[int]] = {b"a": [], b"b": []}
    for event, key in [*events, *[("take", b""), ("done", b"")] * (len(events) + 1)]:
        if event == "put":
            put[key].append(next(numbers))
            queue.put(key, "text", str(put[key][-1]).encode())
            newest = queue.newest(key)
            assert newest
            assert newest.value == str(put[key][-1]).encode()
        elif event == "reopen":
            queue.close()
            queue, taken = WriteQueue(path, 100, coalescing), None
        elif event == "take" and taken is None:
            taken = queue.take()
        elif taken:
            if event == "fail":
                queue.failed(taken, 0)
            elif event in ("done", "aside"):
                queue.done(taken) if event == "done" else queue.set_aside(taken, "refused")
                gone[taken.key].append(int(taken.value or b""))
            taken = None if event != "take" else taken
    assert queue.take() is None
    queue.close()
    for key in put:
        assert gone[key] == sorted(set(gone[key]))
        assert gone[key] == put[key] or (coalescing and gone[key][-1:] == put[key][-1:])
