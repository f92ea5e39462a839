"""What all observers of a Redis or Valkey have in common: connections to its masters, and a word whenever one was not there."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from caches_runtime.client.credentials import Credentials
from caches_runtime.listening import Ask, Listener, Masters
from caches_runtime.listening.listener import NotHeardError
from caches_runtime.listening.masters import TIMEOUT_SECONDS
from caches_runtime.observers import metrics
from caches_runtime.observers.change import Change, Invalidates

log = logging.getLogger(__name__)


class Observer(ABC):
    """
    Tells who holds values what has changed, by a thread for each master.

    Whenever a connection was made it tells that anything may have changed: what happened before is unknown. So while `up` is true,
    all has been told that was said `timeout` ago. A target that raises ends the connection, and is told so with the next one.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        target: Invalidates,
        *,
        timeout: float = TIMEOUT_SECONDS,
        name: str = "caches",
        credentials: Credentials | None = None,
    ) -> None:
        """
        `connection` is what a cache of Redis or Valkey exports, of any mode; `target` is who is told. Others can be left out:

        * `timeout` (seconds, 1): after so long a connection that hangs is given up.
        * `name` ("caches"): of the observer in metrics and logs.
        * `credentials`: as of `connect`.

        Raises ConnectionRefusedError for what can't be a connection. It does not wait for the server.
        """
        self.name = name
        self._target = target
        self._masters = Masters(connection, self, timeout=timeout, name=name, credentials=credentials)
        self._masters.start()

    @property
    def up(self) -> bool:
        """Whether all that changes is heard."""
        return self._masters.up

    @property
    def problem(self) -> str:
        """Why it is not up, and what to do; empty when nothing has failed since it was."""
        return self._masters.problem

    def close(self) -> None:
        """Ends it. Nothing is told afterwards."""
        self._masters.close()

    @abstractmethod
    def subscribe(self, ask: Ask) -> None:
        """Asks the server to say what changes. Raises redis.RedisError where it does not."""

    @abstractmethod
    def understood(self, push: list[Any]) -> Change | None:
        """What the server has said; None for nothing."""

    def begin(self, _: Listener, ask: Ask) -> None:
        """Called by a listener."""
        self.subscribe(ask)
        self._tell(Change(everything=True))
        log.info("changes are heard by %s", self.name)

    def heard(self, push: list[Any]) -> None:
        """Called by a listener."""
        if change := self.understood(push):
            self._tell(change)

    def proven(self, _: Listener) -> None:
        """Called by a listener."""
        metrics.UP.labels(self.name).set(self.up)

    def changed(self) -> None:
        """Called by a listener."""
        metrics.UP.labels(self.name).set(self.up)

    def lost(self, error: Exception) -> None:
        """Called by a listener."""
        log.warning("changes are not heard by %s: %s: %s", self.name, type(error).__name__, error)
        metrics.LOSSES.labels(self.name).inc()

    def _tell(self, change: Change) -> None:
        try:
            self._target.invalidated(change)
        except Exception as error:
            # Its text could have keys in it.
            raise NotHeardError(f"{type(self._target).__name__} could not invalidate: {type(error).__name__}") from error
        for what in ("keys", "prefixes", "tags", "everything"):
            if getattr(change, what):
                metrics.CHANGES.labels(self.name, what).inc()
