"""`python -m bench.memcached_client`: what placing a key and a call cost, and how long a call waits for a shard that hangs or is killed.

Beside pymemcache's HashClient and pylibmc with consistent hashing, else with their defaults. Servers are processes of this machine; costs
are the median of five rounds, in turns; the waits are of one call each, and no longer than half a minute.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import pylibmc  # type: ignore[import-untyped]
from caches_runtime.client.memcached_keys import legal
from caches_runtime.client.rendezvous import Rendezvous
from pymemcache.client.hash import HashClient  # type: ignore[import-untyped]
from pymemcache.client.rendezvous import RendezvousHash  # type: ignore[import-untyped]
from unit.client.shards import Shards

Given = TypeVar("Given")
ROUNDS = 5
TOGETHER = 100
LONGEST_SECONDS = 30
FAULTS = {"first call of a hung shard, s": signal.SIGSTOP, "first call of a killed shard, s": signal.SIGKILL}
COLUMNS = ("caches_runtime", "pymemcache", "pylibmc")


def main() -> None:
    """Prints a row for each thing that was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--keys", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table; null is more than half a minute")
    options = parser.parse_args()
    measured: dict[str, dict[str, float | None]] = {}
    with ExitStack() as closing:
        for what, ways in calls(Shards(closing, options.shards, login=False), options.keys).items():
            measured[what] = {name: value for name, value in medians(ways, options.keys).items()}
    for what, kind in FAULTS.items():
        measured[what] = {name: wait(name, kind) for name in COLUMNS}
    print(json.dumps(measured, indent=2) if options.json else table(measured, options.shards, options.keys))


def clients(under: Shards) -> dict[str, Any]:
    return {
        "caches_runtime": under.client(budget_seconds=0.5),
        "pymemcache": HashClient(list(under.processes)),
        "pylibmc": pylibmc.Client(list(under.processes), behaviors={"ketama": True}),
    }


def calls(under: Shards, count: int) -> dict[str, dict[str, Callable[[], object]]]:
    """What is measured, by client, in microseconds for each key."""
    made = clients(under)
    keys = [f"user:{number}:profile" for number in range(count)]
    raw = [key.encode() for key in keys]
    some = [keys[at : at + TOGETHER] for at in range(0, count, TOGETHER)]
    homes, peer_homes = Rendezvous(under.processes), RendezvousHash(list(under.processes))
    sets: dict[str, Callable[[str], object]] = {
        "caches_runtime": lambda key: made["caches_runtime"].set(key, b"value"),
        "pymemcache": lambda key: made["pymemcache"].set(key, b"value", noreply=False),
        "pylibmc": lambda key: made["pylibmc"].set(key, b"value"),
    }
    many = {name: getattr(client, "get_multi" if name == "pylibmc" else "get_many") for name, client in made.items()}
    return {
        "look-up, µs": {
            "caches_runtime": lambda: each(homes.node_of, raw),
            "pymemcache": lambda: each(peer_homes.get_node, keys),
        },
        "key made legal, look-up, µs": {"caches_runtime": lambda: each(lambda key: homes.node_of(legal(key)), keys)},
        "set, µs": {name: partial(each, way, keys) for name, way in sets.items()},
        "get, µs": {name: partial(each, client.get, keys) for name, client in made.items()},
        f"get_many, {TOGETHER} at a time, µs": {name: partial(each, way, some) for name, way in many.items()},
    }


def each(call: Callable[[Given], object], given: list[Given]) -> None:
    """Calls for each."""
    for one in given:
        call(one)


def medians(ways: dict[str, Callable[[], object]], keys: int) -> dict[str, float]:
    """Microseconds for each key, by client."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) / keys * 1e6 for name, seconds in taken.items()}


def wait(name: str, fault: signal.Signals) -> float | None:
    """Seconds of the first `get` after the fault, whatever comes of it; None for more than are waited."""
    with ExitStack() as closing:
        under = Shards(closing, 1, login=False)
        client = clients(under)[name]
        client.get("key")
        under.send(next(iter(under.processes)), fault)
        took: list[float] = []

        def call() -> None:
            began = time.perf_counter()
            with suppress(Exception):
                client.get("key")
            took.append(time.perf_counter() - began)

        waiting = Thread(target=call, daemon=True)
        waiting.start()
        waiting.join(LONGEST_SECONDS)
        return took[0] if took else None


def table(measured: dict[str, dict[str, float | None]], shards: int, keys: int) -> str:
    lines = [f"{f'{shards} shards, {keys} keys':<36}" + "".join(f"{name:>16}" for name in COLUMNS)]
    for what, row in measured.items():
        cells = ["" if name not in row else f"> {LONGEST_SECONDS}" if (value := row[name]) is None else f"{value:.2f}" for name in COLUMNS]
        lines.append(f"{what:<36}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
