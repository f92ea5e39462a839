"""Changes that the server itself says: keyspace notifications (https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/)."""

import itertools
import re
import secrets
from collections.abc import Mapping
from typing import Any

import redis
from redis.crc import key_slot

from caches_runtime.client import ConnectionRefusedError
from caches_runtime.listening import Ask, View
from caches_runtime.observers.change import Change, Invalidates
from caches_runtime.observers.observer import Observer

SETTING = "notify-keyspace-events"
_NEEDED = "g$xe"
"""Without which a value can change unheard: DEL and its like, SET, expiry, eviction. A is for these and more."""


class NotificationsOffError(redis.RedisError):
    """The server does not say what changes; it says what to set."""


class KeyspaceObserver(Observer):
    """Tells each key of which the server says anything. FLUSHALL and FLUSHDB it does not say: no server does."""

    def __init__(self, connection: Mapping[str, Any], target: Invalidates, *, prefix: str = "", database: int = 0, **options: Any) -> None:
        """Of keys that begin with `prefix`, in that database. The others are as of Observer."""
        if database and connection.get("mode") == "cluster":
            raise ConnectionRefusedError(f"database = {database}: a cluster has only 0")
        self._prefix = prefix.encode()
        self._channel = b"__keyspace@%d__:" % database
        self._clustered = connection.get("mode") == "cluster"
        self._probes: dict[bytes, set[bytes]] = {}
        super().__init__(connection, target, **options)

    def subscribe(self, ask: Ask) -> None:
        """By PSUBSCRIBE. Raises NotificationsOffError where notifications are off."""
        ask("PSUBSCRIBE", self._channel + re.sub(rb"([*?\[\]\\])", rb"\\\1", self._prefix) + b"*", pushed=True)
        try:
            answer = ask("CONFIG", "GET", SETTING)
        except redis.ResponseError as refused:  # as clouds do
            self._probe(ask, refused)
            return
        flags = answer[SETTING.encode()].decode()
        if "K" not in flags or not ("A" in flags or set(_NEEDED) <= set(flags)):
            raise NotificationsOffError(f"{SETTING} is {flags!r}: set it to 'KA', or at least 'K{_NEEDED}' where values are texts")

    def understood(self, push: list[Any]) -> Change | None:
        """The key of an event."""
        if push[0] != b"pmessage":
            return None
        key = push[2].removeprefix(self._channel)
        if (probed := self._probes.get(key)) is not None:
            probed.add(push[3])
            return None
        return Change(keys=(key,))

    def _probe(self, ask: Ask, refused: redis.ResponseError) -> None:
        """Writes a key, and listens whether that is said."""
        key = self._probe_key(ask)
        self._probes[key] = set()
        try:
            ask("SET", key, "", "PX", "10000")
            ask("DEL", key)
            ask("DEL", key)  # by whose answer all has come that was said of the first
            heard = self._probes[key]
        except redis.ResponseError as error:
            raise NotificationsOffError(
                f"whether {SETTING} is on can't be known: CONFIG GET is refused ({refused}), and so is a key to probe it with ({error}); "
                "permit +config|get, or +set and +del of keys with the prefix"
            ) from error
        finally:
            del self._probes[key]
        if missing := {b"set", b"del"} - heard:
            words = " and ".join(sorted(word.decode().upper() for word in missing))
            raise NotificationsOffError(f"{words} of a key to probe with were not said: set {SETTING} to 'KA' (CONFIG GET: {refused})")

    def _probe_key(self, ask: Ask) -> bytes:
        """One that this server takes."""
        keys = (self._prefix + b"caches-probe-" + secrets.token_hex(8).encode() for _ in itertools.count())
        if not self._clustered:
            return next(keys)
        view = View.read(ask("CLUSTER", "NODES"))
        own = {slot for slot, owner in view.owners() if owner == view.me}
        if not own:
            raise redis.ConnectionError("the node has no slots")
        return next(key for key in keys if key_slot(key) in own)
