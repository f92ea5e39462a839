"""Real servers that stand for clouds."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from caches_runtime.multicloud import AsyncMultiCloudCache, Policy
from unit.client.processes import Processes, processes
from unit.sentinel import loop

NAMES = ("aws", "azure", "gcp")
SECONDS = 20


class Clouds:
    """Three servers."""

    def __init__(self, under: Processes, folder: Path) -> None:
        self._under = under
        self._folder = folder
        self._clients = 0
        for number in range(1, 4):
            under.serve(number)

    def connections(self) -> dict[str, dict[str, Any]]:
        return {name: self._under.connection(number) for number, name in enumerate(NAMES, 1)}

    def client(self, policy: Policy = Policy(), **more: Any) -> AsyncMultiCloudCache:  # noqa: B008 # it can't change
        self._clients += 1
        return AsyncMultiCloudCache(self.connections(), policy, folder=self.folder(self._clients), **more)

    def folder(self, number: int) -> Path:
        return self._folder / str(number)

    def hang(self, name: str) -> None:
        self._under.signal(NAMES.index(name) + 1, signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        self._under.signal(NAMES.index(name) + 1, signal.SIGCONT)

    def kill(self, name: str) -> None:
        self._under.signal(NAMES.index(name) + 1, signal.SIGKILL)

    def serve(self, name: str) -> None:
        """Again, empty: nothing was saved."""
        self._under.serve(NAMES.index(name) + 1)

    def forget(self, name: str, key: str) -> None:
        """Makes one server lose one value."""
        number = NAMES.index(name) + 1
        [stored] = [each for each in self._under.ask(number, "KEYS", f"*:v:{key}")]
        self._under.ask(number, "DEL", stored)

    def stored(self, name: str) -> dict[str, str]:
        """What a server has of values, without markers."""
        number = NAMES.index(name) + 1
        keys = [key for key in self._under.ask(number, "KEYS", "*:v:*")]
        return {key.partition(":v:")[2]: self._under.ask(number, "GET", key) for key in keys}


@contextmanager
def clouds(engine: str, folder: Path) -> Iterator[Clouds]:
    with processes(engine) as under:
        yield Clouds(under, folder)


Script = Callable[[Clouds], Awaitable[None]]


def run(engine: str, folder: Path, script: Script) -> None:
    async def whole() -> None:
        with clouds(engine, folder) as under:
            await script(under)

    loop.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.02)
