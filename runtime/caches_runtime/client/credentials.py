"""Who a client says it is. Asked anew for each connection, so that a password can rotate while clients run."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Thread
from typing import TypeVar

import redis

from caches_runtime.client.calls import UNDER_WAY

Credentials = Path | Callable[[], str]
"""A file that has the password, such as a mounted Secret's, or what returns it."""
Result = TypeVar("Result")


def password_of(source: Credentials) -> str:
    """The one of now."""
    return source.read_text().rstrip("\n") if isinstance(source, Path) else source()


def in_background(do: Callable[[], Result]) -> Future[Result]:
    """Does it in a thread that keeps neither a call nor the program's end waiting."""
    future: Future[Result] = Future()
    # Many may wait for it: one that gives up does not end it.
    future.set_running_or_notify_cancel()

    def done() -> None:
        try:
            future.set_result(do())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=done, daemon=True, name="caches-credentials").start()
    return future


def await_end(future: Future[Result]) -> None:
    """Waits until it has come to something. Raises redis.TimeoutError at the end of the time that the call has."""
    call = UNDER_WAY.get()
    if not wait([future], max(0.0, call.left) if call else None).done:
        raise redis.TimeoutError("there were no credentials in the call's time")


class Renewing(redis.CredentialProvider):
    """A user, and a password that may change."""

    def __init__(self, username: str | None, source: Credentials | str) -> None:
        """With a text for a password that does not."""
        self._username = username or "default"
        self._source = source

    def get_credentials(self) -> tuple[str, str]:
        """User and password of now."""
        if isinstance(self._source, str):
            return self._username, self._source
        asked = self._asked(self._source)
        await_end(asked)
        return self._username, asked.result()

    async def get_credentials_async(self) -> tuple[str, str]:
        """The same."""
        if isinstance(self._source, str):
            return self._username, self._source
        return self._username, await asyncio.wrap_future(self._asked(self._source))

    def renew(self) -> None:
        """Nothing is kept."""

    @staticmethod
    def _asked(source: Credentials) -> Future[str]:
        return in_background(lambda: password_of(source))

    def __repr__(self) -> str:
        return f"<credentials of {self._username}>"
