"""One call: how long it may take, and whether it is made again when it fails."""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import redis
from opentelemetry.trace import Span
from redis.commands import READ_COMMANDS
from redis.exceptions import ClusterDownError, MasterDownError, RedisClusterException, SlotNotCoveredError, TryAgainError

from caches_runtime.client.observation import REPEATS, SECONDS, Observed, finish

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


class BudgetSpentError(redis.TimeoutError):
    """A call that had no success in its time. It was not carried out, or is one that may be twice."""


class UncertainError(redis.ConnectionError):
    """A command was sent and its answer lost: it may have been carried out. It was not repeated."""


@dataclass
class Call:
    """One that is under way, in a `with`, until its end is observed."""

    command: str
    budget: float
    """Seconds from its beginning to its end."""
    about: Observed
    sent: bool = False
    """Whether the server may have got the command in this attempt."""
    attempts: int = 1
    renewed: bool = False
    """Whether it has logged in once more."""
    problem: BaseException | None = None
    """What it failed with, in part where nothing is raised."""
    peer: tuple[str, int] | None = None
    """Who was asked last."""
    deadline: float = field(init=False)
    _before: Token["Call | None"] = field(init=False)
    _span: Span | None = field(init=False)

    def __enter__(self) -> Self:
        self.deadline = time.monotonic() + self.budget
        self._before = UNDER_WAY.set(self)
        self._span = self.about.span(self.command)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        UNDER_WAY.reset(self._before)
        problem = error or self.problem
        outcome = "error" if problem else "ok"
        SECONDS.labels(self.about.cache, self.command, outcome).observe(self.budget - self.left)
        if self._span:
            finish(self._span, self.attempts, self.peer, problem)

    @property
    def left(self) -> float:
        """Seconds until it has to end."""
        return self.deadline - time.monotonic()

    def sends(self, command: Any, host: str, port: int) -> None:
        """Notes that this is about to be sent there; not a greeting, a login or a question about the topology."""
        if command == self.command:
            self.sent = True
            self.peer = host, port


PIPELINE = "PIPELINE"
"""What several commands are called, that are sent together."""
UNDER_WAY: ContextVar[Call | None] = ContextVar("call", default=None)


@dataclass(frozen=True)
class Calls:
    """How a client makes its calls."""

    about: Observed
    budget: float
    repeat: frozenset[str]
    renew: Callable[[], None] | None
    """Sees to another password where a login was refused that may have another one by now."""

    def run(self, command: str, attempt: Callable[[], Result]) -> Result:
        """The attempt's result, from the first that succeeds."""
        with Call(command, self.budget, self.about) as call:
            while True:
                try:
                    return attempt()
                except Exception as error:
                    pause = self._pause(call, error)
                time.sleep(pause)
                self._again(call)

    async def run_async(self, command: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """The same for asyncio."""
        with Call(command, self.budget, self.about) as call:
            while True:
                try:
                    async with asyncio.timeout(max(0.0, call.left)):
                        return await attempt()
                except Exception as error:
                    pause = self._pause(call, error)
                await asyncio.sleep(pause)
                self._again(call)

    def _pause(self, call: Call, error: Exception) -> float:
        """Seconds until the next attempt. Raises when there is none."""
        if login := _cause(error, redis.AuthenticationError):
            if self.renew is None or call.renewed or call.sent:
                raise login
            call.renewed = True
            self.renew()
            return 0.0
        if _cause(error, ssl.SSLCertVerificationError):
            raise error
        refused = call.command != PIPELINE and (isinstance(error, _REFUSED) or isinstance(error.__context__, redis.ReadOnlyError))
        topology = isinstance(error, RedisClusterException) and isinstance(error.__cause__, Exception)
        if not (refused or topology or isinstance(error, _LOST)):
            raise error
        if call.sent and not refused and call.command not in self.repeat:
            raise UncertainError(
                f"{call.command} was sent to {self.about.cache} and its answer lost ({type(error).__name__}), so it may have been carried "
                "out; look, or name the command in `repeat` if it may be carried out twice"
            ) from error
        pause: float = random.uniform(0.5, 1) * min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(call.attempts, 10))  # noqa: S311
        # redis-py has emptied a pipeline by now.
        if call.left <= pause or call.command == PIPELINE:
            raise BudgetSpentError(
                f"{call.command} had no success at {self.about.cache}, attempts: {call.attempts}, with {self.budget:g} s to spend; "
                f"the last: {type(error).__name__}: {error}"
            ) from error
        return pause

    def _again(self, call: Call) -> None:
        call.sent = False
        call.attempts += 1
        REPEATS.labels(self.about.cache, call.command).inc()


def _cause(error: BaseException | None, kind: type[Exception]) -> Exception | None:
    """The first of that kind in what led to the error."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error
