"""One server's connection that is listened to, by a thread of its own."""

import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

import redis

from caches_runtime.client import connect
from caches_runtime.client.credentials import Credentials
from caches_runtime.listening.cluster_view import View

BEATS = 4
"""Questions in a timeout: one that is lost on a busy machine loses nothing."""


class NotHeardError(Exception):
    """Whoever listens could not act on what was said; the connection is ended, and begun anew."""


class Ask(Protocol):
    """Sends a command on the connection that is listened to."""

    def __call__(self, *words: str | bytes, pushed: bool = False) -> Any:
        """The answer; with `pushed`, that of a subscription. Raises redis.RedisError and OSError."""


class Follows(Protocol):
    """Who listens. Called by the threads of listeners."""

    def begin(self, listener: "Listener", ask: Ask) -> None:
        """A connection was made: subscribes."""

    def heard(self, push: list[Any]) -> None:
        """The server said something unasked."""

    def proven(self, listener: "Listener") -> None:
        """It has answered: all that it had to say before was heard."""

    def changed(self) -> None:
        """A listener's `view` is another, or gone."""

    def lost(self, error: Exception) -> None:
        """A listener has a problem, another one than before. It goes on trying."""


class Listener:
    """
    `up` is true only while the master has answered a question that was sent less than `timeout` ago. Its answer follows, on the same
    connection, all that it had to say of writes that were acknowledged before the question, however the connection fails.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        follows: Follows,
        *,
        clustered: bool,
        timeout: float,
        name: str,
        credentials: Credentials | None,
    ) -> None:
        """Of a server, or of a group's master. It does not wait for it. Raises ConnectionRefusedError for what can't be a connection."""
        self.problem = ""
        """Why it is not up; empty when nothing has failed since it was."""
        self.view: View | None = None
        """How a cluster's node sees its cluster; None while the connection is not proven, and where there is no cluster."""
        self._follows = follows
        self._clustered = clustered
        self._timeout = timeout
        self._client = connect(connection, budget=timeout, credentials=credentials)
        self._pool = self._client.connection_pool  # type: ignore[union-attr]
        self._pool.connection_kwargs["protocol"] = 3  # else a server can't speak without being asked
        self._proven = float("-inf")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"changes of {name}", daemon=True)

    def start(self) -> None:
        """Begins, when whoever listens is ready to hear."""
        self._thread.start()

    @property
    def up(self) -> bool:
        """Whether all was heard that was acknowledged `timeout` ago."""
        return time.monotonic() < self._proven + self._timeout

    def close(self) -> None:
        """Ends it."""
        self._closing.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError, NotHeardError) as error:
                problem = f"{type(error).__name__}: {error}"
                if problem != self.problem:
                    self._follows.lost(error)
                self.problem = problem
            self._closing.wait(self._timeout / BEATS)

    def _listen(self) -> None:
        connection = self._pool.get_connection()

        def ask(*words: str | bytes, pushed: bool = False) -> Any:
            connection.send_command(*words)
            return connection.read_response(push_request=pushed, timeout=self._timeout)

        try:
            connection._parser.set_invalidation_push_handler(self._follows.heard)
            connection._parser.set_pubsub_push_handler(self._follows.heard)
            self._follows.begin(self, ask)
            while not self._closing.is_set():
                self._beat(connection, ask)
        finally:
            self._proven = float("-inf")
            self.view = None
            self._follows.changed()
            connection.disconnect()
            self._pool.release(connection)

    def _beat(self, connection: Any, ask: Ask) -> None:
        sent = time.monotonic()
        self._question(ask)
        self._proven, self.problem = sent, ""
        self._follows.proven(self)
        while (left := sent + self._timeout / BEATS - time.monotonic()) > 0 and not self._closing.is_set():
            if connection.can_read(timeout=left):
                connection.read_response(push_request=True, timeout=self._timeout)

    def _question(self, ask: Ask) -> None:
        if not self._clustered:
            if ask("ROLE")[0] != b"master":
                raise redis.ConnectionError("the server is no master any more")
            return
        if b"cluster_state:ok" not in ask("CLUSTER", "INFO"):
            raise redis.ConnectionError("the node says that its cluster does not serve")
        view = View.read(ask("CLUSTER", "NODES"))
        if not view.is_master:
            raise redis.ConnectionError("the node is no master any more")
        if view != self.view:
            self.view = view
            self._follows.changed()
