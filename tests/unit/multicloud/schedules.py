"""Random faults while clients write, delete and read; and a checker of what was promised meanwhile.

At most one cloud of three is away or without its data at a time, until all are repaired: that is how far the promise goes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from caches_runtime.multicloud import AsyncMultiCloudCache, Policy
from unit.multicloud.clouds import NAMES
from unit.multicloud.proxied import Proxied

KEYS = [f"key{number}" for number in range(12)]
SKEWS = (0.0, 5.0, -5.0)
REPAIR_SECONDS = 60


@dataclass
class Write:
    """One that was begun."""

    key: str
    value: bytes | None
    """None deletes."""
    began: float
    ended: float = float("inf")
    """When it was acknowledged, or read; never for one that failed, which may happen at any time."""


@dataclass
class History:
    """What all clients did, by one clock."""

    writes: dict[str, list[Write]] = field(default_factory=lambda: {key: [] for key in KEYS})
    acknowledged: int = 0
    deleted: int = 0
    failed: int = 0
    reads: int = 0

    def may_be_read(self, key: str, began: float, ended: float) -> set[bytes | None]:
        """What a read between two moments may find: no value that was overwritten for certain before it began."""
        certain = [write.began for write in self.writes[key] if write.ended <= began]
        # What had ended before the last of these began was overwritten by it.
        last = max(certain, default=float("-inf"))
        possible: set[bytes | None] = {write.value for write in self.writes[key] if write.began <= ended and write.ended >= last}
        return possible if certain else possible | {None}


class Client:
    """Begun anew now and then, with the same folder."""

    def __init__(self, clouds: Proxied, folder: Path, name: str, skew: float, make: Callable[..., AsyncMultiCloudCache]) -> None:
        self._clouds = clouds
        self._name = name
        self._folder = folder
        self._skew = skew
        self._make = make
        self.busy = asyncio.Lock()

    async def begin(self) -> None:
        policy = Policy(cloud_seconds=0.3, budget_seconds=3)
        self.cache = self._make(
            self._clouds.connections(), policy, folder=self._folder, name=self._name, clock=lambda: time.time() + self._skew
        )
        await self.cache.start()

    async def again(self) -> None:
        """As a process that is ended and started."""
        async with self.busy:
            await self.cache.close()
            await self.begin()


async def run(
    clouds: Proxied, folder: Path, chance: random.Random, faults: int, make: Callable[..., AsyncMultiCloudCache] = AsyncMultiCloudCache
) -> History:
    """One schedule, with keys of its own by the folder's name. Raises AssertionError for a promise that was broken."""
    history = History()
    clients = [Client(clouds, folder / str(number), folder.name, skew, make) for number, skew in enumerate(SKEWS)]
    for client in clients:
        await client.begin()
    for client in clients:
        assert await client.cache.repaired(REPAIR_SECONDS)
    ending = asyncio.Event()
    working = [asyncio.create_task(_work(client, history, random.Random(chance.random()), ending)) for client in clients]  # noqa: S311
    try:
        for _ in range(faults):
            await _fault(clouds, clients, chance)
            for task in working:
                if task.done():
                    await task
        ending.set()
        await asyncio.gather(*working)
        for client in clients:
            assert await client.cache.repaired(REPAIR_SECONDS), f"not repaired: {client.cache.states()}, {client.cache.backlog} wait"
        await check_end(clouds, folder.name, clients[0].cache, history)
    finally:
        ending.set()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for client in clients:
            await client.cache.close()
    return history


async def _fault(clouds: Proxied, clients: list[Client], chance: random.Random) -> None:
    name = chance.choice(NAMES)
    kind = chance.choice(["silence", "cut", "reset", "stop", "empty", "client"])
    if kind == "client":
        await chance.choice(clients).again()
    else:
        getattr(clouds, kind)(name)
    await asyncio.sleep(chance.uniform(0.05, 0.5))
    clouds.heal(name)
    # The next fault may be of another cloud: not before this one counts again for everybody.
    for client in clients:
        async with client.busy:
            assert await client.cache.repaired(REPAIR_SECONDS), f"after {kind} of {name}: {client.cache.states()}"


async def _work(client: Client, history: History, chance: random.Random, ending: asyncio.Event) -> None:
    number = 0
    while not ending.is_set():
        number += 1
        key = chance.choice(KEYS)
        if client.busy.locked():
            await asyncio.sleep(0.005)
            continue
        if chance.random() < 0.4:
            await _read(client.cache, history, key)
        else:
            value = None if chance.random() < 0.3 else f"{id(client)}-{number}".encode()
            await _write(client.cache, history, Write(key, value, time.monotonic()))
        await asyncio.sleep(0)


async def _write(cache: AsyncMultiCloudCache, history: History, write: Write) -> None:
    history.writes[write.key].append(write)
    try:
        await (cache.delete(write.key) if write.value is None else cache.set(write.key, write.value))
    except Exception:
        # Too few clouds, or the client was ended meanwhile: it may have happened, and may still.
        history.failed += 1
        await asyncio.sleep(0.01)
    else:
        write.ended = min(write.ended, time.monotonic())
        history.acknowledged += 1
        history.deleted += write.value is None


async def _read(cache: AsyncMultiCloudCache, history: History, key: str) -> None:
    began = time.monotonic()
    try:
        found = await cache.get(key, read="quorum")
    except Exception:
        # Too few clouds, or the client was ended meanwhile.
        await asyncio.sleep(0.01)
        return
    ended = time.monotonic()
    possible = history.may_be_read(key, began, ended)
    assert found in possible, f"{key}: read {found!r}, and only {possible} may be there"
    history.reads += 1
    for write in history.writes[key]:
        # What one reader has seen no later reader may see undone, acknowledged or not.
        if found is not None and write.value == found:
            write.ended = min(write.ended, ended)


async def check_end(clouds: Proxied, own: str, cache: AsyncMultiCloudCache, history: History) -> None:
    """When all is repaired. Raises AssertionError for a promise that was broken."""
    stored = [clouds.stored(name, own) for name in NAMES]
    assert stored[0] == stored[1] == stored[2], "the clouds are not the same"
    for key in KEYS:
        began = time.monotonic()
        found = await cache.get(key, read="quorum")
        possible = history.may_be_read(key, began, time.monotonic())
        assert found in possible, f"{key}: {found!r} is there, and only {possible} may be: a write was lost, or a deleted key is back"
