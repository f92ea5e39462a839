"""Writes that reach the source later (docs/caching-patterns.md)."""

import logging
import random
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Self

from caches_runtime.patterns import metrics
from caches_runtime.patterns.blocking import LoadingCache
from caches_runtime.patterns.codecs import UndecodableError
from caches_runtime.patterns.driving import call, run
from caches_runtime.patterns.keys import Key
from caches_runtime.patterns.loading import AsyncLoadingCache
from caches_runtime.patterns.write_queue import QueuedWrite, WriteQueue

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 60.0


class AsyncWriteBehind:
    """A queue on the local disk between a cache and its source. For asyncio; WriteBehind is for threads.

    What it promises: a write that has returned reaches the source at least once, after all earlier ones of its key, also when the process
    or the machine ends meanwhile, as soon as a process has the file again; or it is set aside, where `aside` shows it. Reads through this
    object see it at once. Others see it while the cache has it; else what the source has, which may be as old as the queue's oldest write.
    """

    def __init__(
        self,
        cache: AsyncLoadingCache,
        path: Path | str,
        write: Callable[[bytes, Any], Any],
        *,
        most_waiting: int = 10_000,
        coalescing: bool = False,
        attempts: int = 8,
    ) -> None:
        """`write` tells the source of a key, its bytes, and a value, None to remove it; it may be called twice with the same.

        `path` is a file on a local disk, of this process only: BlockingIOError where another one has it. More writes than `most_waiting`
        are refused with QueueFullError. With `coalescing` only the newest of a key goes. One that failed `attempts` times, with pauses
        from 0.1 to 60 seconds, is set aside.
        """
        if most_waiting < 1 or attempts < 1:
            raise ValueError(f"most_waiting = {most_waiting}, attempts = {attempts}: must be at least 1")
        self._cache, self._write, self._attempts = cache, write, attempts
        self._queue = WriteQueue(Path(path), most_waiting, coalescing)
        self._wake: Future[None] = Future()
        self._ended: Future[None] | None = None
        self._closing = False

    async def start(self) -> Self:
        """Begins to write to the source, also what was left from before."""
        if self._ended is None:
            self._ended = Future()
            self._cache.driver.serve(self._drain(self._ended))
        return self

    async def get_or_load(self, key: Key, load: Callable[[], Any], tags: Iterable[Key] = ()) -> Any:
        """As AsyncLoadingCache.get_or_load, with what the source has not got yet before what it has."""
        return await self._cache.get_or_load(key, partial(self._newest, key, load), tags)

    async def write(self, key: Key, value: Any, tags: Iterable[Key] = ()) -> bool:
        """Notes a write on the disk, then in the cache; a value of None removes.

        False where the cache could not be told: then only this object is known to show it before the source has it.
        Raises ValueTooLargeError and QueueFullError; then nothing was written.
        """
        done = await self._cache.write(key, value, tags, self._put)
        if not (wake := self._wake).done():
            wake.set_result(None)
        return done

    async def send_next(self) -> bool:
        """Tells the source of the next write that is due; says whether there was one. Instead of `start`, not beside it."""
        queued = await self._cache.driver.block(self._queue.take)
        await self._measure()
        if queued:
            await self._send(queued)
        return queued is not None

    async def waiting(self) -> int:
        """How many writes the source has not got yet."""
        return (await self._cache.driver.block(self._queue.lengths))[0]

    async def aside(self) -> list[QueuedWrite]:
        """Writes that were set aside, oldest first. They count for `most_waiting`."""
        return await self._cache.driver.block(self._queue.aside)

    async def discard(self, number: int) -> bool:
        """Forgets one that was set aside; says whether there was one. To try it anew, write it again."""
        return await self._cache.driver.block(self._queue.discard, number)

    async def aclose(self) -> None:
        """Ends the write that is under way. Others stay on the disk."""
        self._closing = True
        while self._ended and not await self._cache.driver.wait(self._ended, _LOOK_SECONDS):
            pass
        await self._cache.driver.block(self._queue.close)

    async def _put(self, key: Key, value: Any) -> None:
        strategy = self._cache.strategy
        raw = None if value is None else strategy.serialise(value)
        await self._cache.driver.block(self._queue.put, _raw(key), strategy.codec.name, raw)

    async def _newest(self, key: Key, load: Callable[[], Any]) -> Any:
        queued = await self._cache.driver.block(self._queue.newest, _raw(key))
        return await call(load) if queued is None else self._value(queued)

    def _value(self, queued: QueuedWrite) -> Any:
        return None if queued.value is None else self._cache.strategy.parse(queued.codec, queued.value)

    async def _drain(self, ended: "Future[None]") -> None:
        try:
            while not self._closing:
                self._wake = Future()
                if not await self.send_next():
                    await self._cache.driver.wait(self._wake, _LOOK_SECONDS)
        finally:
            ended.set_result(None)

    async def _send(self, queued: QueuedWrite) -> None:
        block = self._cache.driver.block
        try:
            value = self._value(queued)
            await call(self._write, queued.key, value)
        except Exception as error:
            name = type(error).__name__
            if queued.attempts + 1 < self._attempts and not isinstance(error, UndecodableError):
                pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**queued.attempts)
                await block(self._queue.failed, queued, pause * random.uniform(0.5, 1))  # noqa: S311
                return
            log.error("a write was set aside", extra={"cache": self._cache.namespace.name, "number": queued.number, "error": name})
            await block(self._queue.set_aside, queued, name)
            await self._cache.invalidate(queued.key)
        else:
            await block(self._queue.done, queued)
            if await block(self._queue.newest, queued.key) is None:
                # Somebody may have loaded what the source had before.
                await self._cache.keep_only(queued.key, value)

    async def _measure(self) -> None:
        waiting, aside, age = await self._cache.driver.block(self._queue.lengths)
        cache = self._cache.namespace.name
        metrics.QUEUE_LENGTH.labels(cache).set(waiting)
        metrics.SET_ASIDE.labels(cache).set(aside)
        metrics.QUEUE_AGE.labels(cache).set(age)


class WriteBehind:
    """AsyncWriteBehind for any number of threads, with the same methods and promises. Use it in `with`, or start and close it."""

    def __init__(self, cache: LoadingCache, path: Path | str, write: Callable[[bytes, Any], Any], **options: Any) -> None:
        """With AsyncWriteBehind's options."""
        self._inner = AsyncWriteBehind(cache.inner, path, write, **options)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """As AsyncWriteBehind.start."""
        run(self._inner.start())
        return self

    def get_or_load(self, key: Key, load: Callable[[], Any], tags: Iterable[Key] = ()) -> Any:
        """As AsyncWriteBehind.get_or_load."""
        return run(self._inner.get_or_load(key, load, tags))

    def write(self, key: Key, value: Any, tags: Iterable[Key] = ()) -> bool:
        """As AsyncWriteBehind.write."""
        return run(self._inner.write(key, value, tags))

    def send_next(self) -> bool:
        """As AsyncWriteBehind.send_next."""
        return run(self._inner.send_next())

    def waiting(self) -> int:
        """As AsyncWriteBehind.waiting."""
        return run(self._inner.waiting())

    def aside(self) -> list[QueuedWrite]:
        """As AsyncWriteBehind.aside."""
        return run(self._inner.aside())

    def discard(self, number: int) -> bool:
        """As AsyncWriteBehind.discard."""
        return run(self._inner.discard(number))

    def close(self) -> None:
        """As AsyncWriteBehind.aclose."""
        run(self._inner.aclose())


def _raw(key: Key) -> bytes:
    return key.encode() if isinstance(key, str) else key
