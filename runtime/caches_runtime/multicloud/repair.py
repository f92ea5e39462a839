"""What goes on in the background: clouds that come back get what they missed, and those that lost their data are filled anew."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping

from caches_runtime.multicloud.catching_up import CatchingUp
from caches_runtime.multicloud.cloud import AwayError, Cloud
from caches_runtime.multicloud.events import Events
from caches_runtime.multicloud.repair_queue import RepairQueue
from caches_runtime.multicloud.together import together

PROBE_SECONDS = 0.1
_CLAIM_SECONDS = 10.0
_RENEWALS = 8


class Repair:
    """Of one cache. `sources_needed`: how many other clouds together have all that was acknowledged; `allowed`: who may have a key."""

    def __init__(
        self,
        clouds: Mapping[str, Cloud],
        queue: RepairQueue,
        events: Events,
        catching_up: CatchingUp,
        tombstone_seconds: float,
        sources_needed: int,
        allowed: Callable[[str, bytes], bool],
    ) -> None:
        self._clouds = clouds
        self._queue = queue
        self._events = events
        self._catching_up = catching_up
        self._renewal_seconds = tombstone_seconds / _RENEWALS
        self._sources_needed = sources_needed
        self._allowed = allowed
        self._who = os.urandom(8).hex()
        self._renewed = dict.fromkeys(clouds, 0.0)
        self._turns = dict.fromkeys(clouds, 0)
        self.looked = dict.fromkeys(clouds, 0.0)
        """When each cloud was last asked whether it is whole, with an answer; monotonic seconds."""
        self._woken = {name: asyncio.Event() for name in clouds}
        self.marker = "0"
        """What whole clouds are marked with."""

    async def look(self) -> None:
        """Once at all clouds: which of them are whole. If most are not marked, nobody has used them for long, or ever: they become it."""
        said = await together(cloud.said() for cloud in self._clouds.values())
        answered = {name: marker for name, marker in zip(self._clouds, said, strict=True) if marker is not None}
        marked = {name: marker for name, marker in answered.items() if marker}
        self.marker = max(marked.values(), default=self.marker, key=lambda marker: int(marker.partition(":")[0]))
        for name in marked:
            self._clouds[name].found_whole()
        unmarked = [self._clouds[name] for name, marker in answered.items() if not marker]
        if len(unmarked) > len(self._clouds) // 2 and not marked:
            for cloud in unmarked:
                await self._copy(cloud, [other for other in unmarked if other is not cloud])
            for cloud in unmarked:
                await cloud.mark(self.marker)

    async def run(self) -> None:
        """Until it is cancelled."""
        await together([self._begin(), *map(self._mind, self._clouds.values())])

    def wake(self, cloud: str) -> None:
        """Something waits for a cloud."""
        self._woken[cloud].set()

    async def _begin(self) -> None:
        """Looks again until there is a cloud to begin with."""
        while not any(cloud.whole for cloud in self._clouds.values()):
            await asyncio.sleep(PROBE_SECONDS)
            with contextlib.suppress(AwayError):
                await self.look()

    async def _mind(self, cloud: Cloud) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._woken[cloud.name].wait()
            self._woken[cloud.name].clear()
            if cloud.circuit.state == "open":
                continue
            with contextlib.suppress(AwayError):
                await self._turn(cloud)

    async def _turn(self, cloud: Cloud) -> None:
        began = time.monotonic()
        if cloud.circuit.closed and cloud.whole:
            self._turns[cloud.name] += 1
            await cloud.look(self._turns[cloud.name])
        else:
            await self._found(cloud)
        self.looked[cloud.name] = began
        if cloud.whole and self._queue.given_up(cloud.name):
            await cloud.unmark()
            self._queue.begun_anew(cloud.name)
        if not cloud.whole and len(sources := self._sources(cloud)) >= min(self._sources_needed, len(self._clouds) - 1):
            await self._fill(cloud, sources)
        await self._catching_up.bring_missed(cloud)
        if cloud.whole and time.monotonic() - self._renewed[cloud.name] > self._renewal_seconds:
            await cloud.renew()
            self._renewed[cloud.name] = time.monotonic()

    async def _found(self, cloud: Cloud) -> None:
        """Asks a cloud that was away whether it is whole."""
        if await cloud.marker():
            cloud.found_whole()
        else:
            cloud.lost()

    async def accept_loss(self) -> None:
        """Fills clouds with what there is, though acknowledged writes may be lost. Raises AwayError."""
        for cloud in self._clouds.values():
            if not cloud.whole and cloud.circuit.closed:
                await self._fill(cloud, self._sources(cloud))

    def _sources(self, cloud: Cloud) -> list[Cloud]:
        return [other for other in self._clouds.values() if other is not cloud and other.whole and other.circuit.closed]

    async def _fill(self, cloud: Cloud, sources: list[Cloud]) -> None:
        """Copies everything to a cloud that has lost it."""
        if not await cloud.claim(self._who, _CLAIM_SECONDS):
            return
        copied = await self._copy(cloud, sources)
        await cloud.mark(self.marker)
        self._events.tell("filled", cloud.name, records=copied)

    async def _copy(self, cloud: Cloud, sources: list[Cloud]) -> int:
        """Gives a cloud all that others have, and removes what nobody else has: that was deleted while it was away."""
        own = {key async for batch in cloud.all_keys() for key in batch}
        found = await self._catching_up.copy(
            cloud, sources, lambda key: self._allowed(cloud.name, key), lambda: cloud.claim(self._who, _CLAIM_SECONDS)
        )
        if sources:
            await cloud.remove(list(own - found))
        return len(found)
