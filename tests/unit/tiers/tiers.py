"""A tiered cache as one process has it, before a server that others write to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from caches_runtime.client import connect
from caches_runtime.patterns.driving import run
from caches_runtime.tiers import InvalidationLink, Memory, TieredCache

KEY = b"k"
TTL_SECONDS = 600.0


class Tiers:
    """With a client for threads."""

    def __init__(self, connection: Mapping[str, Any], link: Mapping[str, Any], **options: Any) -> None:
        self.memory = Memory(seconds=TTL_SECONDS)
        self.client = connect(connection)
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
