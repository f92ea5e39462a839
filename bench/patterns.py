"""`python -m bench.patterns`: what patterns cost on a hit, how many loads a stampede makes, and what compression gains.

The servers are processes of this machine, which they share with the clients; the best of several rounds, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
from caches_runtime.client import connect, connect_async
from caches_runtime.patterns import BYTES, AsyncLoadingCache, LoadingCache, Namespace, Strategy
from caches_runtime.patterns.codecs import pack, unpack
from unit.client.processes import Processes, processes
from unit.client.shards import Shards

ROUNDS = 7
PROCESSES = 4
LOAD_SECONDS = 0.2
Rows = dict[str, float]


def main() -> None:
    """Prints a row for each thing that was measured, or all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3_000, help="of a round (default: 3000)")
    parser.add_argument("--readers", type=int, default=200, help="of the stampede (default: 200)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with ExitStack() as closing:
        server = closing.enter_context(processes())
        server.serve(1)
        shards = Shards(closing, 1, login=False)
        results: dict[str, Rows] = {
            "a hit, µs": hits(server, shards, options.calls),
            f"loads of a stampede, {options.readers} readers in {PROCESSES} processes": asyncio.run(stampedes(server, options.readers)),
            "a value of 100 users as JSON": compressions(),
        }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for title, rows in results.items():
        print(f"\n{title}")
        for name, figure in rows.items():
            print(f"  {name:<40}{figure:>12.1f}")


def hits(server: Processes, shards: Shards, calls: int) -> Rows:
    """By a plain client, and by a cache over it."""
    redis, memcached = connect(server.connection(1), budget=10), shards.client(budget_seconds=10)
    strategy, value = Strategy(codec=BYTES), b"v" * 64
    redis.set("key", value)
    memcached.set("key", value)
    plain: dict[str, Callable[[], Any]] = {
        "Redis, client.get": lambda: redis.get("key"),
        "Memcached, client.get": lambda: memcached.get("key"),
    }
    with ExitStack() as closing:
        for name, client, clearable in (("Redis", redis, False), ("Redis", redis, True), ("Memcached", memcached, False)):
            cache = closing.enter_context(LoadingCache(client, Namespace(uuid4().hex, clearable=clearable), strategy))
            plain[f"{name}, get_or_load{', clearable' if clearable else ''}"] = reading(cache, value)
        best = dict.fromkeys(plain, float("inf"))
        for _ in range(ROUNDS):
            for name, read in plain.items():
                best[name] = min(best[name], seconds(partial(several, read, calls)) / calls * 1e6)
    return dict(sorted(best.items(), reverse=True))


def several(read: Callable[[], Any], calls: int) -> None:
    for _ in range(calls):
        read()


def reading(cache: LoadingCache, value: bytes) -> Callable[[], Any]:
    return lambda: cache.get_or_load("key", lambda: value)


async def stampedes(server: Processes, readers: int) -> Rows:
    """How often the source is asked when all miss at once."""
    connections = [connect_async(server.connection(1), budget=30) for _ in range(PROCESSES)]
    namespace = Namespace(uuid4().hex)
    caches = [AsyncLoadingCache(each, namespace, Strategy()) for each in connections]
    flights: list[dict[str, asyncio.Task[Any]]] = [{} for _ in connections]

    async def naive(client: Any, key: str, load: Callable[[], Awaitable[bytes]]) -> Any:
        if (found := await client.get(key)) is None:
            found = await load()
            await client.set(key, found, ex=60)
        return found

    async def shared(process: int, load: Callable[[], Awaitable[bytes]]) -> Any:
        flying = flights[process]
        if "key" not in flying:
            flying["key"] = asyncio.create_task(naive(connections[process], "shared", load))
        return await flying["key"]

    ways: dict[str, Callable[[int, Any], Awaitable[Any]]] = {
        "get, load, set (asyncio.gather)": lambda process, load: naive(connections[process], "naive", load),
        "one task for each process": shared,
        "get_or_load": lambda process, load: caches[process].get_or_load("key", load),
    }
    loads: Rows = {}
    for name, way in ways.items():
        count = itertools.count()

        async def load(count: Any = count) -> bytes:
            next(count)
            await asyncio.sleep(LOAD_SECONDS)
            return b"value"

        await asyncio.gather(*(way(number % PROCESSES, load) for number in range(readers)))
        loads[name] = next(count)
    for each in connections:
        await each.aclose()
    return loads


def compressions() -> Rows:
    """Bytes, and microseconds to and from."""
    users = [{"id": number, "name": f"user {number}", "mail": f"user-{number}@example.org", "roles": ["reader"]} for number in range(100)]
    raw = msgspec.json.encode(users)
    rows: Rows = {"none, bytes": len(raw)}
    for name in ("lz4", "zstd"):
        number, packed = pack(raw, name, 0)
        rows[f"{name}, bytes"] = len(packed)
        rows[f"{name}, µs to"] = min(seconds(partial(pack, raw, name, 0)) for _ in range(100)) * 1e6
        from_ = min(seconds(partial(unpack, number, packed, len(raw), zlib.crc32(raw))) for _ in range(100))
        rows[f"{name}, µs from"] = from_ * 1e6
    return rows


def seconds(do: Callable[[], Any]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
