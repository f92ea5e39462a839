"""Loads that callers of one process share."""

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from caches_runtime.patterns.driving import Driver


@dataclass(frozen=True)
class Outcome:
    """Of a load."""

    value: Any = None
    error: Exception | None = None
    lost: bool = False
    """Whether it ended for reasons of its caller, such as a cancelled task."""

    def result(self) -> Any:
        """The value. Raises the load's error."""
        if self.error:
            raise self.error
        return self.value


LOST = Outcome(lost=True)


async def outcome_of(load: Callable[[], Awaitable[Any]], told: "Future[Outcome]") -> Outcome:
    """Loads, and tells all who wait."""
    outcome = LOST
    try:
        outcome = Outcome(await load())
    except Exception as error:
        outcome = Outcome(error=error)
    finally:
        told.set_result(outcome)
    return outcome


class Turns:
    """Of callers that load the same without the cache: each shares only a load that begins after it came, so nobody gets an older value."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._now: dict[bytes, Future[Outcome]] = {}
        self._next: dict[bytes, Future[Outcome]] = {}

    async def load(self, key: bytes, load: Callable[[], Awaitable[Any]], wait_seconds: float) -> Any:
        """What is loaded; without sharing where others take longer than that."""
        mine: Future[Outcome] = Future()
        with self._lock:
            before, shared = self._now.get(key), self._next.get(key)
            if before is None:
                self._now[key] = mine
            elif shared is None:
                self._next[key] = mine
        if shared and before:
            if await self._driver.wait(shared, 2 * wait_seconds) and not (outcome := shared.result()).lost:
                return outcome.result()
            return await load()
        if before:
            try:
                await self._driver.wait(before, wait_seconds)
            except BaseException:
                mine.set_result(LOST)
                self._forget(self._next, key, mine)
                raise
            with self._lock:
                self._next.pop(key, None)
                self._now[key] = mine
        try:
            return (await outcome_of(load, mine)).result()
        finally:
            self._forget(self._now, key, mine)

    def _forget(self, flights: "dict[bytes, Future[Outcome]]", key: bytes, mine: "Future[Outcome]") -> None:
        with self._lock:
            if flights.get(key) is mine:
                del flights[key]
