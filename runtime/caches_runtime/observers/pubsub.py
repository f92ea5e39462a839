"""Changes that writers publish."""

import logging
from collections.abc import Mapping
from typing import Any

from caches_runtime.listening import Ask
from caches_runtime.observers import metrics
from caches_runtime.observers.change import Change, Invalidates, MalformedEventError, read
from caches_runtime.observers.observer import Observer

log = logging.getLogger(__name__)


class PubSubObserver(Observer):
    """Of a channel on which `message(change)` is published. One that can't be understood means that anything may have changed.

    Of a cluster it listens to each master, so that a change is told several times.
    """

    def __init__(self, connection: Mapping[str, Any], channel: str, target: Invalidates, **options: Any) -> None:
        """The others are as of Observer."""
        self._channel = channel
        super().__init__(connection, target, **options)

    def subscribe(self, ask: Ask) -> None:
        """By SUBSCRIBE."""
        ask("SUBSCRIBE", self._channel, pushed=True)

    def understood(self, push: list[Any]) -> Change | None:
        """A message as change."""
        if push[0] != b"message":
            return None
        try:
            return read(push[2])
        except MalformedEventError:  # which may have what was sent in it
            log.warning("%s: a message on %s is not what message() makes; anything may have changed", self.name, self._channel)
            metrics.MALFORMED.labels(self.name).inc()
            return Change(everything=True)
