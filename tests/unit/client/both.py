"""Both clients called in one way, so that each test is of both."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from caches_runtime.client import connect, connect_async

Connects = Callable[..., Any]


class Waiting:
    """The client for asyncio, in a loop of its own that always runs, called as the other is."""

    def __init__(self, connection: Mapping[str, Any], **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._client = connect_async(connection, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def done(*arguments: Any, **options: Any) -> Any:
            result = getattr(self._client, name)(*arguments, **options)
            return self._done(result) if inspect.isawaitable(result) else result

        return done

    def together(self, *commands: tuple[Any, ...]) -> Any:
        """A pipeline of them."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return self._done(pipeline.execute())

    def close(self) -> None:
        """The client and its loop."""
        self._done(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _done(self, result: Awaitable[Any]) -> Any:
        async def waited() -> Any:
            return await result

        return asyncio.run_coroutine_threadsafe(waited(), self._loop).result()


class Blocking:
    """The client for threads."""

    def __init__(self, connection: Mapping[str, Any], **options: Any) -> None:
        self._client = connect(connection, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def together(self, *commands: tuple[Any, ...]) -> Any:
        """A pipeline of them."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return pipeline.execute()


BOTH: dict[str, Connects] = {"threads": Blocking, "asyncio": Waiting}


def fails_in(error: type[Exception], do: Callable[[], Any]) -> float:
    """Seconds until it fails so."""
    began = time.monotonic()
    with pytest.raises(error):
        do()
    return time.monotonic() - began
