"""AsyncPrimaryStandby: a cache in one cloud, and a standby in another that takes over."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self

from caches_runtime.multicloud.catching_up import CatchingUp
from caches_runtime.multicloud.cloud import AwayError, Cloud, EmptiedError
from caches_runtime.multicloud.convergence import different
from caches_runtime.multicloud.errors import FencedError, NotConvergedError, QuorumError, RefusedError
from caches_runtime.multicloud.events import SECONDS, Event, Events
from caches_runtime.multicloud.places import refuse_twins
from caches_runtime.multicloud.policy import StandbyPolicy
from caches_runtime.multicloud.records import Record, expiry, normal_key, refuse_value
from caches_runtime.multicloud.repair_queue import RepairQueue
from caches_runtime.multicloud.stamps import Clock
from caches_runtime.multicloud.together import together

_PROBE_SECONDS = 0.1
_RENEWALS = 8
_PAUSE_SECONDS = 0.02
# Differences between two caches that are written to are looked at again, as they may only be under way.
_LOOKS = 5


class AsyncPrimaryStandby:
    """
    Values under keys in one cloud, the primary, and in another, the standby. For one event loop; `PrimaryStandby` is for threads.

    Which is the primary both clouds say themselves, with the number of the epoch. The standby takes over, by a new epoch, when the
    primary has not answered three times or has lost its data. From then on a cloud that has been told refuses writes of older epochs,
    by whichever process, and the old primary is told when it returns. It is read and written first again only by `fail_back`, which
    proves before that both have the same.

    A write that is acknowledged by "both" is in both clouds; or, while the standby is away, in the primary and in this process's folder.
    """

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
        """
        `connections`: two, by names of yours. `primary`: which of them is it when neither cloud says otherwise. `folder`: where this
        process, and no other one, remembers what a cloud has missed. `name`: as with
        AsyncMultiCloudCache. Raises RefusedError for what can't work.
        """
        if len(connections) != 2 or primary not in connections:
            raise RefusedError(f"primary = {primary!r}, of {', '.join(connections)}: there must be two clouds, and it one of them")
        refuse_twins(connections)
        self._policy = policy
        self._name = name
        self._clock = Clock(policy.max_drift_seconds, clock)
        self._events = Events(name)
        self._queue = RepairQueue(folder, policy.queue_limit)
        self._clouds = {
            each: Cloud(name, each, connection, policy.cloud_seconds, policy.tombstone_seconds, self._events)
            for each, connection in connections.items()
        }
        self._catching_up = CatchingUp(name, self._queue, self._events, self._clock.now_milliseconds, policy.tombstone_seconds)
        self._epoch, self._primary_name = 0, primary
        self._changing = asyncio.Lock()
        self._renewed = dict.fromkeys(connections, 0.0)
        self._minding: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Finds out which cloud is the primary; one of them may be away."""
        await self._begin()
        self._minding = asyncio.create_task(self._mind())

    async def close(self) -> None:
        """Ends the connections."""
        tasks = [*self._background, *filter(None, [self._minding])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for cloud in self._clouds.values():
            await cloud.close()
        self._queue.close()

    @property
    def primary(self) -> str:
        """The cloud that is read and written first."""
        return self._primary_name

    @property
    def epoch(self) -> int:
        """How often the primary has changed, from 1."""
        return self._epoch

    @property
    def backlog(self) -> int:
        """How many writes wait for a cloud that has missed them."""
        return len(self._queue)

    async def set(self, key: str | bytes, value: bytes, ttl_seconds: float | None = None) -> None:
        """Stores a value. Raises QuorumError when no primary takes it in time: it may have happened; QueueFullError, RefusedError."""
        refuse_value(value, self._policy.max_value_bytes)
        ends = expiry(ttl_seconds, self._clock.now_milliseconds())
        await self._insist("set", lambda: self._write(normal_key(key), value, ends))

    async def delete(self, key: str | bytes) -> None:
        """Removes a value, or sees that there is none."""
        await self._insist("delete", lambda: self._write(normal_key(key), None, 0))

    async def get(self, key: str | bytes) -> bytes | None:
        """The value at the primary, or None."""
        record: Record | None = await self._insist("get", lambda: self._cloud.read(normal_key(key)))
        return record.current(self._clock.now_milliseconds()) if record else None

    async def fail_over(self) -> None:
        """Makes the standby the primary. Raises QuorumError when it can't be reached."""
        try:
            await self._promote(self._standby)
        except AwayError as error:
            raise QuorumError(f"the standby can't take over: {error}") from error

    async def fail_back(self, to: str) -> None:
        """Makes the cloud that was the primary before it again, once both are proved to have the same.

        Raises NotConvergedError, and changes nothing, when they have not; QuorumError when one is away.
        """
        if to not in self._clouds:
            raise RefusedError(f"to = {to!r}: must be one of {', '.join(self._clouds)}")
        if to == self._primary_name:
            return
        try:
            if different := await self.differences():
                raise NotConvergedError(f"{different} keys are not the same in both clouds, and {self.backlog} writes wait: try later")
            await self._promote(self._clouds[to])
        except AwayError as error:
            raise QuorumError(f"both clouds are needed to fail back: {error}") from error
        self._events.tell("failed back", to, epoch=self._epoch)

    async def differences(self) -> int:
        """How many keys have not the same newest write in both clouds, looked at again for as long as it gets fewer. Raises AwayError."""
        suspects = await different(self._clouds.values())
        for _ in range(_LOOKS):
            if not suspects:
                break
            await asyncio.sleep(_PROBE_SECONDS)
            suspects = await different(self._clouds.values(), suspects)
        # What it is believed to be may be old.
        lost = [await cloud.marker() for cloud in self._clouds.values()].count(self._marker) < len(self._clouds)
        return len(suspects) + self.backlog + lost

    async def converged(self, timeout_seconds: float) -> bool:
        """Waits until both clouds have the same; says whether that came in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while True:
                    with contextlib.suppress(AwayError):
                        if not await self.differences():
                            return True
                    await asyncio.sleep(_PROBE_SECONDS)
        return False

    def events(self) -> AsyncIterator[Event]:
        """What happens from now on."""
        return self._events.follow()

    @property
    def _cloud(self) -> Cloud:
        return self._clouds[self._primary_name]

    @property
    def _standby(self) -> Cloud:
        [other] = [cloud for name, cloud in self._clouds.items() if name != self._primary_name]
        return other

    async def _insist(self, what: str, attempt: Callable[[], Any]) -> Any:
        """Until it succeeds at whoever is the primary by then."""
        began, outcome, last = time.monotonic(), "failed", ""
        try:
            async with asyncio.timeout(self._policy.budget_seconds):
                while True:
                    try:
                        result = await attempt()
                        outcome = "ok"
                        return result
                    except FencedError as fenced:
                        last = str(fenced)
                        await self._ask_again()
                    except (AwayError, EmptiedError) as error:
                        last = str(error) or f"{self._primary_name} has lost its data"
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            budget = self._policy.budget_seconds
            raise QuorumError(
                f"{what}: no success within budget_seconds = {budget:g}; {self._primary_name} is the primary; {last}"
            ) from None
        finally:
            SECONDS.labels(self._name, what, outcome).observe(time.monotonic() - began)

    async def _write(self, key: bytes, value: bytes | None, expires: int) -> None:
        self._queue.refuse_if_full()
        epoch, primary, standby = self._epoch, self._cloud, self._standby
        record = Record(self._clock.next(), value, expires)
        now = self._clock.now_milliseconds()
        copying = asyncio.create_task(self._copy(standby, key, record, epoch)) if standby.circuit.closed else None
        if copying:
            self._background.add(copying)
            copying.add_done_callback(self._copied)
        there = await primary.apply(key, record, now, epoch=epoch)
        if there > record.stamp:
            # Another writer's clock is ahead: this write is later all the same.
            self._clock.observe(there)
            await self._write(key, value, expires)
            return
        if copying is None:
            self._queue.note(standby.name, key, record.stamp, record.encode())
        elif self._policy.acknowledged_by == "both":
            await copying

    def _copied(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            # Whoever waits for it gets that too; a write that failed at the primary does not wait.
            task.exception()

    async def _copy(self, standby: Cloud, key: bytes, record: Record, epoch: int) -> None:
        """To the standby, or into the queue. Raises FencedError, which says that it is the primary by now."""
        try:
            await standby.apply(key, record, self._clock.now_milliseconds(), epoch=epoch, count=False)
        except AwayError:
            self._queue.note(standby.name, key, record.stamp, record.encode())

    async def _begin(self) -> None:
        said = await together(cloud.said() for cloud in self._clouds.values())
        for cloud, marker in zip(self._clouds.values(), said, strict=True):
            if marker:
                self._learn(marker)
                cloud.found_whole()
        if not any(said) and all(marker is not None for marker in said):
            # New, or not used for so long that nobody knows better: both have what either has.
            with contextlib.suppress(AwayError):
                await self._merge()
                await self._mark(1, self._primary_name)

    async def _mind(self) -> None:
        while True:
            if not self._epoch:
                await self._begin()
            for cloud in self._clouds.values():
                if cloud.circuit.state != "open":
                    with contextlib.suppress(AwayError, FencedError, EmptiedError):
                        await self._look(cloud)
            lost = not self._cloud.circuit.closed or not self._cloud.whole
            if self._policy.automatic and lost and self._standby.circuit.closed and self._standby.whole:
                with contextlib.suppress(AwayError, FencedError):
                    await self._promote(self._standby)
            await asyncio.sleep(_PROBE_SECONDS)

    async def _look(self, cloud: Cloud) -> None:
        """Whether it is whole, and knows the epoch; if not it is told, and gets what it lacks."""
        marker = await cloud.marker()
        if marker and self._learn(marker):
            cloud.found_whole()
            await self._catching_up.bring_missed(cloud)
        elif cloud is self._cloud:
            cloud.lost()
        elif self._cloud.whole and self._cloud.circuit.closed:
            await self._take_back(cloud, knows_less=bool(marker))
        if cloud.whole and time.monotonic() - self._renewed[cloud.name] > self._policy.tombstone_seconds / _RENEWALS:
            await cloud.renew()
            self._renewed[cloud.name] = time.monotonic()

    async def _take_back(self, cloud: Cloud, *, knows_less: bool) -> None:
        """A cloud that was the primary, or has lost its data, becomes the standby: first it refuses older epochs, then it is filled."""
        await self._fence(cloud)
        if knows_less:
            # What it took alone, and nobody has overwritten.
            await self._catching_up.copy(self._cloud, [cloud])
        else:
            await cloud.remove([key async for batch in cloud.all_keys() for key in batch])
        await self._catching_up.bring_missed(cloud)
        await self._catching_up.copy(cloud, [self._cloud])
        await cloud.mark(self._marker)
        self._events.tell("filled", cloud.name)

    async def _fence(self, cloud: Cloud) -> None:
        """It refuses writes of older epochs from now on; it is not whole yet, so nobody reads it."""
        cloud.lost()
        await cloud.mark(self._marker, whole=False)

    async def _promote(self, cloud: Cloud) -> None:
        async with self._changing:
            if cloud.name == self._primary_name:
                return
            old = self._cloud
            await self._catching_up.bring_missed(cloud)
            epoch = self._epoch + 1
            await cloud.mark(f"{epoch}:{cloud.name}")
            self._epoch, self._primary_name = epoch, cloud.name
            self._events.tell("failed over", cloud.name, epoch=epoch)
            if old.circuit.closed and old.whole:
                with contextlib.suppress(AwayError):
                    await old.mark(self._marker)

    async def _mark(self, epoch: int, primary: str) -> None:
        for cloud in self._clouds.values():
            await cloud.mark(f"{epoch}:{primary}")
        self._epoch, self._primary_name = epoch, primary

    @property
    def _marker(self) -> str:
        return f"{self._epoch}:{self._primary_name}"

    async def _merge(self) -> None:
        one, other = self._clouds.values()
        await self._catching_up.copy(one, [other])
        await self._catching_up.copy(other, [one])

    async def _ask_again(self) -> None:
        for cloud in self._clouds.values():
            if marker := await cloud.said():
                self._learn(marker)

    def _learn(self, marker: str) -> bool:
        """Follows a marker of a later epoch; says whether it is of the latest."""
        number, _, primary = marker.partition(":")
        if int(number) > self._epoch:
            self._epoch, self._primary_name = int(number), primary
            self._events.tell("failed over", primary, epoch=self._epoch)
        return int(number) == self._epoch
