"""A listener to each master of a cache, whichever those are."""

import threading
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import redis
from redis.exceptions import RedisClusterException

from caches_runtime.client import ConnectionRefusedError, connect
from caches_runtime.client.connection import Connection, snake_case
from caches_runtime.client.credentials import Credentials
from caches_runtime.listening.listener import BEATS, Follows, Listener

TIMEOUT_SECONDS = 1.0
_MODES = ("standalone", "sentinel", "cluster")


class Masters:
    """Of a server or a group one; of a cluster as many as it has, by a thread that looks while one of them is not heard."""

    def __init__(
        self, connection: Mapping[str, Any], follows: Follows, *, timeout: float, name: str, credentials: Credentials | None = None
    ) -> None:
        """Raises ConnectionRefusedError for what can't be listened to."""
        if not timeout > 0:
            raise ConnectionRefusedError(f"timeout = {timeout!r}: it is more than 0 seconds")
        if connection.get("engine") == "memcached" or connection.get("mode") not in _MODES:
            raise ConnectionRefusedError(
                f"mode: {connection.get('mode')!r} has no invalidations here; it is one of {', '.join(_MODES)}, of Redis or Valkey: "
                "use the cache without tiers, or AgeLimit for what may be as old as its memory keeps it"
            )
        self.clustered = connection["mode"] == "cluster"
        self._connection = snake_case(connection)
        self._follows, self._timeout, self._name, self._credentials = follows, timeout, name, credentials
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._closing = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name=f"masters of {name}", daemon=True)
        if self.clustered:
            Connection.read(connection)
        else:
            self._listeners["", 0] = self._listener(self._connection)

    def start(self) -> None:
        """Begins, when whoever listens is ready to hear. It does not wait for the masters."""
        for starting in (self._thread,) if self.clustered else self.listeners:
            starting.start()

    @property
    def listeners(self) -> list[Listener]:
        """Those that there are now."""
        return list(self._listeners.values())

    @property
    def up(self) -> bool:
        """Whether every master is heard that any of them knows."""
        listeners = self.listeners
        if not listeners or not all(listener.up for listener in listeners):
            return False
        views = [view for listener in listeners if (view := listener.view)]
        return not self.clustered or {view.me for view in views} >= frozenset[str]().union(*(view.masters for view in views))

    @property
    def problem(self) -> str:
        """Why one is not heard; empty when nothing has failed since all were."""
        return next(filter(None, (self._problem, *(listener.problem for listener in self.listeners))), "")

    def close(self) -> None:
        """Ends all."""
        self._closing.set()
        if self.clustered:
            self._thread.join()
        for listener in self.listeners:
            listener.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            if not self.up:
                self._look()
            self._closing.wait(self._timeout / BEATS)

    def _look(self) -> None:
        known = [f"{host}:{port}" for host, port in self._listeners]
        start = {**self._connection, "nodes": [*(self._connection.get("nodes") or []), *known]}
        try:
            client: Any = connect(start, budget=self._timeout, credentials=self._credentials)
            with closing(client):
                found = {(node.host, node.port) for node in client.get_primaries()}
        except (redis.RedisError, RedisClusterException, OSError) as error:
            self._problem = f"{type(error).__name__}: {error}"
            return
        self._problem = ""
        for gone in self._listeners.keys() - found:
            if not self._listeners[gone].up:
                self._listeners.pop(gone).close()
        for host, port in found - self._listeners.keys():
            node = {**self._connection, "mode": "standalone", "host": host, "port": port, "nodes": []}
            self._listeners[host, port] = self._listener(node)
            self._listeners[host, port].start()

    def _listener(self, connection: Mapping[str, Any]) -> Listener:
        return Listener(
            connection,
            self._follows,
            clustered=self.clustered,
            timeout=self._timeout,
            name=self._name,
            credentials=self._credentials,
        )
