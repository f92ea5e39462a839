"""`python -m bench.memcached_client`: what placing a key and a call cost, beside pymemcache's HashClient.

With Memcached processes of this machine; both in turn, five rounds; printed is the median.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from caches_runtime.client.memcached_keys import legal
from caches_runtime.client.rendezvous import Rendezvous
from pymemcache.client.hash import HashClient  # type: ignore[import-untyped]
from pymemcache.client.rendezvous import RendezvousHash  # type: ignore[import-untyped]
from unit.client.shards import Shards

Given = TypeVar("Given")
ROUNDS = 5
TOGETHER = 100


def main() -> None:
    """Prints a row for each thing that was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--keys", type=int, default=20_000, help="how many (default: 20000)")
    options = parser.parse_args()
    keys = [f"user:{number}:profile" for number in range(options.keys)]
    with ExitStack() as closing:
        under = Shards(closing, options.shards, login=False)
        client = under.client(budget_seconds=10)
        peer = HashClient(list(under.processes))
        homes, peer_homes = Rendezvous(under.processes), RendezvousHash(list(under.processes))
        raw = [key.encode() for key in keys]
        some = [keys[at : at + TOGETHER] for at in range(0, len(keys), TOGETHER)]
        print(f"{options.shards} shards, {options.keys} keys, µs per key        caches_runtime   pymemcache")
        row("look-up", lambda: each(homes.node_of, raw), lambda: each(peer_homes.get_node, keys), len(keys))
        row("key made legal, look-up", lambda: each(lambda key: homes.node_of(legal(key)), keys), None, len(keys))
        row(
            "set",
            lambda: each(lambda key: client.set(key, b"value"), keys),
            lambda: each(lambda key: peer.set(key, b"value", noreply=False), keys),
            len(keys),
        )
        row("get", lambda: each(client.get, keys), lambda: each(peer.get, keys), len(keys))
        row(f"get_many, {TOGETHER} at a time", lambda: each(client.get_many, some), lambda: each(peer.get_many, some), len(keys))


def each(call: Callable[[Given], object], given: list[Given]) -> None:
    """Calls for each."""
    for one in given:
        call(one)


def row(what: str, ours: Callable[[], None], theirs: Callable[[], None] | None, keys: int) -> None:
    """Measures and prints."""
    seconds: dict[Callable[[], None], list[float]] = {way: [] for way in (ours, theirs) if way}
    for _ in range(ROUNDS):
        for way, measured in seconds.items():
            began = time.perf_counter()
            way()
            measured.append(time.perf_counter() - began)
    print(f"{what:<45}" + "".join(f"{statistics.median(measured) / keys * 1e6:>13.2f}" for measured in seconds.values()))


if __name__ == "__main__":
    main()
