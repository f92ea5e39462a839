"""Caches of both kinds over real servers, driven in one way, so that each test is of both."""

from __future__ import annotations

import inspect
import signal
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caches_runtime.client import connect, connect_async
from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.patterns import AsyncLoadingCache, Namespace, Strategy
from caches_runtime.patterns.driving import Loop, Threads, call, run
from common.waiting import until
from unit.client.processes import Processes, processes
from unit.client.shards import Shards
from unit.sentinel import loop

BUDGET_SECONDS = 0.4


@dataclass
class Side:
    """One engine, with clients for threads or for asyncio."""

    engine: str
    asynchronous: bool
    closing: ExitStack
    redis: Processes | None = None
    shards: Shards | None = None
    clients: list[Any] = field(default_factory=list)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Its result; no client of before outlives it."""
        return (loop.run if self.asynchronous else run)(self._closed_after(coroutine))

    def client(self, budget: float = BUDGET_SECONDS, retry_seconds: float = 0) -> Any:
        """One of its own for each process that a test plays; Memcached's tries a shard that is away after so long."""
        if self.shards:
            made: Any = MemcachedClient(self.shards.connection, budget_seconds=budget, retry_seconds=retry_seconds)
        else:
            assert self.redis
            made = (connect_async if self.asynchronous else connect)(self.redis.connection(1), budget=budget)
        self.clients.append(made)
        return made

    def cache(self, strategy: Strategy, namespace: Namespace | None = None, client: Any = None, **more: Any) -> AsyncLoadingCache:
        """One with nothing in it yet, unless a namespace is given."""
        given = namespace or Namespace(uuid.uuid4().hex, clearable=True)
        driver = Loop() if self.asynchronous else Threads()
        return AsyncLoadingCache(client or self.client(), given, strategy, driver=driver, **more)

    def function(self, body: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        """As an application of that kind writes it."""
        if self.asynchronous:
            return body

        def blocking(*arguments: Any) -> Any:
            return run(_awaited(body(*arguments)))

        return blocking

    def signal(self, kind: signal.Signals) -> None:
        """To the server."""
        if self.redis:
            self.redis.signal(1, kind)
        elif self.shards:
            [node] = self.shards.processes
            self.shards.kill(node) if kind is signal.SIGKILL else self.shards.send(node, kind)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """The server answers nothing: each of its threads has stopped."""
        if self.redis:
            pid = int(self.redis.client(1).info("server")["process_id"])
        else:
            assert self.shards
            [process] = self.shards.processes.values()
            pid = process.process.pid
        self.signal(signal.SIGSTOP)
        try:
            assert until(lambda: _stopped(pid), 10, every=0.005)
            yield
        finally:
            self.signal(signal.SIGCONT)

    def start_again(self) -> None:
        """After it was killed: empty."""
        if self.redis:
            self.redis.serve(1)
        elif self.shards:
            [node] = self.shards.processes
            self.shards.start_again(node)

    async def _closed_after(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        finally:
            while self.clients:
                client = self.clients.pop()
                await (client.aclose() if hasattr(client, "aclose") else call(client.close))


def _stopped(pid: int) -> bool:
    states = [task.joinpath("stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) == {"T"}


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


SIDES = [("redis", "threads"), ("redis", "asyncio"), ("valkey", "asyncio"), ("memcached", "threads"), ("memcached", "asyncio")]


@contextmanager
def side(engine: str, kind: str) -> Iterator[Side]:
    """Ended afterwards."""
    with ExitStack() as closing:
        made = Side(engine, kind == "asyncio", closing)
        if engine == "memcached":
            made.shards = Shards(closing, 1, login=False)
        else:
            made.redis = closing.enter_context(processes(engine))
            made.redis.serve(1)
        yield made
