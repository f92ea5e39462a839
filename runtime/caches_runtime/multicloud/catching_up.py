"""How a cloud gets what it lacks: what it has missed, from the queue, or all of it, from others."""

from collections.abc import Awaitable, Callable, Iterable

from caches_runtime.multicloud.cloud import Cloud
from caches_runtime.multicloud.events import BACKLOG, REPAIRS, Events
from caches_runtime.multicloud.records import Record, key_of
from caches_runtime.multicloud.repair_queue import RepairQueue
from caches_runtime.multicloud.together import together

_BATCH = 16


class CatchingUp:
    """Of one cache's clouds."""

    def __init__(
        self, cache: str, queue: RepairQueue, events: Events, now_milliseconds: Callable[[], int], tombstone_seconds: float
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._events = events
        self._now = now_milliseconds
        self._tombstone_milliseconds = int(tombstone_seconds * 1000)

    async def bring_missed(self, cloud: Cloud) -> None:
        """Until there is nothing that waits for the cloud. Raises AwayError."""
        while cloud.circuit.closed and (some := self._queue.some(cloud.name, _BATCH)):
            if any(self._too_old(Record.decode(stored)) for _, stored in some):
                # What is newer there may be forgotten by now.
                self._queue.give_up(cloud.name)
                self._events.tell("given up", cloud.name)
            else:
                await together(self._bring(cloud, key, Record.decode(stored)) for key, stored in some)
            self.note_backlog(cloud)
        self.note_backlog(cloud)

    def note_backlog(self, cloud: Cloud) -> None:
        """For metrics."""
        BACKLOG.labels(self._cache, cloud.name).set(self._queue.backlog(cloud.name))

    async def copy(
        self,
        cloud: Cloud,
        sources: Iterable[Cloud],
        allowed: Callable[[bytes], bool] = lambda key: True,
        each_batch: Callable[[], Awaitable[object]] | None = None,
    ) -> set[bytes]:
        """Gives a cloud all that others have and it may; returns those stored keys. What is newer there stays. Raises AwayError."""
        found: set[bytes] = set()
        for source in sources:
            async for batch in source.all_keys():
                records = await source.stored(batch)
                have = [(key, Record.decode(stored)) for key, stored in zip(batch, records, strict=True) if stored and allowed(key_of(key))]
                for start in range(0, len(have), _BATCH):
                    await together(self._put(cloud, key, record) for key, record in have[start : start + _BATCH])
                found |= {key for key, _ in have}
                if each_batch:
                    await each_batch()
        REPAIRS.labels(self._cache, cloud.name, "filling").inc(len(found))
        return found

    async def _bring(self, cloud: Cloud, key: bytes, record: Record) -> None:
        now = self._now()
        # One that has ended in the meantime still has to put an end to what is older.
        ended = record.value is not None and record.current(now) is None
        await cloud.apply(key, Record(record.stamp, None, 0) if ended else record, now, count=False)
        self._queue.done(cloud.name, key, record.stamp)
        REPAIRS.labels(self._cache, cloud.name, "queue").inc()

    async def _put(self, cloud: Cloud, stored_key: bytes, record: Record) -> None:
        await cloud.apply(key_of(stored_key), record, self._now(), count=False)

    def _too_old(self, record: Record) -> bool:
        return int(record.stamp[:12], 16) + self._tombstone_milliseconds < self._now()
