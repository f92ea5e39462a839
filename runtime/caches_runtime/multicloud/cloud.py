"""One of the clouds: what it is asked, how long its answers take, and whether it is whole."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import redis

from caches_runtime.client import connect_async
from caches_runtime.multicloud.circuit import Circuit
from caches_runtime.multicloud.errors import FencedError
from caches_runtime.multicloud.events import ANSWERS, ROUND_TRIP, STATE, WHOLE, Events
from caches_runtime.multicloud.records import Names, Record
from caches_runtime.multicloud.stamps import STAMP_LENGTH
from caches_runtime.multicloud.together import together

# The newer record stays. Returns the marker, and the stamp of what is there now.
# KEYS: record, marker. ARGV: the epoch that the writer knows, or nothing; stamp; record; milliseconds to keep it, 0 for ever.
_APPLY = f"""
local marker = redis.call('GET', KEYS[2])
if marker and ARGV[1] ~= '' and tonumber(string.match(marker, '^%d+')) > tonumber(ARGV[1]) then return {{marker, 'fenced'}} end
local there = redis.call('GETRANGE', KEYS[1], 0, {STAMP_LENGTH - 1})
if there ~= '' and there >= ARGV[2] then return {{marker, there}} end
if ARGV[4] == '0' then redis.call('SET', KEYS[1], ARGV[3]) else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
return {{marker, ARGV[2]}}
"""
# The later epoch stays. KEYS: marker. ARGV: what it shall be; milliseconds.
_MARK = """
local marker = redis.call('GET', KEYS[1])
if marker and tonumber(string.match(marker, '^%d+')) > tonumber(string.match(ARGV[1], '^%d+')) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_FAILURES = (redis.RedisError, OSError, asyncio.TimeoutError)
_AT_ONCE = 16
_NEW_MEAN = 0.2
_BATCH = 500


class AwayError(Exception):
    """A cloud did not answer."""


class EmptiedError(Exception):
    """A cloud has lost its data, and does not count until it is filled."""


