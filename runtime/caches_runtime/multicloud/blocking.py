"""The same for threads: the work is done by one event loop in a thread of its own, for all that call."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

from caches_runtime.multicloud.cache import AsyncMultiCloudCache
from caches_runtime.multicloud.policy import Policy, StandbyPolicy
from caches_runtime.multicloud.primary_standby import AsyncPrimaryStandby

Result = TypeVar("Result")


class Loop:
    """Runs coroutines in a thread until it is closed."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What it returns or raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Ends the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


Cache = TypeVar("Cache", AsyncMultiCloudCache, AsyncPrimaryStandby)


class _ForThreads(Generic[Cache]):
    """What both have."""

    _cache: Cache

    def __init__(self, name: str, make: Callable[[], Cache]) -> None:
        self._loop = Loop(f"multicloud-{name}")

        async def started() -> Cache:
            cache = make()
            await cache.start()
            return cache

        try:
            self._cache = self._loop.run(started())
        except BaseException:
            self._loop.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set(self, key: str | bytes, value: bytes, ttl_seconds: float | None = None) -> None:
        """Stores a value."""
        self._loop.run(self._cache.set(key, value, ttl_seconds))

    def delete(self, key: str | bytes) -> None:
        """Removes a value."""
        self._loop.run(self._cache.delete(key))

    @property
    def backlog(self) -> int:
        """How many writes wait for clouds that have missed them."""
        return self._cache.backlog

    def close(self) -> None:
        """Ends the connections and the thread."""
        self._loop.run(self._cache.close())
        self._loop.close()


class MultiCloudCache(_ForThreads[AsyncMultiCloudCache]):
    """AsyncMultiCloudCache for any number of threads: the same arguments, promises and errors."""

    def __init__(
        self,
        connections: Mapping[str, Mapping[str, Any]],
        policy: Policy = Policy(),  # noqa: B008 # it can't change
        *,
        folder: Path,
        name: str = "caches",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, lambda: AsyncMultiCloudCache(connections, policy, folder=folder, name=name, clock=clock))

    def get(self, key: str | bytes, *, read: Literal["nearest", "quorum"] | None = None) -> bytes | None:
        """The value, or None."""
        found: bytes | None = self._loop.run(self._cache.get(key, read=read))
        return found

    def states(self) -> dict[str, str]:
        """Of each cloud: closed, open or half-open."""
        return self._cache.states()

    def repaired(self, timeout_seconds: float) -> bool:
        """Waits until nothing is to be repaired."""
        return self._loop.run(self._cache.repaired(timeout_seconds))

    def accept_loss(self) -> None:
        """Goes on after too many clouds have lost their data."""
        self._loop.run(self._cache.accept_loss())


class PrimaryStandby(_ForThreads[AsyncPrimaryStandby]):
    """AsyncPrimaryStandby for any number of threads: the same arguments, promises and errors."""

    def __init__(
        self,
        connections: Mapping[str, Mapping[str, Any]],
        primary: str,
        policy: StandbyPolicy = StandbyPolicy(),  # noqa: B008 # it can't change
        *,
        folder: Path,
        name: str = "caches",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, lambda: AsyncPrimaryStandby(connections, primary, policy, folder=folder, name=name, clock=clock))

    def get(self, key: str | bytes) -> bytes | None:
        """The value at the primary, or None."""
        return self._loop.run(self._cache.get(key))

    @property
    def primary(self) -> str:
        """The cloud that is read and written first."""
        return self._cache.primary

    @property
    def epoch(self) -> int:
        """How often the primary has changed, from 1."""
        return self._cache.epoch

    def converged(self, timeout_seconds: float) -> bool:
        """Waits until both clouds have the same."""
        return self._loop.run(self._cache.converged(timeout_seconds))

    def fail_over(self) -> None:
        """Makes the standby the primary."""
        self._loop.run(self._cache.fail_over())

    def fail_back(self, to: str) -> None:
        """Makes a cloud the primary again, once both are proved to have the same."""
        self._loop.run(self._cache.fail_back(to))
