"""A tiered cache as one process has it, before a server that others write to."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from caches_runtime.client import connect
from caches_runtime.patterns.driving import run
from caches_runtime.patterns.store import StoreError
from caches_runtime.tiers import InvalidationLink, Memory, TieredCache

KEY = b"k"
TTL_SECONDS = 600.0
TIMEOUT_SECONDS = 0.5


class Tiers:
    """With a client for threads."""

    def __init__(self, connection: Mapping[str, Any], link: Mapping[str, Any], budget: float = 2, **options: Any) -> None:
        self.memory = Memory(seconds=TTL_SECONDS)
        self.client = connect(connection, budget=budget)
        self.link = InvalidationLink(link, self.memory, **options)
        self.cache = TieredCache(self.client, self.memory, self.link)

    def get(self, key: bytes = KEY) -> bytes | None:
        return run(self.cache.get_many([key])).get(key)

    def set(self, value: bytes, key: bytes = KEY) -> None:
        run(self.cache.set(key, value, TTL_SECONDS))

    def close(self) -> None:
        self.link.close()
        self.client.close()


@contextmanager
def tiers(connection: Mapping[str, Any], link: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Tiers]:
    """Closed afterwards. The link's connection is the cache's unless it is given."""
    made = Tiers(connection, link or connection, **options)
    try:
        yield made
    finally:
        made.close()


class Writes:
    """Rising numbers under some keys, when each was acknowledged, and that no reader gets what is older than was promised."""

    def __init__(self, write: Callable[[bytes, int], Any], keys: Sequence[bytes] = (KEY,)) -> None:
        """`write` returns something false, or raises redis.RedisError, when it is not acknowledged."""
        self._write_one = write
        self._keys = keys
        self._acknowledged: dict[bytes, deque[tuple[float, int]]] = {key: deque() for key in keys}
        self.last = 0

    def keep_checking(self, reader: Tiers, over: threading.Event) -> int:
        """Until that, until 200 reads had an answer, and until one more write of each key is acknowledged; returns how many had."""
        answered = 0
        while not (self._write() and over.is_set() and answered >= 200):
            answered += sum([self._check(reader, key) for key in self._keys])
        return answered

    def _write(self) -> bool:
        self.last += 1
        return all([self._acknowledges(key) for key in self._keys])

    def _acknowledges(self, key: bytes) -> bool:
        try:
            if not self._write_one(key, self.last):
                return False
        except (redis.RedisError, redis.exceptions.RedisClusterException):
            return False
        self._acknowledged[key].append((time.monotonic(), self.last))
        return True

    def _check(self, reader: Tiers, key: bytes) -> bool:
        acknowledged, began = self._acknowledged[key], time.monotonic()
        try:
            value = reader.get(key)
        except StoreError:
            return False
        while len(acknowledged) > 1 and acknowledged[1][0] <= began - TIMEOUT_SECONDS:
            acknowledged.popleft()
        at, oldest = acknowledged[0] if acknowledged else (began, 0)
        assert value is None or at > began - TIMEOUT_SECONDS or int(value) >= oldest, f"{key!r}: {value!r} is older than {oldest}"
        return True
