"""One shard: its connections, and what is owed to it once it comes back after it was away (docs/decisions/037)."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from caches_runtime.client.memcached_connection import Connection, LoginRefusedError, ReplyError, Server

Result = TypeVar("Result")

# More are not remembered one by one: then all that the shard holds is forgotten when it comes back.
OWED_KEYS = 10_000
_AT_A_TIME = 1000


class ShardAwayError(ConnectionError):
    """A shard did not answer. A write may have happened or not; its keys are deleted before this client reads there again."""


class Shard:
    """Runs commands on connections that it keeps. For any number of threads."""

    def __init__(self, server: Server, retry_seconds: float, connecting: Executor) -> None:
        self.server = server
        self._retry_seconds = retry_seconds
        self._connecting = connecting
        self._idle: deque[Connection] = deque()
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._away: Exception | None = None
        self._retry_at = 0.0
        self._owed: set[bytes] = set()
        self._owes_all = False
        self._unfinished: list[Connection] = []

    def run(self, work: Callable[[Connection], Result], writes: Collection[bytes], deadline: float) -> Result:
        """Does the work with a connection; `writes` are the keys that it writes. Raises ShardAwayError, LoginRefusedError, ReplyError."""
        connection = None
        try:
            if self._away:
                self._come_back(deadline)
            connection = self._take(deadline)
            result = work(connection)
        except BaseException as error:
            self._lose(connection, writes, error)
            if isinstance(error, OSError) and not isinstance(error, ShardAwayError):
                raise ShardAwayError(f"{self.server} is away: {error}") from error
            raise
        self._idle.append(connection)
        return result

    def close(self) -> None:
        """Ends the connections."""
        for connection in (*self._idle, *self._unfinished):
            connection.close()
        self._idle.clear()

    def _take(self, deadline: float) -> Connection:
        while connection := self._unused():
            if connection.is_fresh():
                connection.deadline = deadline
                return connection
            connection.close()
        return self._connect(deadline)

    def _unused(self) -> Connection | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _connect(self, deadline: float) -> Connection:
        # In a thread of its own, because looking up a name takes as long as it takes.
        made = self._connecting.submit(Connection, self.server, deadline)
        try:
            return made.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            made.add_done_callback(_close)
            raise

    def _lose(self, connection: Connection | None, writes: Collection[bytes], error: BaseException) -> None:
        with self._lock:
            self._owed.update(writes)
            if len(self._owed) > OWED_KEYS:
                self._owed.clear()
                self._owes_all = True
            if connection and writes:
                try:
                    connection.abandon()
                    self._unfinished.append(connection)
                except OSError:
                    connection.close()
            elif connection:
                connection.close()
            if isinstance(error, ShardAwayError) or (isinstance(error, ReplyError) and not writes):
                return
            self._away = error if isinstance(error, LoginRefusedError) else ShardAwayError(f"{self.server} is away: {error}")
            self._retry_at = time.monotonic() + self._retry_seconds
        while unused := self._unused():
            unused.close()

    def _come_back(self, deadline: float) -> None:
        """Settles what is owed; until then nobody reads here."""
        away = self._away
        if time.monotonic() < self._retry_at or not self._settling.acquire(blocking=False):
            raise away or ShardAwayError(f"{self.server} is away: coming back")
        try:
            while self._unfinished:
                self._unfinished[0].await_end(deadline)
                self._unfinished.pop(0)
            connection = self._connect(deadline)
            try:
                while not self._settled(connection):
                    pass
            finally:
                connection.close()
        finally:
            self._settling.release()

    def _settled(self, connection: Connection) -> bool:
        # What is being settled is taken out first: the same key may come to be owed once more meanwhile.
        with self._lock:
            owes_all, some = self._owes_all, set(islice(self._owed, _AT_A_TIME))
            if not owes_all and not some:
                if self._unfinished:
                    raise ShardAwayError(f"{self.server} is away: a write has not ended")
                self._away = None
                return True
            self._owes_all = False
            self._owed -= some
        try:
            replies = connection.ask([*([b"flush_all\r\n"] if owes_all else []), *(b"delete %b\r\n" % key for key in some)])
            if bad := [reply for reply in replies if reply not in (b"OK", b"DELETED", b"NOT_FOUND")]:
                raise ConnectionError(f"{self.server} does not forget what it missed: {bad[0].decode(errors='replace')}")
        except BaseException:
            with self._lock:
                self._owes_all |= owes_all
                self._owed |= some
            raise
        return False


def _close(made: Future[Connection]) -> None:
    if not made.cancelled() and not made.exception():
        made.result().close()
