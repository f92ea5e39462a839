"""What the patterns need of a cache, and how clients of `connect`, `connect_async` and MemcachedClient give it.

One protocol for threads and for asyncio: over a blocking client a coroutine never suspends, and `caches_runtime.patterns.driving.run`
runs it to its end.
"""

import asyncio
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import redis
import redis.asyncio

from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.client.memcached_connection import LoginRefusedError, ReplyError

Result = TypeVar("Result")

VERSION_BYTES = 16
"""Every value begins with so many that no other value begins with: what it is compared by."""
_REPLACE = f"""
if redis.call('GETRANGE', KEYS[1], 0, {VERSION_BYTES - 1}) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class StoreError(Exception):
    """The cache did not do it, or it is not known whether it did."""


class Store(Protocol):
    """Values, bytes, under keys, bytes. Any method raises StoreError, and no other error of the cache.

    What was acknowledged is what any reader gets from then on, until it is replaced, removed, evicted or expired.
    A call of which StoreError was raised may still be carried out later.
    """

    fails_by_key: bool
    """Whether an error says nothing of other keys, and takes no time when it comes again."""

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The values that there are."""

    async def set(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """Stores a value, whatever was there."""

    async def add(self, key: bytes, value: bytes, ttl_seconds: float) -> bool:
        """Stores a value if there is none; says whether."""

    async def replace(self, key: bytes, version: bytes, value: bytes, ttl_seconds: float) -> bool:
        """Stores a value if what is there begins with that version; says whether. Nothing happens in between."""

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Removes what there is."""


def store_of(client: Any, blocking: bool) -> Store:
    """The store that a client is; one that is a Store already stays as it is. Raises TypeError for what can't be one.

    `blocking` says whether its coroutines may hold the thread, or must let an event loop run.
    """
    for kinds, maker, holds in (
        (redis.Redis | redis.RedisCluster, "connect", True),
        (redis.asyncio.Redis | redis.asyncio.RedisCluster, "connect_async", False),
    ):
        if isinstance(client, kinds):
            if holds != blocking:
                needed = "LoadingCache" if holds else "AsyncLoadingCache"
                raise TypeError(f"a client of {maker} needs a cache of the class {needed}")
            return RedisStore(client)
    if isinstance(client, MemcachedClient):
        return MemcachedStore(client)
    if all(inspect.iscoroutinefunction(getattr(client, name, None)) for name in ("get_many", "set", "add", "replace", "delete")):
        store: Store = client
        return store
    raise TypeError(f"{type(client).__name__} is no store: give what connect or connect_async returns, a MemcachedClient, or a Store")


class RedisStore:
    """One server, a group or a cluster of Redis or Valkey, by a client for threads or for asyncio."""

    fails_by_key = False

    def __init__(self, client: Any) -> None:
        if client.get_encoder().decode_responses:
            raise TypeError("the client has decode_responses=True: what patterns store is bytes; connect without it")
        self._client = client
        self._spread = isinstance(client, redis.RedisCluster | redis.asyncio.RedisCluster)

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """One request; of a cluster one to each node that has some of them."""
        if len(keys) == 1:
            values = [await self._ask("GET", keys[0])]
        elif self._spread:
            values = await _answer(self._client.mget_nonatomic, keys)
        else:
            values = await self._ask("MGET", *keys)
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    async def set(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """By SET."""
        await self._ask("SET", key, value, "PX", _milliseconds(ttl_seconds))

    async def add(self, key: bytes, value: bytes, ttl_seconds: float) -> bool:
        """By SET NX."""
        return bool(await self._ask("SET", key, value, "PX", _milliseconds(ttl_seconds), "NX"))

    async def replace(self, key: bytes, version: bytes, value: bytes, ttl_seconds: float) -> bool:
        """By a script with this key only, so that a cluster can run it."""
        return bool(await self._ask("EVAL", _REPLACE, 1, key, version, value, _milliseconds(ttl_seconds)))

    async def delete(self, keys: Sequence[bytes]) -> None:
        """One request; of a cluster one for each slot."""
        if keys:
            await _answer(self._client.delete, *keys)

    async def publish(self, channel: str, message: bytes) -> None:
        """To those who are subscribed now. Raises StoreError."""
        await self._ask("PUBLISH", channel, message)

    async def _ask(self, *command: Any) -> Any:
        return await _answer(self._client.execute_command, *command)


class MemcachedStore:
    """Shards of Memcached. In asyncio each call runs in a thread, because the client blocks."""

    fails_by_key = True

    def __init__(self, client: MemcachedClient) -> None:
        self._client = client

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """One request to each shard."""
        return await _in_thread(self._client.get_many, keys)

    async def set(self, key: bytes, value: bytes, ttl_seconds: float) -> None:
        """By set."""
        await _in_thread(self._client.set, key, value, math.ceil(ttl_seconds))

    async def add(self, key: bytes, value: bytes, ttl_seconds: float) -> bool:
        """By add."""
        return await _in_thread(self._client.add, key, value, math.ceil(ttl_seconds))

    async def replace(self, key: bytes, version: bytes, value: bytes, ttl_seconds: float) -> bool:
        """By gets and cas."""
        found = await _in_thread(self._client.get_with_token, key)
        if not found or not found[0].startswith(version):
            return False
        return await _in_thread(self._client.cas, key, value, found[1], math.ceil(ttl_seconds))

    async def delete(self, keys: Sequence[bytes]) -> None:
        """One request to each shard."""
        for error in (await _in_thread(self._client.delete_many, keys)).values():
            raise StoreError(str(error)) from error


async def _answer(call: Any, *arguments: Any) -> Any:
    try:
        result = call(*arguments)
        return await result if inspect.isawaitable(result) else result
    except (redis.RedisError, OSError) as error:
        raise StoreError(str(error)) from error


async def _in_thread(call: Callable[..., Result], *arguments: Any) -> Result:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        blocking = True
    else:
        blocking = False
    try:
        return call(*arguments) if blocking else await asyncio.to_thread(call, *arguments)
    except (OSError, ReplyError, LoginRefusedError) as error:
        raise StoreError(str(error)) from error


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
