"""A store in two tiers: the process's memory, and a server that others write to as well."""

from collections.abc import Collection, Sequence
from typing import Any

from caches_runtime.patterns.store import RedisStore
from caches_runtime.tiers import metrics
from caches_runtime.tiers.link import InvalidationLink
from caches_runtime.tiers.memory import Memory


class TieredCache(RedisStore):
    """The store of a client of `connect` or `connect_async`, read from memory while the link proves that it is right.

    It is a Store that patterns take. Memory and link belong together, and may be shared by several of these in a process.
    """

    def __init__(self, client: Any, memory: Memory, link: InvalidationLink) -> None:
        super().__init__(client)
        self._memory = memory
        self._link = link

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """From memory, the others from the server. Raises StoreError when one has to be asked of the server and it does not answer."""
        found = self._memory.get_many(keys) if self._link.up else {}
        others = [key for key in keys if key not in found]
        self._count(memory=len(found))
        if not others:
            return found
        with self._memory.filling([key for key in others if key.startswith(self._link.prefix)]) as fill:
            # Asked after the fill is known to the memory: a link that is lost from now on spoils it.
            up = self._link.up
            read = await super().get_many(others)
            if up:
                self._memory.keep(fill, read)
        self._count(server=len(read), nowhere=len(others) - len(read))
        return found | read

    async def set(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """To the server; this process reads it from there once more."""
        try:
            await super().set(key, value, ttl_seconds)
        finally:
            await self._changed([key])

    async def add(self, key: bytes, value: bytes, ttl_seconds: float) -> bool:
        """To the server."""
        try:
            return await super().add(key, value, ttl_seconds)
        finally:
            await self._changed([key])

    async def replace(self, key: bytes, version: bytes, value: bytes, ttl_seconds: float) -> bool:
        """On the server."""
        try:
            return await super().replace(key, version, value, ttl_seconds)
        finally:
            await self._changed([key])

    async def delete(self, keys: Sequence[bytes]) -> None:
        """On the server, and from memory."""
        try:
            await super().delete(keys)
        finally:
            await self._changed(keys)

    async def _changed(self, keys: Collection[bytes]) -> None:
        """Before a write is acknowledged: nobody may read what was before."""
        self._memory.drop(keys)
        if self._link.channel is not None:
            for key in keys:
                await self._ask("PUBLISH", self._link.channel, key)

    def _count(self, **found: int) -> None:
        for where, number in found.items():
            metrics.READS.labels(self._link.name, where).inc(number)
