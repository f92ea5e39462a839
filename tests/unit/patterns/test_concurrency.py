"""The promise when readers, writers and invalidations really run at once, in threads and in asyncio."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from caches_runtime.patterns import Strategy
from caches_runtime.patterns.driving import call, run
from unit.patterns.sides import Side

WORKERS = 8
STEPS = 60


class Turn:
    """A lock of either kind."""

    def __init__(self, lock: asyncio.Lock | threading.Lock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        await call(self._lock.acquire)

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


def test_no_reader_sees_a_value_older_than_promised_when_all_run_at_once(over: Side) -> None:
    strategy = Strategy(load_seconds=0.3, early_refresh=100, ttl_seconds=1, stale_seconds=10)
    caches = [over.cache(strategy)]
    caches.append(over.cache(strategy, caches[0].namespace))
    drawn = random.Random(7)  # noqa: S311
    pauses = [[drawn.random() * 0.01 for _ in range(4 * STEPS)] for _ in range(WORKERS)]
    choices = [[drawn.choice("rrrrwi") for _ in range(STEPS)] for _ in range(WORKERS)]
    source, commits = [0], itertools.count(1)
    acknowledged = [0]
    older: list[tuple[int, int]] = []

    async def work(worker: int) -> None:
        cache, pause = caches[worker % 2], iter(pauses[worker])

        async def load() -> int:
            await cache.driver.sleep(next(pause))
            value = source[0]
            await cache.driver.sleep(next(pause))
            return value

        async def write(*_: Any) -> None:
            await cache.driver.sleep(next(pause))
            source[0] = value
            await cache.driver.sleep(next(pause))

        for choice in choices[worker]:
            least = acknowledged[0]
            if choice == "r":
                if (seen := await cache.get_or_load("key", over.function(load))) < least:
                    older.append((seen, least))
                continue
            # One writer at a time, so that the numbers are in the order of the source.
            async with Turn(turn):
                value = next(commits)
                if choice == "w":
                    assert await cache.write("key", value, write=over.function(write))
                else:
                    await write()
                    assert await cache.invalidate("key")
                acknowledged[0] = value

    turn = asyncio.Lock() if over.asynchronous else threading.Lock()
    if over.asynchronous:

        async def all_at_once() -> None:
            await asyncio.gather(*(work(worker) for worker in range(WORKERS)))
            for cache in caches:
                await cache.aclose()

        over.run(all_at_once())
    else:
        with ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(run, work(worker)) for worker in range(WORKERS)]:
                done.result()
        for cache in caches:
            run(cache.aclose())
    assert older == []
