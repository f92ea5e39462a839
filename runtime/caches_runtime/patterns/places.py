"""How values and places for them get into a store: only ever over what was seen there."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from caches_runtime.patterns import metrics
from caches_runtime.patterns.codecs import UndecodableError
from caches_runtime.patterns.entry import Entry, Kind, Step, digest, new_version, next_step
from caches_runtime.patterns.keys import Key, Namespace
from caches_runtime.patterns.store import VERSION_BYTES, Store, StoreError
from caches_runtime.patterns.strategy import Strategy

log = logging.getLogger(__name__)

TAG_SECONDS = 30 * 86_400.0
"""After so long a tag gets another version, by which what it marks is loaded once more."""
_RELEASED_SECONDS = 1.0


@dataclass(frozen=True)
class Found:
    """What a reader saw under a key."""

    entry: Entry | None
    over: bytes | None
    """The version of what is there, readable or not."""
    tags: bytes


class Places:
    """Of one namespace in one store. Methods raise StoreError."""

    def __init__(self, store: Store, namespace: Namespace, strategy: Strategy) -> None:
        self._store, self._namespace, self._strategy = store, namespace, strategy

    def marks(self, tags: Iterable[Key]) -> list[bytes]:
        """What stands for tags, and for the namespace."""
        marks = {self._namespace.tag(tag) for tag in tags}
        return sorted(marks | {self._namespace.everything} if self._namespace.clearable else marks)

    async def versions(self, marks: list[bytes]) -> bytes:
        """What stands for the tags as they are."""
        return await self._digest(marks, await self._store.get_many(marks) if marks else {})

    async def look(self, wire: bytes, marks: list[bytes]) -> Found:
        """What is under a key now."""
        stored = await self._store.get_many([wire, *marks])
        tags = await self._digest(marks, stored)
        entry, value = None, stored.get(wire)
        if value is not None:
            try:
                entry = Entry.read(value)
            except UndecodableError as error:
                self._undecodable(error)
        return Found(entry, None if value is None else value[:VERSION_BYTES], tags)

    async def _digest(self, marks: list[bytes], stored: dict[bytes, bytes]) -> bytes:
        """What stands for the tags as they are. One without a version gets one that nothing stored can have."""
        versions = {}
        for mark in marks:
            version = stored.get(mark)
            if version is None:
                version = new_version()
                if not await self._store.add(mark, version, TAG_SECONDS):
                    version = (await self._store.get_many([mark])).get(mark)
            if version is None:
                raise StoreError("the cache does not keep tags")
            versions[mark] = version
        return digest(versions)

    def judge(self, found: Found) -> tuple[Step, Any]:
        """What to do, and the value to serve."""
        now, cache = time.time(), self._namespace.name
        step, entry = next_step(found.entry, found.tags, now, self._strategy), found.entry
        if entry is None or step not in (Step.SERVE, Step.SERVE_AND_REFRESH):
            return step, None
        try:
            value = entry.value(self._strategy)
        except UndecodableError as error:
            self._undecodable(error)
            return Step.LOAD, None
        metrics.HITS.labels(cache).inc()
        if entry.kind is Kind.NOTHING:
            metrics.NEGATIVE.labels(cache).inc()
        if now >= entry.fresh_until:
            metrics.STALE.labels(cache).inc()
        return step, value

    async def holds(self, wire: bytes, value: Any) -> bool:
        """Whether that is what is stored there, and nobody keeps a place for another."""
        found = await self.look(wire, [])
        try:
            return found.entry is not None and found.entry.leased_until <= time.time() and found.entry.value(self._strategy) == value
        except UndecodableError as error:
            self._undecodable(error)
            return False

    async def put(self, wire: bytes, place: Entry) -> None:
        """Puts a place there, whatever was there: whoever loads or writes will find that it was overtaken."""
        await self._store.set(wire, place.stored(), self._strategy.load_seconds)

    async def take(self, wire: bytes, over: bytes | None, held: Entry) -> bool:
        """Puts this in the place of what was found; says whether nobody was quicker."""
        seconds, stored = max(_RELEASED_SECONDS, held.kept_until - time.time()), held.stored()
        return await (self._store.add(wire, stored, seconds) if over is None else self._store.replace(wire, over, stored, seconds))

    async def fill(self, wire: bytes, held: Entry, value: Any, begun: float, load_seconds: float) -> bool:
        """Stores a value in the place that is held; says whether it is there. Raises ValueTooLargeError."""
        cache = self._namespace.name
        entry = Entry.of(value, begun, load_seconds, held.tags, self._strategy)
        if entry is None or (seconds := entry.kept_until - time.time()) <= 0:
            return False
        filled = await self._store.replace(wire, held.version, entry.stored(), seconds)
        if filled:
            metrics.RAW_BYTES.labels(cache).inc(entry.size)
            metrics.STORED_BYTES.labels(cache).inc(len(entry.packed))
        else:
            metrics.OVERTAKEN.labels(cache).inc()
        return filled

    async def release(self, wire: bytes, held: Entry) -> None:
        """Lets others take the place at once."""
        free = replace(held, version=new_version(), leased_until=0.0)
        seconds = 0.0 if held.kind is Kind.PLACE else held.kept_until - time.time()
        await self._store.replace(wire, held.version, free.stored(), max(seconds, _RELEASED_SECONDS))

    def _undecodable(self, error: UndecodableError) -> None:
        metrics.UNDECODABLE.labels(self._namespace.name).inc()
        log.warning("a stored value can't be read: %s", error, extra={"cache": self._namespace.name})
