"""AsyncMultiCloudCache: one cache over several clouds, which goes on when one of them does not."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from caches_runtime.multicloud.catching_up import CatchingUp
from caches_runtime.multicloud.cloud import AwayError, Cloud, EmptiedError
from caches_runtime.multicloud.errors import QuorumError
from caches_runtime.multicloud.events import REPAIRS, SECONDS, Event, Events
from caches_runtime.multicloud.nearest import Nearest
from caches_runtime.multicloud.places import refuse_twins
from caches_runtime.multicloud.policy import Policy
from caches_runtime.multicloud.records import Record, expiry, normal_key, refuse_value
from caches_runtime.multicloud.repair import PROBE_SECONDS, Repair
from caches_runtime.multicloud.repair_queue import RepairQueue
from caches_runtime.multicloud.stamps import Clock

# How often a write that others overtook is made anew, with a later stamp.
_ATTEMPTS = 4


class AsyncMultiCloudCache:
    """
    Values under keys, kept in several clouds at once. For one event loop; `MultiCloudCache` is the same for threads.

    A write goes to all clouds that the key may be in, and returns when as many have it as the policy says. The others get it in the
    background, also after this process has ended and is started again with the same folder. Of two writes that did not overlap the
    later one stays, whatever the clocks of the writers say; of two that did, the same one everywhere.

    A read of policy "quorum" returns what was acknowledged last. One of "nearest" may return what was there before that, when the
    nearest cloud has missed a write of another process; it never says that nothing is there because one cloud has lost its data.
    """

    def __init__(
        self,
        connections: Mapping[str, Mapping[str, Any]],
        policy: Policy = Policy(),  # noqa: B008 # it can't change
        *,
        folder: Path,
        name: str = "caches",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        `connections`: by names of yours, what each cloud's cache exports, of Redis or Valkey. `folder`: where this process, and no
        other one, remembers what clouds have missed. `name`: whose
        values these are, also in metrics: caches of another name have others. `clock`: the time, in seconds since 1970.

        Raises RefusedError, before anything is reached, for what can't work.
        """
        policy.check(list(connections))
        refuse_twins(connections)
        self._policy = policy
        self._name = name
        self._clock = Clock(policy.max_drift_seconds, clock)
        self._events = Events(name)
        self._queue = RepairQueue(folder, policy.queue_limit)
        seconds = min(policy.cloud_seconds, policy.budget_seconds)
        self._clouds = {
            each: Cloud(name, each, connection, seconds, policy.tombstone_seconds, self._events) for each, connection in connections.items()
        }
        self._nearest = Nearest()
        self._catching_up = CatchingUp(name, self._queue, self._events, self._clock.now_milliseconds, policy.tombstone_seconds)
        self._repair = Repair(
            self._clouds,
            self._queue,
            self._events,
            self._catching_up,
            policy.tombstone_seconds,
            len(self._clouds) - 1 if policy.residency else policy.needed_to_read(len(self._clouds)),
            lambda cloud, key: cloud in policy.homes(key, list(self._clouds)),
        )
        self._background: set[asyncio.Task[Any]] = set()
        self._minding: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Looks at the clouds, of which some may be away, and begins to repair."""
        with contextlib.suppress(AwayError):
            await self._repair.look()
        self._minding = asyncio.create_task(self._repair.run())

    async def close(self) -> None:
        """Ends the connections. What clouds have missed stays in the folder."""
        if self._minding:
            self._minding.cancel()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, *filter(None, [self._minding]), return_exceptions=True)
        for cloud in self._clouds.values():
            await cloud.close()
        self._queue.close()

    async def set(self, key: str | bytes, value: bytes, ttl_seconds: float | None = None) -> None:
        """Stores a value, for so many seconds or without an end. Raises QuorumError, QueueFullError, RefusedError."""
        refuse_value(value, self._policy.max_value_bytes)
        ends = expiry(ttl_seconds, self._clock.now_milliseconds())
        await self._timed("set", self._write(normal_key(key), value, ends))

    async def delete(self, key: str | bytes) -> None:
        """Removes a value, or sees that there is none. Raises QuorumError, QueueFullError, RefusedError."""
        await self._timed("delete", self._write(normal_key(key), None, 0))

    async def get(self, key: str | bytes, *, read: Literal["nearest", "quorum"] | None = None) -> bytes | None:
        """The value, or None; `read` instead of the policy's. Raises QuorumError when too few clouds answer."""
        found: bytes | None = await self._timed("get", self._read(normal_key(key), read or self._policy.read))
        return found

    @property
    def backlog(self) -> int:
        """How many writes wait for clouds that have missed them."""
        return len(self._queue)

    def states(self) -> dict[str, str]:
        """Of each cloud: closed while it is asked, open while it is not, half-open while it is tried."""
        return {name: cloud.circuit.state for name, cloud in self._clouds.items()}

    async def repaired(self, timeout_seconds: float) -> bool:
        """Waits until all clouds are whole and have all that this process knows they have missed; says whether that came in time."""
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while len(self._queue) or not all(self._is_well(cloud, began) for cloud in self._clouds.values()):
                    await asyncio.sleep(PROBE_SECONDS / 2)
                return True
        return False

    def _is_well(self, cloud: Cloud, since: float) -> bool:
        return cloud.whole and cloud.circuit.closed and self._repair.looked[cloud.name] > since

    async def accept_loss(self) -> None:
        """Goes on after more clouds have lost their data than the policy can do without: fills them with what there is.

        Acknowledged writes may be lost by that, which is why it does not happen by itself. Raises QuorumError when a cloud is away.
        """
        try:
            await self._repair.accept_loss()
        except AwayError as error:
            raise QuorumError(f"accept_loss: {error}") from error

    def events(self) -> AsyncIterator[Event]:
        """What happens to the clouds from now on."""
        return self._events.follow()

    async def _timed(self, what: str, work: Any) -> Any:
        began, outcome = time.monotonic(), "failed"
        try:
            async with asyncio.timeout(self._policy.budget_seconds):
                result = await work
            outcome = "ok"
            return result
        except TimeoutError:
            raise QuorumError(
                f"{what}: too few clouds answered within budget_seconds = {self._policy.budget_seconds:g}; {self._away()}"
            ) from None
        finally:
            SECONDS.labels(self._name, what, outcome).observe(time.monotonic() - began)

    def _away(self) -> str:
        notes = [
            f"{name}: {cloud.circuit.state}{'' if cloud.whole else ', not whole'}"
            for name, cloud in self._clouds.items()
            if not (cloud.whole and cloud.circuit.closed)
        ]
        return f"({'; '.join(notes)})" if notes else "(all seemed well)"

    def _homes(self, key: bytes) -> list[Cloud]:
        return [self._clouds[name] for name in self._policy.homes(key, list(self._clouds))]

    async def _write(self, key: bytes, value: bytes | None, expires: int) -> None:
        self._queue.refuse_if_full()
        homes = self._homes(key)
        for _ in range(_ATTEMPTS):
            record = Record(self._clock.next(), value, expires)
            newer = await self._spread(key, record, homes)
            if newer is None:
                return
            self._clock.observe(newer)
        # Whoever is newer each time began while this was under way: this write was, and was overwritten.

    async def _spread(self, key: bytes, record: Record, homes: list[Cloud]) -> str | None:
        """Gives clouds a record; returns once enough have it, or something newer, of which it returns the stamp. Raises QuorumError."""
        asked = {asyncio.create_task(self._apply(cloud, key, record)): cloud for cloud in homes if cloud.circuit.closed}
        away = [cloud for cloud in homes if not cloud.circuit.closed]
        pending, stamps = set(asked), dict.fromkeys(homes, "")
        self._keep(pending)
        while pending and not self._enough(stamps):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            stamps |= {asked[task]: task.result() for task in done}
        if not self._enough(stamps):
            raise QuorumError(f"too few clouds have taken the write {self._away()}")
        if (newest := max(stamps.values())) > record.stamp:
            return newest
        for cloud in [*away, *(asked[task] for task in pending)]:
            self._miss(cloud, key, record)
        for task in asked:
            task.add_done_callback(lambda done: self._arrived(asked[done], key, record, done))
        return None

    def _enough(self, stamps: Mapping[Cloud, str]) -> bool:
        """Whether a write is acknowledged, by what each cloud has said so far."""
        if self._policy.write == "local":
            return any(stamp and cloud.name == self._policy.local for cloud, stamp in stamps.items())
        return sum(map(bool, stamps.values())) >= self._policy.needed_to_write(len(stamps))

    async def _apply(self, cloud: Cloud, key: bytes, record: Record) -> str:
        """The stamp of what the cloud has then, nothing when it did not take the record or does not count."""
        try:
            return await cloud.apply(key, record, self._clock.now_milliseconds())
        except EmptiedError:
            self._repair.wake(cloud.name)
        except AwayError:
            pass
        return ""

    def _miss(self, cloud: Cloud, key: bytes, record: Record) -> None:
        self._queue.note(cloud.name, key, record.stamp, record.encode())
        self._catching_up.note_backlog(cloud)

    def _arrived(self, cloud: Cloud, key: bytes, record: Record, task: asyncio.Task[str]) -> None:
        """A cloud has answered, perhaps after the write was acknowledged."""
        if task.cancelled():
            return
        if task.result():
            self._queue.done(cloud.name, key, record.stamp)
        else:
            self._miss(cloud, key, record)
        self._catching_up.note_backlog(cloud)

    def _keep(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Until they end; nobody else may hold them."""
        for task in tasks:
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _read(self, key: bytes, read: str) -> bytes | None:
        homes = self._homes(key)
        if read == "nearest":
            # One that is known to lack the newest is read by nobody who knows.
            for cloud in self._nearest.order(each for each in homes if not self._queue.waits(each.name, key)):
                try:
                    if record := await cloud.read(key):
                        return record.current(self._clock.now_milliseconds())
                except EmptiedError:
                    self._repair.wake(cloud.name)
                    continue
                except AwayError:
                    continue
                break
        return await self._read_quorum(key, homes)

    async def _read_quorum(self, key: bytes, homes: list[Cloud]) -> bytes | None:
        needed = self._policy.needed_to_read(len(homes))
        found: dict[str, Record | None] = {}

        async def ask(cloud: Cloud) -> None:
            with contextlib.suppress(AwayError, EmptiedError):
                found[cloud.name] = await cloud.read(key)

        pending = {asyncio.create_task(ask(cloud)) for cloud in homes if cloud.circuit.closed}
        self._keep(pending)
        while pending and len(found) < needed:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if len(found) < needed:
            raise QuorumError(f"{len(found)} of the {needed} clouds that are needed have answered {self._away()}")
        records = [record for record in found.values() if record]
        if not records:
            return None
        newest = max(records, key=lambda record: record.stamp)
        self._clock.observe(newest.stamp)
        behind = [cloud for cloud in homes if cloud.name in found and _older(found[cloud.name], newest)]
        if behind:
            # Before it is returned: nobody who reads after this may see what was there before.
            await self._bring(key, newest, behind, homes)
        return newest.current(self._clock.now_milliseconds())

    async def _bring(self, key: bytes, newest: Record, behind: list[Cloud], homes: list[Cloud]) -> None:
        for cloud in behind:
            REPAIRS.labels(self._name, cloud.name, "read").inc()
        await self._spread(key, newest, homes)


def _older(record: Record | None, newest: Record) -> bool:
    return record is None or record.stamp < newest.stamp
