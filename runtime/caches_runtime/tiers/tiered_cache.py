"""A store in two tiers: the process's memory, and a server that others write to as well."""

from collections.abc import Collection, Sequence
from typing import Any

from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.observers.change import Change
from caches_runtime.patterns.keys import Key
from caches_runtime.patterns.store import MemcachedStore, RedisStore, Store
from caches_runtime.tiers import metrics
from caches_runtime.tiers.link import AgeLimit, Link
from caches_runtime.tiers.memory import Memory


class TieredCache:
    """The store of a client of `connect` or `connect_async`, read from memory while the link covers what is read.

    It is a Store that patterns take. Memory and link belong together, and may be shared by several of these in a process.
    """

    def __init__(self, client: Any, memory: Memory, link: Link) -> None:
        """Raises TypeError for a MemcachedClient with a link that it can't have: it says of nothing that it has changed."""
        if isinstance(client, MemcachedClient) and not isinstance(link, AgeLimit):
            raise TypeError(f"Memcached never says what has changed, so {type(link).__name__} can't hear it: give AgeLimit()")
        self._store: Store = MemcachedStore(client) if isinstance(client, MemcachedClient) else RedisStore(client)
        self.fails_by_key = self._store.fails_by_key
        self._memory = memory
        self._link = link

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """From memory, the others from the server. Raises StoreError when one has to be asked of the server and it does not answer."""
        found = self._memory.get_many(self._link.covers(keys))
        others = [key for key in keys if key not in found]
        self._count(memory=len(found))
        if not others:
            return found
        with self._memory.filling(others) as fill:
            # Asked after the fill is known to the memory: a link that is lost from now on spoils it.
            covered = self._link.covers(others)
            read = await self._store.get_many(others)
            self._memory.keep(fill, {key: read[key] for key in covered if key in read})
        self._count(server=len(read), nowhere=len(others) - len(read))
        return found | read

    async def set(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """To the server; this process reads it from there once more."""
        try:
            await self._store.set(key, value, ttl_seconds)
        finally:
            await self._changed([key])

    async def add(self, key: bytes, value: bytes, ttl_seconds: float) -> bool:
        """To the server."""
        try:
            return await self._store.add(key, value, ttl_seconds)
        finally:
            await self._changed([key])

    async def replace(self, key: bytes, version: bytes, value: bytes, ttl_seconds: float) -> bool:
        """On the server."""
        try:
            return await self._store.replace(key, version, value, ttl_seconds)
        finally:
            await self._changed([key])

    async def delete(self, keys: Sequence[bytes]) -> None:
        """On the server, and from memory."""
        try:
            await self._store.delete(keys)
        finally:
            await self._changed(keys)

    def invalidated(self, change: Change) -> None:
        """Out of memory, for an observer: keys and prefixes as the server has them; for a tag everything."""
        if change.everything or change.tags:
            self._memory.clear()
            return
        self._memory.drop([_wire(key) for key in change.keys])
        if prefixes := tuple(_wire(prefix) for prefix in change.prefixes):
            self._memory.drop_where(lambda key: key.startswith(prefixes))

    async def _changed(self, keys: Collection[bytes]) -> None:
        """Before a write is acknowledged: nobody may read what was before."""
        self._memory.drop(keys)
        if self._link.channel is not None and isinstance(self._store, RedisStore):
            for key in keys:
                await self._store.publish(self._link.channel, key)

    def _count(self, **found: int) -> None:
        for where, number in found.items():
            metrics.READS.labels(self._link.name, where).inc(number)


def _wire(key: Key) -> bytes:
    return key.encode() if isinstance(key, str) else key
