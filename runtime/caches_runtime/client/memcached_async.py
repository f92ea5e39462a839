"""The client of Memcached for asyncio: the one for threads, each call in a thread of its own that ends when the call must."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, Self, TypeVar

from caches_runtime.client.calls import UNDER_WAY, Call
from caches_runtime.client.memcached import AnyKey, MemcachedClient
from caches_runtime.client.memcached_keys import Key
from caches_runtime.client.memcached_shard import ShardAwayError

Result = TypeVar("Result")
# As many calls at once; more wait for their turn, within their budgets.
_CALLS = 256


class _InThread(MemcachedClient):
    """Its calls have begun before, in the loop."""

    def _call(self, command: str) -> AbstractContextManager[Call]:
        call = UNDER_WAY.get()
        assert call is not None  # noqa: S101
        return nullcontext(call)


class AsyncMemcachedClient:
    """MemcachedClient's methods for asyncio, with its arguments, promises and errors. For one event loop.

    256 calls work at once. Others wait for their turn; one that has none in its time was not sent, and raises ShardAwayError.
    A call that is cancelled goes on in its thread until it has ended: a write may happen, as one that raised ShardAwayError may.
    """

    def __init__(self, connection: Mapping[str, Any], **arguments: Any) -> None:
        self._client = _InThread(connection, **arguments)
        self._turns = asyncio.Semaphore(_CALLS)
        self._threads = ThreadPoolExecutor(_CALLS, "memcached-call")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def get(self, key: Key, default: bytes | None = None) -> bytes | None:
        """The value of a key, or the default."""
        return await self._run("GET", partial(self._client.get, key, default))

    async def get_with_token(self, key: Key) -> tuple[bytes, int] | None:
        """The value with the token that `cas` takes."""
        return await self._run("GET", partial(self._client.get_with_token, key))

    async def get_many(self, keys: Iterable[AnyKey]) -> dict[AnyKey, bytes]:
        """The values that there are."""
        return await self._run("GET", partial(self._client.get_many, keys))

    async def get_many_with_tokens(self, keys: Iterable[AnyKey]) -> dict[AnyKey, tuple[bytes, int]]:
        """The same with the tokens that `cas` takes."""
        return await self._run("GET", partial(self._client.get_many_with_tokens, keys))

    async def set(self, key: Key, value: bytes, ttl_seconds: int | None = None) -> None:
        """Stores a value, for so many whole seconds or without an end. Raises ShardAwayError."""
        await self._run("SET", partial(self._client.set, key, value, ttl_seconds))

    async def set_many(self, values: Mapping[AnyKey, bytes], ttl_seconds: int | None = None) -> dict[AnyKey, Exception]:
        """Stores values. Returns those that were not acknowledged, and why."""
        return await self._run("SET", partial(self._client.set_many, values, ttl_seconds))

    async def delete(self, key: Key) -> None:
        """Removes a value, or sees that there is none. Raises ShardAwayError: then others may still read it while it lives."""
        await self._run("DELETE", partial(self._client.delete, key))

    async def delete_many(self, keys: Iterable[AnyKey]) -> dict[AnyKey, Exception]:
        """Removes values. Returns those keys that were not acknowledged, and why."""
        return await self._run("DELETE", partial(self._client.delete_many, keys))

    async def add(self, key: Key, value: bytes, ttl_seconds: int | None = None) -> bool:
        """Stores a value if there is none; says whether. Raises ShardAwayError."""
        return await self._run("ADD", partial(self._client.add, key, value, ttl_seconds))

    async def replace(self, key: Key, value: bytes, ttl_seconds: int | None = None) -> bool:
        """Stores a value if there is one; says whether. Raises ShardAwayError."""
        return await self._run("REPLACE", partial(self._client.replace, key, value, ttl_seconds))

    async def cas(self, key: Key, value: bytes, token: int, ttl_seconds: int | None = None) -> bool:
        """Stores a value if nobody has since the token was read; says whether. Raises ShardAwayError."""
        return await self._run("CAS", partial(self._client.cas, key, value, token, ttl_seconds))

    async def touch(self, key: Key, ttl_seconds: int | None) -> bool:
        """Gives a value a new time to live; says whether there is one. Raises ShardAwayError."""
        return await self._run("TOUCH", partial(self._client.touch, key, ttl_seconds))

    async def incr(self, key: Key, by: int = 1) -> int | None:
        """Adds to a number in decimal digits, modulo 2^64; the new one, or None where there is none. Raises ShardAwayError."""
        return await self._run("INCR", partial(self._client.incr, key, by))

    async def decr(self, key: Key, by: int = 1) -> int | None:
        """Takes from a number, down to 0; the new one, or None where there is none. Raises ShardAwayError."""
        return await self._run("DECR", partial(self._client.decr, key, by))

    def log_in(self, username: str, password: str) -> None:
        """Connections from now on log in so. Those that are open stay: a server asks once."""
        self._client.log_in(username, password)

    async def aclose(self) -> None:
        """Ends the connections."""
        self._client.close()
        self._threads.shutdown(wait=False)

    async def _run(self, command: str, do: Callable[[], Result]) -> Result:
        with Call(command, self._client._budget_seconds, self._client._about) as call:
            try:
                async with asyncio.timeout(call.left):
                    await self._turns.acquire()
            except TimeoutError:
                raise ShardAwayError(f"{command} was not sent: {_CALLS} other calls have not ended in its time") from None
            working = asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, do)
            # Its turn lasts as long as its thread works, also when nobody waits for that any more.
            working.add_done_callback(lambda _: self._turns.release())
            return await asyncio.shield(working)
