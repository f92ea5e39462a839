"""What readers and writers of a cache that loads get, over each engine, in threads and in asyncio."""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from caches_runtime.client import connect, connect_async
from caches_runtime.patterns import AsyncLoadingCache, LoadingCache, Namespace, Strategy, ValueTooLargeError, json, msgpack
from caches_runtime.patterns.driving import run
from caches_runtime.patterns.entry import NO_TAGS, Entry
from caches_runtime.patterns.store import store_of
from common.waiting import until
from prometheus_client import REGISTRY
from unit.client.processes import processes
from unit.client.test_topologies import begin, exported
from unit.patterns.sides import BUDGET_SECONDS, Side
from unit.warmup.servers import three_masters

TOGETHER = 40
SLACK_SECONDS = 2.0


class Source:
    """Counts how often it is asked."""

    def __init__(self, over: Side, value: Any = "value") -> None:
        self.value, self.asked = value, 0
        self.told: list[tuple[Any, Any]] = []
        self.load = over.function(self._load)
        self.write = over.function(self._write)

    async def _load(self, *_: Any) -> Any:
        self.asked += 1
        return self.value

    async def _write(self, key: Any, value: Any) -> None:
        self.told.append((key, value))
        self.value = value


def metric(cache: AsyncLoadingCache, name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"caches_pattern_{name}", {"cache": cache.namespace.name, **labels}) or 0.0


def test_a_value_is_loaded_once_and_then_served(over: Side) -> None:
    cache, source = over.cache(Strategy()), Source(over)

    async def asks() -> list[Any]:
        return [await cache.get_or_load("key", source.load) for _ in range(3)]

    assert over.run(asks()) == ["value"] * 3
    assert source.asked == 1
    assert metric(cache, "hits_total") == 2
    assert metric(cache, "misses_total") == 1
    assert metric(cache, "load_seconds_count") == 1


def test_what_the_cache_is_told_to_load_and_write_needs_no_function_in_each_call(over: Side) -> None:
    source = Source(over, "old")
    cache = over.cache(Strategy(), load=source.load, write=source.write)

    async def asks() -> list[Any]:
        return [await cache.get("key"), await cache.write("key", "new"), await cache.get("key"), await cache.refresh("key")]

    assert over.run(asks()) == ["old", True, "new", "new"]
    assert source.told == [("key", "new")]
    assert source.asked == 2, "the first read and the refresh"


def test_many_misses_at_once_make_one_load(over: Side) -> None:
    caches = [over.cache(Strategy())]
    caches.append(over.cache(Strategy(), caches[0].namespace))
    loads = itertools.count()
    all_came = threading.Event()

    async def slow() -> int:
        number = next(loads)
        while not all_came.is_set():
            await caches[0].driver.sleep(0.01)
        return number

    load = over.function(slow)

    async def asks() -> list[int]:
        each = [caches[number % 2].get_or_load("key", load) for number in range(TOGETHER)]
        if over.asynchronous:
            asked = [asyncio.ensure_future(one) for one in each]
            while metric(caches[0], "waits_total") < TOGETHER - 1:
                await asyncio.sleep(0.01)
            all_came.set()
            return list(await asyncio.gather(*asked))
        with ThreadPoolExecutor(TOGETHER) as pool:
            futures = [pool.submit(run, one) for one in each]
            assert until(lambda: metric(caches[0], "waits_total") >= TOGETHER - 1, 20, every=0.01)
            all_came.set()
            return [future.result() for future in futures]

    assert over.run(asks()) == [0] * TOGETHER
    assert next(loads) == 1


def test_nothing_is_remembered_only_where_asked_for(over: Side) -> None:
    source = Source(over, None)
    for strategy, asked in ((Strategy(), 2), (Strategy(negative_ttl_seconds=60), 1)):
        source.asked = 0
        cache = over.cache(strategy)

        async def asks(cache: AsyncLoadingCache = cache) -> list[Any]:
            return [await cache.get_or_load("key", source.load) for _ in range(2)]

        assert over.run(asks()) == [None, None]
        assert source.asked == asked
        assert metric(cache, "negative_hits_total") == 2 - asked


