"""What says whether a memory may be read: the servers' word on what has changed, or only a value's age."""

import logging
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import redis

from caches_runtime.client import ConnectionRefusedError
from caches_runtime.client.credentials import Credentials
from caches_runtime.listening import Ask, Listener, Masters
from caches_runtime.listening.masters import TIMEOUT_SECONDS
from caches_runtime.tiers import metrics
from caches_runtime.tiers.memory import Memory
from caches_runtime.tiers.slots import Slots

log = logging.getLogger(__name__)


class Link(Protocol):
    """What a TieredCache asks before it reads from memory."""

    name: str
    """Of the cache in metrics."""
    channel: str | None
    """Where writers publish the keys that they have written; None for nowhere."""

    def covers(self, keys: Collection[bytes]) -> list[bytes]:
        """Those of the keys that may be read from memory now."""


class InvalidationLink:
    """Empties a memory of what has changed on masters, by a connection to each.

    What the memory holds while a key is covered is never older than what was acknowledged `timeout` ago, however connections fail.
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
        `connection` is what a cache of Redis or Valkey exports. The other arguments can be left out:

        * `prefix` (""): of the keys that may be held, and that the server tells of (CLIENT TRACKING with BCAST).
        * `channel`: of servers that refuse CLIENT: where writers publish keys instead, as TieredCache does. Not of a cluster.
        * `timeout` (seconds, 1): how old what is read may be when a connection hangs.
        * `name` ("caches"): of the cache in metrics.
        * `credentials`: as of `connect`.

        Raises ConnectionRefusedError for what can't be a connection. It does not wait for the server.
        """
        if channel is not None and connection.get("mode") == "cluster":
            raise ConnectionRefusedError(
                f"channel = {channel!r}: a cluster's nodes pass on late what is published, so that nothing bounds how old a read is; "
                "leave it out, and permit +client|tracking"
            )
        self.prefix = prefix.encode()
        self.channel = channel
        self.name = name
        self._memory = memory
        self._masters = Masters(connection, self, timeout=timeout, name=name, credentials=credentials)
        self._slots = Slots(memory, self._masters) if self._masters.clustered else None
        self._masters.start()

    @property
    def up(self) -> bool:
        """Whether all of the memory may be read and filled."""
        return self._masters.up and (self._slots is None or self._slots.up)

    @property
    def problem(self) -> str:
        """Why it is not up; empty when nothing has failed since it was."""
        return self._masters.problem

    def covers(self, keys: Collection[bytes]) -> list[bytes]:
        """Those with the prefix, while their master's word is proven."""
        if self._slots:
            return [key for key in keys if key.startswith(self.prefix) and self._slots.covers(key)]
        return [key for key in keys if key.startswith(self.prefix)] if self._masters.up else []

    def close(self) -> None:
        """Ends it; the memory is empty afterwards."""
        self._masters.close()
        self._memory.clear()

    def begin(self, _: Listener, ask: Ask) -> None:
        """Called by a listener: subscribes."""
        if self.channel is None:
            ask("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", self.prefix)
        else:
            ask("SUBSCRIBE", self.channel, pushed=True)
        log.info("invalidations of %s come", self.name)

    def heard(self, push: list[Any]) -> None:
        """Called by a listener: takes what has changed out of memory."""
        if push[0] == b"invalidate" and push[1] is None:  # FLUSHALL and its like
            self._memory.clear()
        elif push[0] in (b"invalidate", b"message"):
            keys = push[1] if push[0] == b"invalidate" else [push[2]]
            self._memory.drop(keys)
            metrics.INVALIDATIONS.labels(self.name).inc(len(keys))

    def proven(self, _: Listener) -> None:
        """Called by a listener: counts."""
        metrics.LINK_UP.labels(self.name).set(self.up)
        metrics.MEMORY_BYTES.labels(self.name).set(self._memory.size_bytes)

    def changed(self) -> None:
        """Called by a listener: takes out of memory what nobody vouches for any more."""
        if self._slots:
            self._slots.update()
        else:
            self._memory.clear()
        metrics.LINK_UP.labels(self.name).set(0)

    def lost(self, error: Exception) -> None:
        """Called by a listener: says so."""
        refused = isinstance(error, redis.exceptions.NoPermissionError)
        advice = "; permit +role (of a cluster +cluster|info, +cluster|nodes) and +client|tracking, or give a channel" if refused else ""
        log.warning("no invalidations of %s, every read asks the server: %s: %s%s", self.name, type(error).__name__, error, advice)
        metrics.LINK_LOSSES.labels(self.name).inc()


class AgeLimit:
    """For servers that never say what has changed, such as Memcached: a read may be as old as `seconds` of the memory. No more is known."""

    channel: str | None = None

    def __init__(self, name: str = "caches") -> None:
        """`name` is the cache's in metrics."""
        self.name = name

    def covers(self, keys: Collection[bytes]) -> list[bytes]:
        """All."""
        return list(keys)
