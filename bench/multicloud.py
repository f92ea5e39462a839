"""`python -m bench.multicloud`: how long writes and reads of several clouds take, and how long nothing can be written when one is lost.

Three Redis servers on this machine stand for clouds, with 5, 15 and 30 ms of latency by toxiproxy. Beside MultiDBClient of redis-py, which
writes to one of them, with its defaults and tuned, and three plain clients with asyncio.gather, which has no answer when one fails.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import redis.asyncio
from caches_runtime.multicloud import AsyncMultiCloudCache, AsyncPrimaryStandby, MultiCloudError, Policy, StandbyPolicy
from redis.asyncio.multidb.client import MultiDBClient
from redis.asyncio.multidb.config import DatabaseConfig, InitialHealthCheck, MultiDbConfig
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from unit.client.processes import PASSWORD
from unit.multicloud.proxied import Proxied, proxied

LATENCIES = {"aws": 5, "azure": 15, "gcp": 30}
LONGEST_SECONDS = 15
FAILURES = (redis.RedisError, MultiCloudError)
Write = Callable[[int], Awaitable[Any]]


def main() -> None:
    """Prints a row for each client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=500, help="for each figure (default: 500)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table; null is more than 15 s")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # MultiDBClient says that it is experimental
    rows = {name: asyncio.run(measured(make, options.writes)) for name, make in CLIENTS.items()}
    print(json.dumps(rows, indent=2) if options.json else table(rows, options.writes))


async def measured(make: Callable[[Proxied, Path, AsyncExitStack], Awaitable[tuple[Write, Write]]], writes: int) -> dict[str, float | None]:
    """Milliseconds; seconds until a write succeeds again when the first cloud hangs, and when it is killed."""
    row: dict[str, float | None] = {}
    for fault in ("stop", "kill"):
        with tempfile.TemporaryDirectory() as folder, proxied() as clouds:
            for name, milliseconds in LATENCIES.items():
                clouds.delay(name, milliseconds)
            async with AsyncExitStack() as closing:
                write, read = await make(clouds, Path(folder), closing)
                if fault == "stop":
                    row |= named("write, ms", await times(write, writes)) | named("read, ms", await times(read, writes))
                getattr(clouds, fault)("aws")
                row[f"{'hung' if fault == 'stop' else 'killed'}: written again, s"] = await until_written(write)
                if fault == "stop":
                    row |= named("write with one hung, ms", await times(write, writes))
                if fault == "stop":
                    clouds.heal("aws")
    return row


def named(what: str, seconds: list[float] | None) -> dict[str, float | None]:
    if seconds is None:
        return {f"{what}, p50": None, f"{what}, p99": None}
    cuts = statistics.quantiles(seconds, n=100)
    return {f"{what}, p50": round(cuts[49] * 1000, 1), f"{what}, p99": round(cuts[98] * 1000, 1)}


async def times(call: Write, count: int) -> list[float] | None:
    """Seconds of each call; none when one takes too long or fails."""
    found = []
    for number in range(count):
        began = time.perf_counter()
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await call(number)
        except (TimeoutError, *FAILURES):
            return None
        found.append(time.perf_counter() - began)
    return found


async def until_written(write: Write) -> float | None:
    """Seconds from a fault until a write that was begun after it is acknowledged."""
    began = time.perf_counter()
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_SECONDS):
            while True:
                with suppress(*FAILURES):
                    await write(0)
                    return round(time.perf_counter() - began, 2)
                await asyncio.sleep(0.01)
    return None


async def quorum(clouds: Proxied, folder: Path, closing: AsyncExitStack) -> tuple[Write, Write]:
    cache = await closing.enter_async_context(AsyncMultiCloudCache(clouds.connections(), Policy(), folder=folder))
    await cache.repaired(30)
    return lambda number: cache.set(f"key{number}", b"x" * 64), lambda number: cache.get(f"key{number}")


async def standby(clouds: Proxied, folder: Path, closing: AsyncExitStack) -> tuple[Write, Write]:
    places = {name: place for name, place in clouds.connections().items() if name != "gcp"}
    cache = await closing.enter_async_context(AsyncPrimaryStandby(places, "aws", StandbyPolicy(), folder=folder))
    await cache.converged(30)
    return lambda number: cache.set(f"key{number}", b"x" * 64), lambda number: cache.get(f"key{number}")


async def gather(clouds: Proxied, folder: Path, closing: AsyncExitStack) -> tuple[Write, Write]:
    clients = [redis.asyncio.Redis(host=place["host"], port=place["port"], password=PASSWORD) for place in clouds.connections().values()]
    for client in clients:
        closing.push_async_callback(client.aclose)
    return (
        lambda number: asyncio.gather(*(client.set(f"key{number}", b"x" * 64) for client in clients)),
        lambda number: clients[0].get(f"key{number}"),
    )


async def multidb(clouds: Proxied, closing: AsyncExitStack, timeouts: dict[str, Any], **settings: Any) -> tuple[Write, Write]:
    places = enumerate(clouds.connections().values())
    given = [
        DatabaseConfig(
            weight=1 / (1 + number), client_kwargs={"host": place["host"], "port": place["port"], "password": PASSWORD, **timeouts}
        )
        for number, place in places
    ]
    client: Any = await closing.enter_async_context(MultiDBClient(MultiDbConfig(databases_config=given, **settings)))
    return lambda number: client.set(f"key{number}", b"x" * 64), lambda number: client.get(f"key{number}")


async def multidb_defaults(clouds: Proxied, folder: Path, closing: AsyncExitStack) -> tuple[Write, Write]:
    return await multidb(clouds, closing, {})


async def multidb_tuned(clouds: Proxied, folder: Path, closing: AsyncExitStack) -> tuple[Write, Write]:
    return await multidb(
        clouds,
        closing,
        {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
        command_retry=Retry(ConstantBackoff(0.05), 5),
        min_num_failures=2,
        failure_rate_threshold=0.0,
        health_check_interval=1,
        health_check_probes=1,
        health_check_delay=0.1,
        health_check_timeout=0.5,
        initial_health_check_policy=InitialHealthCheck.ONE_AVAILABLE,
    )


CLIENTS = {
    "MultiCloudCache, three clouds": quorum,
    "PrimaryStandby, two clouds": standby,
    "MultiDBClient, one of three": multidb_defaults,
    "MultiDBClient, tuned": multidb_tuned,
    "asyncio.gather over three": gather,
}


def table(rows: dict[str, dict[str, float | None]], writes: int) -> str:
    """For a person."""
    names = list(next(iter(rows.values())))
    width = max(map(len, names)) + 2
    lines = [f"{writes} calls for each figure, one after the other; latencies of the clouds: {', '.join(map(str, LATENCIES.values()))} ms"]
    for client, row in rows.items():
        lines += ["", client]
        lines += [f"  {name:<{width}}{'more than 15 s, or fails' if row[name] is None else row[name]}" for name in names]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