@pytest.mark.parametrize(
    ("strategy", "later_seconds", "stale"),
    [
        (Strategy(ttl_seconds=1, ttl_jitter=0, stale_seconds=600), 2, 1),
        (Strategy(ttl_seconds=600, ttl_jitter=0, early_refresh=100), 595, 0),
        (Strategy(ttl_seconds=600, ttl_jitter=0, refresh_ahead=0.9), 300, 0),
    ],
    ids=["stale", "early", "ahead"],
)
def test_a_value_is_served_while_another_is_loaded_beside(
    over: Side, strategy: Strategy, later_seconds: float, stale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = over.cache(strategy)
    now, loads = time.time, itertools.count()

    async def load() -> int:
        # What takes long is refreshed early: 5 s on average at beta 100.
        await cache.driver.sleep(0.05)
        return next(loads)

    async def asks() -> list[int]:
        values = [await cache.get_or_load("key", over.function(load))]
        monkeypatch.setattr(time, "time", lambda: now() + later_seconds)
        while metric(cache, "loads_total", outcome="ok") + len(cache._flights) < 2:
            values.append(await cache.get_or_load("key", over.function(load)))
        await cache.aclose()
        monkeypatch.setattr(time, "time", now)
        return values

    assert set(over.run(asks())) == {0}
    assert next(loads) == 2
    assert metric(cache, "stale_total") == stale


@pytest.mark.parametrize(
    ("strategy", "value", "seconds"),
    [
        (Strategy(ttl_seconds=5, stale_seconds=7), "value", 12),
        (Strategy(ttl_seconds=5, stale_seconds=7, negative_ttl_seconds=3), None, 3),
    ],
    ids=["value", "nothing"],
)
def test_what_is_older_than_its_time_is_not_served(
    over: Side, strategy: Strategy, value: Any, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, source, now = over.cache(strategy), Source(over, value), time.time

    async def asks() -> None:
        began = now()
        monkeypatch.setattr(time, "time", lambda: began)
        await cache.get_or_load("key", source.load)
        monkeypatch.setattr(time, "time", lambda: began + seconds)
        await cache.get_or_load("key", source.load)
        monkeypatch.setattr(time, "time", now)

    over.run(asks())
    assert source.asked == 2
    assert metric(cache, "stale_total") == 0


def test_a_reader_waits_for_a_dead_one_no_longer_than_a_load_may_take(over: Side) -> None:
    cache, source = over.cache(Strategy(load_seconds=0.3), Namespace(uuid4().hex)), Source(over)
    place = Entry.place(time.time(), 3600, NO_TAGS)

    async def asks() -> Any:
        await store_of(over.client(), not over.asynchronous).set(cache.namespace.key("key"), place.stored(), 3600)
        return await cache.get_or_load("key", source.load)

    assert over.run(asks()) == "value"
    assert metric(cache, "waits_total") > 1


def test_a_value_too_large_is_refused_before_anything_is_written(over: Side) -> None:
    source = Source(over, "x" * 2000)
    cache = over.cache(Strategy(max_value_bytes=1000), write=source.write)

    async def asks() -> Any:
        with pytest.raises(ValueTooLargeError, match=r"2003 bytes: max_value_bytes is 1000"):
            await cache.write("key", "x" * 2000)
        return await cache.get_or_load("key", source.load)

    assert over.run(asks()) == "x" * 2000, "a reader gets it nevertheless"
    assert source.told == []
    assert metric(cache, "too_large_total") == 1


def test_strategies_change_while_values_live(over: Side) -> None:
    text = "a text that shrinks, " * 200
    first = over.cache(Strategy(codec=json(), compression="zstd"))
    able = over.cache(Strategy(codec=msgpack(), also_reads=[json()], compression="lz4"), first.namespace)
    unable = over.cache(Strategy(codec=msgpack()), first.namespace)
    source = Source(over, text)

    async def asks() -> list[Any]:
        return [await cache.get_or_load("key", source.load) for cache in (first, able, unable, unable)]

    assert over.run(asks()) == [text] * 4
    assert source.asked == 2, "what can't read it has loaded it anew"
    assert metric(first, "undecodable_total") == 1
    assert metric(first, "raw_bytes_total") > 20 * metric(first, "stored_bytes_total")


def test_what_is_not_ours_is_a_miss_and_is_replaced(over: Side) -> None:
    cache, source = over.cache(Strategy()), Source(over)
    client = over.client()

    async def asks() -> list[Any]:
        result = client.set(cache.namespace.key("key"), b"of somebody else")
        if hasattr(result, "__await__"):
            await result
        return [await cache.get_or_load("key", source.load) for _ in range(2)]

    assert over.run(asks()) == ["value"] * 2
    assert source.asked == 1


def test_an_error_of_the_source_reaches_the_reader_and_frees_the_key(over: Side) -> None:
    cache, source = over.cache(Strategy(load_seconds=60)), Source(over)

    async def fails() -> None:
        raise LookupError("the source is away")

    async def asks() -> Any:
        with pytest.raises(LookupError, match="the source is away"):
            await cache.get_or_load("key", over.function(fails))
        return await cache.get_or_load("key", source.load)

    assert over.run(asks()) == "value"


def test_tags_and_the_namespace_are_invalidated_at_once(over: Side) -> None:
    cache, source = over.cache(Strategy()), Source(over)

    async def asks() -> list[int]:
        counts = []
        for invalidates in (None, lambda: cache.invalidate_tags("red"), lambda: cache.invalidate_tags("blue"), cache.clear):
            if invalidates:
                assert await invalidates()
            source.asked = 0
            for key, tags in (("a", ["red"]), ("b", ["red", "blue"]), ("c", [])):
                await cache.get_or_load(key, source.load, tags)
            counts.append(source.asked)
        return counts

    assert over.run(asks()) == [3, 2, 1, 3]


def test_a_cache_that_hangs_is_a_miss_within_its_budget_and_then_left_alone(over: Side) -> None:
    cache, source = over.cache(Strategy(rest_seconds=3600), client=over.client(retry_seconds=3600)), Source(over)

    async def asks() -> list[Any]:
        await cache.get_or_load("key", source.load)
        with over.hung():
            began = time.monotonic()
            values = [await cache.get_or_load("key", source.load)]
            first = time.monotonic() - began
            assert first < BUDGET_SECONDS * 2 + SLACK_SECONDS
            values += [await cache.get_or_load("key", source.load) for _ in range(50)]
            assert time.monotonic() - began - first < BUDGET_SECONDS * 2 + SLACK_SECONDS, "the others did not wait for it"
        return values

    assert over.run(asks()) == ["value"] * 51
    assert source.asked == 52
    assert metric(cache, "cache_failures_total") >= 1


def test_an_invalidation_that_failed_is_done_before_this_process_reads_there(over: Side) -> None:
    cache, source = over.cache(Strategy(rest_seconds=0)), Source(over, "old")

    async def asks() -> list[Any]:
        values = [await cache.get_or_load("key", source.load)]
        with over.hung():
            source.value = "new"
            assert not await cache.invalidate("key")
            assert metric(cache, "owed_invalidations") == 1
            values.append(await cache.get_or_load("key", source.load))
        for _ in range(100):
            values.append(await cache.get_or_load("key", source.load))
        while metric(cache, "owed_invalidations"):
            await cache.get_or_load("key", source.load)
        return values

    assert over.run(asks()) == ["old"] + ["new"] * 101


def test_while_the_cache_is_away_callers_share_loads_that_began_after_they_came() -> None:
    nowhere = {"engine": "redis", "mode": "standalone", "host": "127.0.0.1", "port": 1, "auth": "none"}
    loads = itertools.count()
    gate = threading.Event()

    def slow() -> int:
        gate.wait()
        return next(loads)

    with LoadingCache(connect(nowhere, budget=0.1), Namespace("away"), Strategy(rest_seconds=3600)) as cache:
        assert cache.get_or_load("other", lambda: 1) == 1
        with ThreadPoolExecutor(TOGETHER) as pool:
            asked = [pool.submit(cache.get_or_load, "key", slow) for _ in range(TOGETHER)]
            assert until(lambda: metric(cache.inner, "misses_total") >= TOGETHER + 1, 20, every=0.01)
            gate.set()
            assert {each.result() for each in asked} == {0, 1}
    assert next(loads) == 2


def test_keys_of_a_cluster_may_be_anywhere() -> None:
    with three_masters() as (_, connection):
        source = iter(range(100))
        with LoadingCache(connect({**connection, "auth": "none"}, budget=10), Namespace("cluster", clearable=True)) as cache:
            for expected in (range(5), range(5), range(5, 10)):
                if expected.start:
                    assert cache.invalidate_tags("all")
                assert [cache.get_or_load(f"key-{each}", lambda: next(source), ["all"]) for each in range(5)] == list(expected)
            assert cache.invalidate(*(f"key-{each}" for each in range(5)))
            assert cache.write("key-1", 50, ["all"], lambda *_: None)
            assert cache.get_or_load("key-1", lambda: next(source), ["all"]) == 50


def test_a_group_is_read_past_while_its_master_is_away_and_used_again_after() -> None:
    source = itertools.count()
    with processes() as group:
        begin(group)
        strategy = Strategy(rest_seconds=0.1)
        with LoadingCache(connect(exported(group), budget=0.5), Namespace("group", clearable=True), strategy) as cache:
            assert [cache.get_or_load("key", lambda: next(source)) for _ in range(2)] == [0, 0]
            group.signal(1, signal.SIGKILL)
            assert not cache.invalidate("key")
            values = [cache.get_or_load("key", lambda: next(source))]

            def served() -> bool:
                values.append(cache.get_or_load("key", lambda: next(source)))
                return bool(values[-1] == values[-2])

            assert until(served, 30, every=0.1)
            assert values == sorted(values)
            assert values[0] == 1


@pytest.mark.parametrize(
    ("makes", "error", "says"),
    [
        (lambda: Strategy(ttl_seconds=0), ValueError, "ttl_seconds = 0: must be from 1 to 2592000"),
        (lambda: Strategy(compression="gzip"), ValueError, "compression = 'gzip': must be one of none, zstd, lz4"),  # type: ignore[arg-type]
        (lambda: Namespace("a b"), ValueError, "namespace 'a b': must be 1 to 64 letters"),
        (lambda: Namespace("n").key("a b"), ValueError, "key 'a b': must not be empty, nor have spaces"),
        (lambda: Namespace("n").key("k" * 300), ValueError, "a key of 306 bytes with its namespace: at most 250"),
        (lambda: LoadingCache(object(), Namespace("n")), TypeError, "object is no store"),
        (
            lambda: LoadingCache(client(connect_async), Namespace("n")),
            TypeError,
            "connect_async needs a cache of the class AsyncLoadingCache",
        ),
        (lambda: AsyncLoadingCache(client(), Namespace("n")), TypeError, "a client of connect needs a cache of the class LoadingCache"),
        (lambda: LoadingCache(client(decode_responses=True), Namespace("n")), TypeError, "decode_responses=True"),
        (lambda: LoadingCache(client(), Namespace("n")).get("key"), TypeError, "made without `load`"),
        (lambda: LoadingCache(client(), Namespace("n")).write("key", 1), TypeError, "made without `write`"),
        (lambda: LoadingCache(client(), Namespace("n")).clear(), TypeError, "not clearable"),
    ],
)
def test_what_is_wrong_is_refused_with_what_to_do(makes: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says.replace("(", r"\(")):
        makes()


def client(connects: Any = connect, **options: Any) -> Any:
    return connects({"engine": "redis", "mode": "standalone", "host": "127.0.0.1", "port": 1, "auth": "none"}, **options)


def test_text_and_its_bytes_are_one_key_and_versions_see_nothing_of_each_other() -> None:
    first = Namespace("n")
    assert first.key("ключ") == first.key("ключ".encode())
    assert first.key("key") != replace(first, version=2).key("key")
    assert first.key("key") != first.tag("key")
