"""Tokens that end, as a login: there before they are needed, and never waited for longer than a call may take."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

import redis

from caches_runtime.client.credentials import await_end, in_background

_RETRY_SECONDS = 1.0


class NoTokenError(redis.ConnectionError):
    """Who makes the tokens has none to give: why."""


@dataclass(frozen=True)
class Token:
    """A login for some time; the times are those of time.monotonic()."""

    username: str
    password: str = field(repr=False)
    renew_at: float
    """When another is asked for, while this one still serves."""
    ends_at: float


class Tokens(redis.CredentialProvider):
    """The token of now. Another is fetched in the background, by whoever comes first after `renew_at`; connections then log in anew.

    redis-py's streaming providers are not used: they log in while they hold the pool, and outside of any call's time.
    """

    def __init__(self, fetch: Callable[[], Token]) -> None:
        self._fetch = fetch
        self._lock = Lock()
        self._token: Token | None = None
        self._coming: Future[Token] | None = None
        self._asked_at = 0.0

    def prepare(self) -> None:
        """Has one fetched unless it is there."""
        self._now()

    def token(self) -> Token:
        """The one of now. Raises NoTokenError, or redis.TimeoutError at the end of the call's time."""
        now = self._now()
        if isinstance(now, Token):
            return now
        await_end(now)
        return _got(now)

    async def token_async(self) -> Token:
        """The same."""
        now = self._now()
        if isinstance(now, Token):
            return now
        await asyncio.wait([asyncio.wrap_future(now)])
        return _got(now)

    def get_credentials(self) -> tuple[str, str]:
        """User and password of now."""
        token = self.token()
        return token.username, token.password

    async def get_credentials_async(self) -> tuple[str, str]:
        """The same."""
        token = await self.token_async()
        return token.username, token.password

    def renew(self) -> None:
        """The one of now was refused: it is not given again."""
        self._token = None

    def _now(self) -> "Token | Future[Token]":
        """A token that is valid, or one that will be."""
        token, now = self._token, time.monotonic()
        if token and now < min(token.ends_at, max(token.renew_at, self._asked_at + _RETRY_SECONDS)):
            return token
        with self._lock:
            if self._coming is None or (self._coming.done() and now >= self._asked_at + _RETRY_SECONDS):
                self._asked_at = now
                self._coming = in_background(self._fetched)
            coming = self._coming
        return token if token and now < token.ends_at else coming

    def _fetched(self) -> Token:
        token = self._fetch()
        with self._lock:
            self._token, self._coming = token, None
        return token

    def __repr__(self) -> str:
        return "<tokens>"


def _got(coming: Future[Token]) -> Token:
    if problem := coming.exception():
        raise NoTokenError(f"there is no token to log in with: {type(problem).__name__}: {problem}") from problem
    return coming.result()
