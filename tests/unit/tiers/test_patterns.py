"""Patterns over a tiered cache: what each process reads is no older than the pattern and the link promise together."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from caches_runtime.patterns import LoadingCache, Namespace, Strategy
from common.waiting import until
from unit.client.processes import Processes
from unit.tiers.tiers import TIMEOUT_SECONDS, tiers

KEYS = ("a", "b")
CHANGES = 150


def test_cache_aside_over_two_tiers_reads_nothing_older_than_was_invalidated_a_timeout_ago(server: Processes) -> None:
    source = dict.fromkeys(KEYS, 0)
    invalidated: list[tuple[float, str, int]] = []
    over = threading.Event()

    with ExitStack() as closing:
        made = [closing.enter_context(tiers(server.connection(1), timeout=TIMEOUT_SECONDS)) for _ in range(3)]
        namespace, strategy = Namespace("shop", clearable=True), Strategy(ttl_seconds=600)
        caches = [closing.enter_context(LoadingCache(each.cache, namespace, strategy)) for each in made]
        beside = closing.enter_context(ThreadPoolExecutor())
        closing.callback(over.set)
        assert all(until(lambda each=each: each.link.up, 30, every=0.001) for each in made)  # type: ignore[misc]

        def reads(cache: LoadingCache) -> int:
            count = 0
            while not over.is_set():
                for key in KEYS:
                    began = time.monotonic()
                    promised = max((to for at, of, to in list(invalidated) if of == key and at <= began - TIMEOUT_SECONDS), default=0)
                    value = cache.get_or_load(key, lambda key=key: source[key], [f"tag-{key}"])  # type: ignore[misc]
                    assert value >= promised
                    count += 1
            return count

        reading = [beside.submit(reads, cache) for cache in caches[1:]]
        for number in range(1, CHANGES):
            key = KEYS[number % 2]
            source[key] = number
            if number % 3:
                assert caches[0].invalidate(key)
            else:
                assert caches[0].invalidate_tags(f"tag-{key}")
            invalidated.append((time.monotonic(), key, number))
            assert caches[0].get_or_load(key, lambda key=key: source[key], [f"tag-{key}"]) == number, "itself at once"  # type: ignore[misc]
        for cache in caches:
            for key in KEYS:
                assert until(lambda cache=cache, key=key: cache.get_or_load(key, int, [f"tag-{key}"]) == source[key], 30, every=0.001)  # type: ignore[misc]
        over.set()
        assert all(each.result() > 100 for each in reading)
        assert all(len(each.memory) for each in made), "read from memory"