class Cloud:
    """Asked by one event loop."""

    def __init__(
        self, cache: str, name: str, connection: Mapping[str, Any], seconds: float, tombstone_seconds: float, events: Events
    ) -> None:
        self.name = name
        self.circuit = Circuit()
        self.whole = False
        """Whether it has all that was acknowledged while it was asked; found out by its markers."""
        self.round_trip_seconds: float | None = None
        self._cache = cache
        self._names = Names(cache)
        self._seconds = seconds
        self._tombstone_milliseconds = int(tombstone_seconds * 1000)
        self._events = events
        # Many questions at once would each open a connection.
        self._many = asyncio.Semaphore(_AT_ONCE)
        self._client: Any = connect_async(connection, budget=seconds, repeat=("EVAL", "SET"), name=f"{cache}-{name}")

    async def read(self, key: bytes) -> Record | None:
        """What it has of a key. Raises AwayError, EmptiedError."""
        marker, stored = await self._ask("MGET", self._names.marker(key), self._names.record(key))
        if marker is None:
            self.lost()
            raise EmptiedError
        return Record.decode(stored) if stored else None

    async def apply(self, key: bytes, record: Record, now_milliseconds: int, *, epoch: int | None = None, count: bool = True) -> str:
        """Gives it a record; returns the stamp of what is there then, which may be newer.

        Raises AwayError; EmptiedError when it was taken and does not `count`; FencedError when the cloud knows a later epoch.
        """
        kept = record.kept_milliseconds(now_milliseconds, self._tombstone_milliseconds)
        if kept < 0:
            return record.stamp
        known = "" if epoch is None else str(epoch)
        marker, there = await self._ask(
            "EVAL", _APPLY, "2", self._names.record(key), self._names.marker(key), known, record.stamp, record.encode(), str(kept)
        )
        if there == b"fenced":
            raise FencedError(f"{self.name} follows a later primary: epoch {marker.decode()}, and this client knows {known}")
        if marker is None and count:
            self.lost()
            raise EmptiedError
        return str(there.decode())

    async def look(self, turn: int) -> None:
        """Whether it still says that it is whole; of one group of its keys, by turns. Raises AwayError."""
        if await self._ask("GET", self._names.markers()[turn % len(self._names.markers())]) is None:
            self.lost()

    async def marker(self) -> str | None:
        """What it says of itself, if it says it for all its keys. Raises AwayError."""
        said = await self._each(("GET", key) for key in self._names.markers())
        return None if None in said else str(said[0].decode())

    async def said(self) -> str | None:
        """Its marker, "" without one, None when it is away."""
        try:
            return await self.marker() or ""
        except AwayError:
            return None

    async def mark(self, marker: str, *, whole: bool = True) -> None:
        """Says what it is, until nobody has renewed that for as long as tombstones are kept. Never back to an earlier epoch."""
        kept = str(self._tombstone_milliseconds)
        await self._each(("EVAL", _MARK, "1", key, marker, kept) for key in self._names.markers())
        if whole:
            self.found_whole()

    async def renew(self) -> None:
        """Says for longer that it is whole; notices when it is not."""
        kept = str(self._tombstone_milliseconds)
        if not all(await self._each(("PEXPIRE", key, kept) for key in self._names.markers())):
            self.lost()

    async def unmark(self) -> None:
        """Says that it is not whole."""
        self.lost()
        await self._each(("DEL", key) for key in self._names.markers())

    async def claim(self, who: str, seconds: float) -> bool:
        """Whether this process may fill it; others that see it is not whole have to wait."""
        kept = str(int(seconds * 1000))
        await self._ask("SET", self._names.filling, who, "PX", kept, "NX")
        if await self._ask("GET", self._names.filling) != who.encode():
            return False
        await self._ask("PEXPIRE", self._names.filling, kept)
        return True

    def found_whole(self) -> None:
        """Notes that it is whole."""
        self.whole = True
        WHOLE.labels(self._cache, self.name).set(1)

    def lost(self) -> None:
        """Notes that it is not whole."""
        if self.whole:
            self._events.tell("emptied", self.name)
        self.whole = False
        WHOLE.labels(self._cache, self.name).set(0)

    async def all_keys(self) -> AsyncIterator[list[bytes]]:
        """All stored keys, in batches; some twice."""
        batch: list[bytes] = []
        try:
            async for key in self._client.scan_iter(match=self._names.pattern, count=_BATCH):
                batch.append(key)
                if len(batch) >= _BATCH:
                    yield batch
                    batch = []
        except _FAILURES as error:
            raise AwayError(f"{self.name}: {type(error).__name__}") from error
        if batch:
            yield batch

    async def stored(self, keys: list[bytes]) -> list[bytes | None]:
        """What is under stored keys."""
        return await self._each(("GET", key) for key in keys)

    async def remove(self, keys: list[bytes]) -> None:
        """Removes stored keys."""
        await self._each(("DEL", key) for key in keys)

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()

    async def _each(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        async def one(command: tuple[Any, ...]) -> Any:
            async with self._many:
                return await self._ask(*command)

        return await together(map(one, commands))

    async def _ask(self, *command: Any) -> Any:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.execute_command(*command)
        except _FAILURES as error:
            ANSWERS.labels(self._cache, self.name, "failed").inc()
            if self.circuit.failed():
                STATE.labels(self._cache, self.name).set(1)
                self._events.tell("opened", self.name, error=type(error).__name__)
            raise AwayError(f"{self.name}: {type(error).__name__}") from error
        took = time.monotonic() - began
        mean = self.round_trip_seconds
        self.round_trip_seconds = took if mean is None else mean + _NEW_MEAN * (took - mean)
        ROUND_TRIP.labels(self._cache, self.name).set(self.round_trip_seconds)
        ANSWERS.labels(self._cache, self.name, "answered").inc()
        if self.circuit.answered():
            STATE.labels(self._cache, self.name).set(0)
            self._events.tell("closed", self.name)
        return answer
