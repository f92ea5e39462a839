"""The connection over which a server says what has changed, and the proof that it still does."""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

import redis

from caches_runtime.client import ConnectionRefusedError, connect
from caches_runtime.client.credentials import Credentials
from caches_runtime.tiers import metrics
from caches_runtime.tiers.memory import Memory

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1.0
_BEATS = 4
"""Questions in a timeout: one that is lost on a busy machine loses nothing."""
_MODES = ("standalone", "sentinel")


class InvalidationLink:
    """Empties a memory of what has changed on a master, by a thread with a connection of its own.

    `up` is true only while the master has answered a question that was sent less than `timeout` ago. Its answer follows, on the same
    connection, all that it had to say of writes that were acknowledged before the question. So what the memory holds while `up` is
    true is never older than what was acknowledged `timeout` ago, however the connection fails.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        memory: Memory,
        *,
        prefix: str = "",
        channel: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        name: str = "caches",
        credentials: Credentials | None = None,
    ) -> None:
        """
        `connection` is what a cache exports, of mode standalone or sentinel. The other arguments can be left out:

        * `prefix` (""): of the keys that may be held, and that the server tells of (CLIENT TRACKING with BCAST).
        * `channel`: of servers that refuse CLIENT: where writers publish keys instead, as TieredCache does.
        * `timeout` (seconds, 1): how old what is read may be when the connection hangs.
        * `name` ("caches"): of the cache in metrics.
        * `credentials`: as of `connect`.

        Raises ConnectionRefusedError for what can't be a connection. It does not wait for the server.
        """
        if not timeout > 0:
            raise ConnectionRefusedError(f"timeout = {timeout!r}: it is more than 0 seconds")
        if connection.get("mode") not in _MODES:
            raise ConnectionRefusedError(
                f"mode: {connection.get('mode')!r} has no invalidations here; it is one of {', '.join(_MODES)}: use the cache without tiers"
            )
        self.prefix = prefix.encode()
        self.channel = channel
        self.name = name
        self.problem = ""
        """Why the link is not up; empty when nothing has failed since it was."""
        self._timeout = timeout
        self._memory = memory
        self._client = connect(connection, budget=timeout, credentials=credentials)
        self._pool = self._client.connection_pool  # type: ignore[union-attr]
        self._pool.connection_kwargs["protocol"] = 3  # else a server can't speak without being asked
        self._proven = float("-inf")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"invalidations of {name}", daemon=True)
        self._thread.start()

    @property
    def up(self) -> bool:
        """Whether the memory may be read and filled."""
        return time.monotonic() < self._proven + self._timeout

    def close(self) -> None:
        """Ends it; the memory is empty afterwards."""
        self._closing.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                self._lost(error)
            self._closing.wait(self._timeout / _BEATS)

    def _listen(self) -> None:
        connection = self._pool.get_connection()
        try:
            parser = connection._parser
            parser.set_invalidation_push_handler(self._tracked)
            parser.set_pubsub_push_handler(self._published)
            if self.channel is None:
                self._ask(connection, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", self.prefix)
            else:
                self._ask(connection, "SUBSCRIBE", self.channel, push_request=True)
            while not self._closing.is_set():
                self._beat(connection)
        finally:
            self._proven = float("-inf")
            self._memory.clear()
            metrics.LINK_UP.labels(self.name).set(0)
            connection.disconnect()
            self._pool.release(connection)

    def _beat(self, connection: Any) -> None:
        sent = time.monotonic()
        role = self._ask(connection, "ROLE")
        if role[0] != b"master":
            raise redis.ConnectionError("the server is no master any more")
        if self._proven == float("-inf"):
            log.info("invalidations of %s come", self.name)
        self._proven, self.problem = sent, ""
        metrics.LINK_UP.labels(self.name).set(1)
        metrics.MEMORY_BYTES.labels(self.name).set(self._memory.size_bytes)
        while (left := sent + self._timeout / _BEATS - time.monotonic()) > 0 and not self._closing.is_set():
            if connection.can_read(timeout=left):
                connection.read_response(push_request=True, timeout=self._timeout)

    def _ask(self, connection: Any, *words: str | bytes, push_request: bool = False) -> Any:
        connection.send_command(*words)
        return connection.read_response(push_request=push_request, timeout=self._timeout)

    def _tracked(self, push: list[Any]) -> None:
        keys = push[1]
        if keys is None:  # FLUSHALL and its like
            self._memory.clear()
            return
        self._memory.drop(keys)
        metrics.INVALIDATIONS.labels(self.name).inc(len(keys))

    def _published(self, push: list[Any]) -> None:
        if push[0] == b"message":
            self._memory.drop([push[2]])
            metrics.INVALIDATIONS.labels(self.name).inc()

    def _lost(self, error: Exception) -> None:
        problem = f"{type(error).__name__}: {error}"
        if problem != self.problem:
            refused = isinstance(error, redis.exceptions.NoPermissionError)
            advice = "; permit +role and +client|tracking, or give a channel" if refused else ""
            log.warning("no invalidations of %s, every read asks the server: %s%s", self.name, problem, advice)
            metrics.LINK_LOSSES.labels(self.name).inc()
        self.problem = problem
