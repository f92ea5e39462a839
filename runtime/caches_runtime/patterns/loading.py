"""A cache that knows where its values come from (docs/caching-patterns.md)."""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypedDict, Unpack

from caches_runtime.patterns import metrics
from caches_runtime.patterns.availability import Availability
from caches_runtime.patterns.codecs import ValueTooLargeError
from caches_runtime.patterns.driving import Driver, Loop, call
from caches_runtime.patterns.entry import Entry, Step
from caches_runtime.patterns.flights import LOST, Outcome, Turns, outcome_of
from caches_runtime.patterns.keys import Key, Namespace
from caches_runtime.patterns.places import Places
from caches_runtime.patterns.store import StoreError, store_of
from caches_runtime.patterns.strategy import Strategy

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.1


class Source(TypedDict, total=False):
    """Where values come from."""

    load: Callable[[Key], Any] | None
    """What `get` asks for a value, None for none."""
    write: Callable[[Key, Any], Any] | None
    """What `write` tells of one."""


class AsyncLoadingCache:
    """Cache-aside, read-through, write-through and refresh-ahead, over one store and namespace. For asyncio; LoadingCache is for threads.

    What it promises: a read never returns a value older than the newest write or invalidation that had returned True when the read began,
    by whichever process with the same namespace; nor one whose load began more than `ttl_seconds + stale_seconds` ago, by the clocks of
    those who store and read. A write or an invalidation that returned False, or raised, is known to this process only: it reads past the
    cache until it has been made up for, and others may see what was there until its time to live is over.

    Nothing that a cache does raises an error: reads go to the source, where `load` may raise what it likes.
    """

    def __init__(
        self,
        client: Any,
        namespace: Namespace,
        strategy: Strategy | None = None,
        driver: Driver | None = None,
        **source: Unpack[Source],
    ) -> None:
        """`client` is what connect_async returns, a MemcachedClient, or a Store. `load` and `write` may be coroutine functions."""
        self.namespace = namespace
        self.strategy = strategy or Strategy()
        self.driver = driver or Loop()
        store = store_of(client, self.driver.blocking)
        self._places = Places(store, namespace, self.strategy)
        self._cache = Availability(store, namespace, self.strategy)
        self._source_load, self._source_write = source.get("load"), source.get("write")
        self._turns = Turns(self.driver)
        self._flights: dict[bytes, Future[Outcome]] = {}

    async def get(self, key: Key, tags: Iterable[Key] = ()) -> Any:
        """The value, from the cache or by the cache's own `load` (read-through)."""
        return await self.get_or_load(key, self._loads(key), tags)

    async def get_or_load(self, key: Key, load: Callable[[], Any], tags: Iterable[Key] = ()) -> Any:
        """The value, from the cache or by `load` (cache-aside); None where the source has none.

        `tags` belong to the key: give the same wherever it is read and written.
        """
        wire, marks = self.namespace.key(key), self._places.marks(tags)
        began, pause = time.monotonic(), _FIRST_PAUSE_SECONDS
        while time.monotonic() - began < self.strategy.load_seconds and await self._cache.usable([wire, *marks]):
            try:
                found = await self._places.look(wire, marks)
                step, value = self._places.judge(found)
                held = None
                if step is Step.LOAD:
                    held = await self._take(wire, found.over, Entry.place(time.time(), self.strategy.load_seconds, found.tags))
                elif step is Step.SERVE_AND_REFRESH and found.entry:
                    held = await self._take(wire, found.over, found.entry.leased(time.time(), self.strategy.load_seconds))
            except StoreError as error:
                self._cache.failed(error)
                break
            if step in (Step.SERVE, Step.SERVE_AND_REFRESH):
                if held:
                    self.driver.start(self._refresh(wire, held, load))
                return value
            if held:
                metrics.MISSES.labels(self.namespace.name).inc()
                return (await self._fly(wire, held, load)).result()
            if step is Step.WAIT and found.entry:
                metrics.WAITS.labels(self.namespace.name).inc()
                # Whoever finds this place in the cache came before anything that would make its load obsolete had ended.
                if not (flight := self._flights.get(found.entry.version)):
                    await self.driver.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                elif await self.driver.wait(flight, self.strategy.load_seconds) and not flight.result().lost:
                    return flight.result().result()
        metrics.MISSES.labels(self.namespace.name).inc()
        return await self._turns.load(wire, partial(self._ask_source, load), self.strategy.load_seconds)

    async def refresh(self, key: Key, load: Callable[[], Any] | None = None, tags: Iterable[Key] = ()) -> Any:
        """Loads the value whatever is cached, and returns it. Others are served what is cached meanwhile."""
        load = load or self._loads(key)
        wire, marks = self.namespace.key(key), self._places.marks(tags)
        held = None
        if await self._cache.usable([wire, *marks]):
            try:
                found = await self._places.look(wire, marks)
                step, _ = self._places.judge(found)
                if step in (Step.SERVE, Step.SERVE_AND_REFRESH) and found.entry:
                    held = await self._take(wire, found.over, found.entry.leased(time.time(), self.strategy.load_seconds))
                if held is None:
                    place = Entry.place(time.time(), self.strategy.load_seconds, found.tags)
                    await self._places.put(wire, place)
                    held = place
            except StoreError as error:
                self._cache.failed(error)
        return await self._ask_source(load) if held is None else (await self._fly(wire, held, load)).result()

    async def write(self, key: Key, value: Any, tags: Iterable[Key] = (), write: Callable[[Key, Any], Any] | None = None) -> bool:
        """Writes to the source, then to the cache (write-through); a value of None is for `write` to remove.

        True when every reader sees it from now on; False when the source has it, and only this process is known to see it.
        Raises what `write` does, and ValueTooLargeError before anything is written. Readers of the key wait for it meanwhile.
        """
        if (write := write or self._source_write) is None:
            raise TypeError("this cache was made without `write`: give it one")
        wire, marks = self.namespace.key(key), self._places.marks(tags)
        if value is not None:
            self.strategy.serialise(value)
        done, place = False, None
        try:
            if await self._cache.usable([wire, *marks]):
                try:
                    place = Entry.place(time.time(), self.strategy.load_seconds, await self._places.versions(marks))
                    await self._places.put(wire, place)
                except StoreError as error:
                    place = None
                    self._cache.failed(error)
            begun = time.time()
            await call(write, key, value)
            done = place is not None and await self._fill(wire, place, value, begun, 0.0)
        finally:
            if not done:
                self._cache.owe([wire])
        return done or await self._cache.usable([wire])

    async def invalidate(self, *keys: Key) -> bool:
        """Makes readers load anew. False when that could not be done: this process then reads past the cache until it is."""
        return await self._remove([self.namespace.key(key) for key in keys])

    async def keep_only(self, key: Key, value: Any) -> bool:
        """Invalidates a key unless what is cached is that value, and nobody loads another."""
        wire = self.namespace.key(key)
        if await self._cache.usable([wire]) and await self._attempt(self._places.holds(wire, value)):
            return True
        return await self._remove([wire])

    async def invalidate_tags(self, *tags: Key) -> bool:
        """The same for all that has one of these tags, however much that is."""
        return await self._remove([self.namespace.tag(tag) for tag in tags])

    async def clear(self) -> bool:
        """The same for the whole namespace. Raises TypeError where that is not `clearable`."""
        if not self.namespace.clearable:
            raise TypeError(f"namespace {self.namespace.name} is not clearable: make it with clearable=True, or raise its version")
        return await self._remove([self.namespace.everything])

    async def aclose(self) -> None:
        """Waits for loads in the background. The client stays as it is."""
        await self.driver.close()

    def _loads(self, key: Key) -> Callable[[], Any]:
        if self._source_load is None:
            raise TypeError("this cache was made without `load`: give it one, or call get_or_load")
        return partial(self._source_load, key)

    async def _remove(self, wires: list[bytes]) -> bool:
        self._cache.owe(wires)
        return await self._cache.usable(wires)

    async def _take(self, wire: bytes, over: bytes | None, held: Entry) -> Entry | None:
        # Before anybody can find it in the cache.
        self._flights[held.version] = Future()
        taken = False
        try:
            taken = await self._places.take(wire, over, held)
        finally:
            if not taken:
                self._flights.pop(held.version).set_result(LOST)
        return held if taken else None

    async def _fly(self, wire: bytes, held: Entry, load: Callable[[], Any]) -> Outcome:
        """Loads, also for those of this process who wait."""
        flight = self._flights.setdefault(held.version, Future())
        try:
            return await outcome_of(partial(self._load, wire, held, load), flight)
        finally:
            del self._flights[held.version]

    async def _refresh(self, wire: bytes, held: Entry, load: Callable[[], Any]) -> None:
        if error := (await self._fly(wire, held, load)).error:
            log.warning("a value was not refreshed", extra={"cache": self.namespace.name, "error": type(error).__name__})

    async def _load(self, wire: bytes, held: Entry, load: Callable[[], Any]) -> Any:
        """Asks the source, and stores what it says unless that was overtaken."""
        begun, filled = time.time(), False
        try:
            value = await self._ask_source(load)
            try:
                filled = await self._fill(wire, held, value, begun, time.time() - begun)
            except ValueTooLargeError as error:
                metrics.TOO_LARGE.labels(self.namespace.name).inc()
                log.warning("a loaded value is not cached: %s", error, extra={"cache": self.namespace.name})
            return value
        finally:
            if not filled:
                await self._attempt(self._places.release(wire, held))

    async def _fill(self, wire: bytes, held: Entry, value: Any, begun: float, load_seconds: float) -> bool:
        return bool(await self._attempt(self._places.fill(wire, held, value, begun, load_seconds)))

    async def _attempt(self, doing: Any) -> Any:
        """None where the cache fails."""
        try:
            return await doing
        except StoreError as error:
            self._cache.failed(error)
            return None

    async def _ask_source(self, load: Callable[[], Any]) -> Any:
        began, outcome = time.perf_counter(), "error"
        try:
            value = await call(load)
            outcome = "ok"
            return value
        finally:
            metrics.LOADS.labels(self.namespace.name, outcome).inc()
            metrics.LOAD_SECONDS.labels(self.namespace.name).observe(time.perf_counter() - began)
