"""How the patterns, written once as coroutines, run in threads and in asyncio."""

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
_REFRESHING_THREADS = 16


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never suspends, because all that it awaits blocks instead."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    coroutine.close()
    raise RuntimeError("this coroutine waits for an event loop: use the variant for asyncio, or a blocking client and functions")


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the application returns, or what that gives when it is awaited."""
    result = function(*arguments)
    return await result if inspect.isawaitable(result) else result


class Driver(Protocol):
    """What the patterns need besides a store."""

    blocking: bool
    """Whether whatever waits may hold its thread."""

    async def block(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """What a function returns that waits for a disk."""

    async def sleep(self, seconds: float) -> None:
        """Waits."""

    async def wait(self, future: "Future[Any]", seconds: float) -> bool:
        """Waits until that is done; says whether it is."""

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs it beside what goes on."""

    def serve(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """The same for what has no end of its own. It does not keep the process alive."""

    async def close(self) -> None:
        """Waits for what was started."""


class Threads:
    """For callers in threads."""

    blocking = True

    def __init__(self) -> None:
        self._beside = ThreadPoolExecutor(_REFRESHING_THREADS, "cache-refresh")

    async def block(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls it here."""
        return function(*arguments)

    async def sleep(self, seconds: float) -> None:
        """Holds the thread."""
        time.sleep(seconds)

    async def wait(self, future: "Future[Any]", seconds: float) -> bool:
        """Holds the thread."""
        with suppress(Exception):
            future.exception(seconds)
        return future.done()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """In one of a few threads."""
        self._beside.submit(contextvars.copy_context().run, run, coroutine)

    def serve(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """In a thread of its own."""
        threading.Thread(target=run, args=[coroutine], daemon=True).start()

    async def close(self) -> None:
        """Waits for the threads."""
        self._beside.shutdown()


class Loop:
    """For callers in an event loop."""

    blocking = False

    def __init__(self) -> None:
        self._beside: set[asyncio.Task[None]] = set()

    async def block(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """In a thread."""
        return await asyncio.to_thread(function, *arguments)

    async def sleep(self, seconds: float) -> None:
        """Lets others run."""
        await asyncio.sleep(seconds)

    async def wait(self, future: "Future[Any]", seconds: float) -> bool:
        """Lets others run. Whoever waits no longer leaves the future as it is."""
        await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)
        return future.done()

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """As a task."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def serve(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """As a task."""
        self.start(coroutine)

    async def close(self) -> None:
        """Waits for the tasks."""
        await asyncio.gather(*self._beside, return_exceptions=True)
