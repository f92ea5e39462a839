"""One call: how long it may take, and whether it is made again when it fails."""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
from prometheus_client import Counter, Histogram
from redis.commands import READ_COMMANDS
from redis.exceptions import ClusterDownError, MasterDownError, RedisClusterException, SlotNotCoveredError, TryAgainError

Result = TypeVar("Result")

REPEATABLE = READ_COMMANDS | {"PING", "ECHO", "INFO", "TIME"}
"""What changes nothing, however often it is carried out."""


class NotServedError(redis.ConnectionError):
    """A cluster's node says that it did not do it, and that nobody can at present."""


# The server says that it did not do it.
_REFUSED = (redis.ReadOnlyError, redis.BusyLoadingError, ClusterDownError, MasterDownError, TryAgainError, NotServedError)
_LOST = (redis.ConnectionError, redis.TimeoutError, OSError, SlotNotCoveredError)
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25

SECONDS = Histogram("caches_client_call_seconds", "How long calls of the cache took, with all attempts.", ["cache", "command", "outcome"])
REPEATS = Counter("caches_client_repeats", "Attempts beyond the first.", ["cache", "command"])


class BudgetSpentError(redis.TimeoutError):
    """A call that had no success in its time. It was not carried out, or is one that may be twice."""


class UncertainError(redis.ConnectionError):
    """A command was sent and its answer lost: it may have been carried out. It was not repeated."""


@dataclass
class Call:
    """One that is under way."""

    command: str
    deadline: float
    sent: bool = False
    """Whether the server may have got the command in this attempt."""
    attempts: int = 1
    renewed: bool = False
    """Whether it has logged in once more."""

    @property
    def left(self) -> float:
        """Seconds until it has to end."""
        return self.deadline - time.monotonic()

    def sends(self, command: Any) -> None:
        """Notes that this is about to be sent; not a greeting, a login or a question about the topology."""
        self.sent = self.sent or command == self.command


PIPELINE = "PIPELINE"
"""What several commands are called, that are sent together."""
UNDER_WAY: ContextVar[Call | None] = ContextVar("call", default=None)


@dataclass(frozen=True)
class Calls:
    """How a client makes its calls."""

    cache: str
    budget: float
    repeat: frozenset[str]
    renewing: bool
    """Whether a login that was refused may have another password by now."""

    def run(self, command: str, attempt: Callable[[], Result]) -> Result:
        """The attempt's result, from the first that succeeds."""
        call = Call(command, time.monotonic() + self.budget)
        under_way = UNDER_WAY.set(call)
        outcome = "error"
        try:
            while True:
                try:
                    result = attempt()
                    outcome = "ok"
                    return result
                except Exception as error:
                    pause = self._pause(call, error)
                time.sleep(pause)
                self._again(call)
        finally:
            UNDER_WAY.reset(under_way)
            self._note(call, outcome)

    async def run_async(self, command: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """The same for asyncio."""
        call = Call(command, time.monotonic() + self.budget)
        under_way = UNDER_WAY.set(call)
        outcome = "error"
        try:
            while True:
                try:
                    async with asyncio.timeout(max(0.0, call.left)):
                        result = await attempt()
                    outcome = "ok"
                    return result
                except Exception as error:
                    pause = self._pause(call, error)
                await asyncio.sleep(pause)
                self._again(call)
        finally:
            UNDER_WAY.reset(under_way)
            self._note(call, outcome)

    def _pause(self, call: Call, error: Exception) -> float:
        """Seconds until the next attempt. Raises when there is none."""
        if login := _cause(error, redis.AuthenticationError):
            if not self.renewing or call.renewed or call.sent:
                raise login
            call.renewed = True
            return 0.0
        if _cause(error, ssl.SSLCertVerificationError):
            raise error
        refused = call.command != PIPELINE and (isinstance(error, _REFUSED) or isinstance(error.__context__, redis.ReadOnlyError))
        topology = isinstance(error, RedisClusterException) and isinstance(error.__cause__, Exception)
        if not (refused or topology or isinstance(error, _LOST)):
            raise error
        if call.sent and not refused and call.command not in self.repeat:
            raise UncertainError(
                f"{call.command} was sent to {self.cache} and its answer lost ({type(error).__name__}), so it may have been carried out; "
                "look, or name the command in `repeat` if it may be carried out twice"
            ) from error
        pause: float = random.uniform(0.5, 1) * min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(call.attempts, 10))  # noqa: S311
        # redis-py has emptied a pipeline by now.
        if call.left <= pause or call.command == PIPELINE:
            raise BudgetSpentError(
                f"{call.command} had no success at {self.cache}, attempts: {call.attempts}, with {self.budget:g} s to spend; the last: "
                f"{type(error).__name__}: {error}"
            ) from error
        return pause

    def _again(self, call: Call) -> None:
        call.sent = False
        call.attempts += 1
        REPEATS.labels(self.cache, call.command).inc()

    def _note(self, call: Call, outcome: str) -> None:
        SECONDS.labels(self.cache, call.command, outcome).observe(self.budget - call.left)


def _cause(error: BaseException | None, kind: type[Exception]) -> Exception | None:
    """The first of that kind in what led to the error."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
