"""`python -m bench.client`: what a call through `connect` costs beside plain redis-py, and how long each waits for a server that hangs.

The server is a process of this machine, which client and server share; the best of several rounds, in turns.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from caches_runtime.client import connect
from unit.client.processes import PASSWORD, processes

ROUNDS = 7


def main() -> None:
    """Prints a row for each client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000, help="of a round (default: 5000)")
    calls = parser.parse_args().calls
    with processes() as server:
        server.serve(1)
        clients: dict[str, Any] = {
            "redis-py": redis.Redis(server.host(1), password=PASSWORD, protocol=2),
            "connect": connect(server.connection(1)),
        }
        best = dict.fromkeys(clients, float("inf"))
        for client in clients.values():
            client.set("key", "v" * 64)
        for _ in range(ROUNDS):
            for name, client in clients.items():
                best[name] = min(best[name], seconds(partial(several, client, calls)) / calls)
        server.signal(1, signal.SIGSTOP)
        for name, client in clients.items():
            hung = seconds(partial(lost, client))
            print(f"{name:10} a GET {best[name] * 1e6:6.1f} µs    of a server that hangs {hung:6.2f} s")


def seconds(do: Callable[[], Any]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def several(client: Any, calls: int) -> None:
    for _ in range(calls):
        client.get("key")


def lost(client: Any) -> None:
    """A call that can have no answer."""
    try:
        client.get("key")
    except redis.TimeoutError:
        return
    raise AssertionError("a server that hangs has answered")


if __name__ == "__main__":
    main()
