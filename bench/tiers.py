"""`python -m bench.tiers`: what a read from memory costs beside one of the server, and how long a reader sees what was before a write.

The server is a process of this machine, which client and server share. redis-py's own cache is asked too; it refuses servers that are
not Redis 7.4 or later, and what it says is printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

import redis
from caches_runtime.client import connect
from caches_runtime.patterns.driving import run
from caches_runtime.patterns.store import RedisStore
from caches_runtime.tiers import InvalidationLink, Memory, TieredCache
from redis.cache import CacheConfig
from unit.client.processes import PASSWORD, Processes, processes

KEY = b"key"
ROUNDS = 5


def main() -> None:
    """Prints a row for each kind of read, and one of staleness."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["redis", "valkey"], default="redis")
    parser.add_argument("--calls", type=int, default=5_000, help="of a round (default: 5000)")
    parser.add_argument("--writes", type=int, default=1_000, help="after which staleness is measured (default: 1000)")
    parser.add_argument("--json", action="store_true", help="instead of a table")
    arguments = parser.parse_args()
    with processes(arguments.engine) as server:
        server.serve(1)
        rows = measured(server, arguments.calls, arguments.writes)
    print(json.dumps(rows) if arguments.json else "\n".join(f"{name:36} {value}" for name, value in rows.items()))


def measured(server: Processes, calls: int, writes: int) -> dict[str, Any]:
    """By name: µs for each read, µs of staleness, or what was refused."""
    client = connect(server.connection(1))
    memory = Memory()
    link = InvalidationLink(server.connection(1), memory)
    cache = TieredCache(client, memory, link)
    try:
        run(cache.set(KEY, b"v" * 64, 600))
        while not memory.get_many([KEY]):
            run(cache.get_many([KEY]))
        rows: dict[str, Any] = {
            "read from memory, µs": best(lambda: run(cache.get_many([KEY])), calls),
            "read of the server, µs": best(lambda: run(RedisStore(client).get_many([KEY])), calls),
            "redis-py's own cache, µs": own_cache(server, calls),
        }
        with server.client(1) as writer:
            stale = [staleness(writer, cache, b"%d" % number) for number in range(writes)]
        cuts = quantiles(stale, n=100)
        return rows | {"stale after a write, p50, µs": round(cuts[49] * 1e6), "stale after a write, p99, µs": round(cuts[98] * 1e6)}
    finally:
        link.close()
        client.close()


def best(call: Callable[[], Any], calls: int) -> float:
    """µs for each, of the best round."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter() - began) / calls)
    return round(min(rounds) * 1e6, 2)


def own_cache(server: Processes, calls: int) -> float | str:
    """The same of redis-py's."""
    try:
        client = redis.Redis(server.host(1), password=PASSWORD, protocol=3, cache_config=CacheConfig())
        return best(lambda: client.get(KEY), calls)
    except redis.RedisError as error:
        return f"refused: {error}"


def staleness(writer: redis.Redis, cache: TieredCache, value: bytes) -> float:
    """Seconds from a write's acknowledgement until a reader has what was written."""
    run(cache.get_many([KEY]))
    writer.set(KEY, value)
    acknowledged = time.perf_counter()
    while run(cache.get_many([KEY])).get(KEY) != value:
        pass
    return time.perf_counter() - acknowledged


if __name__ == "__main__":
    main()
