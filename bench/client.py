"""`python -m bench.client`: what a call through `connect` costs, and how long each client waits for a server that hangs or is killed.

Beside plain redis-py and its MultiDBClient with a second server, both with their defaults. The servers are processes of this machine, which
clients and servers share; a call's cost is the best of several rounds, in turns, the waits are of one call each.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from caches_runtime import connect
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from redis.multidb.client import MultiDBClient
from redis.multidb.config import DatabaseConfig, MultiDbConfig
from unit.client.processes import PASSWORD, Processes, processes

ROUNDS = 7
FAULTS = {"hung": signal.SIGSTOP, "killed": signal.SIGKILL}


def main() -> None:
    """Prints a row for each client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000, help="of a round (default: 5000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    # That MultiDBClient is experimental.
    warnings.simplefilter("ignore")
    measured: dict[str, dict[str, float]] = {name: {} for name in CLIENTS}
    for name, seconds_of in costs(options.calls).items():
        measured[name]["get_microseconds"] = seconds_of * 1e6
    for fault, kind in FAULTS.items():
        for name, make in CLIENTS.items():
            measured[name][f"{fault}_seconds"] = wait(make, kind)
    measured["connect, with OpenTelemetry's SDK"] = {"get_microseconds": traced(options.calls) * 1e6}
    print(json.dumps(measured, indent=2) if options.json else table(measured))


def plain(server: Processes) -> Any:
    return redis.Redis(server.host(1), password=PASSWORD)


def multiple(server: Processes) -> Any:
    """The second server stands by."""
    databases = [
        DatabaseConfig(weight=weight, client_kwargs={"host": server.host(number), "port": 6379, "password": PASSWORD})
        for number, weight in ((1, 1.0), (2, 0.5))
    ]
    return MultiDBClient(MultiDbConfig(databases_config=databases))


def ours(server: Processes) -> Any:
    return connect(server.connection(1))


CLIENTS: dict[str, Callable[[Processes], Any]] = {"redis-py": plain, "MultiDBClient": multiple, "connect": ours}


def costs(calls: int) -> dict[str, float]:
    """Seconds of a GET of 64 bytes."""
    with processes() as server:
        server.serve(1)
        server.serve(2)
        clients = {name: make(server) for name, make in CLIENTS.items()}
        best = dict.fromkeys(clients, float("inf"))
        for client in clients.values():
            client.set("key", "v" * 64)
        for _ in range(ROUNDS):
            for name, client in clients.items():
                best[name] = min(best[name], seconds(partial(several, client, calls)) / calls)
        for client in clients.values():
            client.close()
        return best


def traced(calls: int) -> float:
    """The same through `connect`, with spans that are made and go nowhere. The last thing: it stays so for the process."""
    trace.set_tracer_provider(TracerProvider())
    with processes() as server:
        server.serve(1)
        client = ours(server)
        client.set("key", "v" * 64)
        return min(seconds(partial(several, client, calls)) / calls for _ in range(ROUNDS))


def wait(make: Callable[[Processes], Any], fault: signal.Signals) -> float:
    """Seconds of the first call after the fault, whether it has an answer in the end or not."""
    with processes() as server:
        server.serve(1)
        server.serve(2)
        client = make(server)
        client.get("key")
        server.signal(1, fault)
        try:
            return seconds(partial(answered, client))
        finally:
            client.close()


def answered(client: Any) -> bool:
    try:
        client.get("key")
    except redis.RedisError:
        return False
    return True


def seconds(do: Callable[[], Any]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def several(client: Any, calls: int) -> None:
    for _ in range(calls):
        client.get("key")


def table(measured: dict[str, dict[str, float]]) -> str:
    lines = [f"{'':36}{'a GET, µs':>12}{'server hangs, s':>18}{'is killed, s':>14}"]
    for name, row in measured.items():
        waits = "".join(f"{row[key]:>{width}.2f}" for key, width in (("hung_seconds", 18), ("killed_seconds", 14)) if key in row)
        lines.append(f"{name:36}{row['get_microseconds']:>12.1f}{waits}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
