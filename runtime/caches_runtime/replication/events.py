"""Hears of changes at a site by its keyspace events."""

import contextlib
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

import hiredis
import redis
from redis.exceptions import NoPermissionError

from caches_runtime.ops.migrate.link import LOST, Link
from caches_runtime.replication.backlog import Backlog
from caches_runtime.replication.site import RESERVED, Site, note_key
from caches_runtime.replication.wanted import Wanted

SETTING = "notify-keyspace-events must have the letters E and A (or E, g, $, l, s, h, z, t, x, e)"
_CHANNEL = b"__keyevent@0__:"
_READ_BYTES = 256 * 1024
_LOOK_SECONDS = 1.0
_MORE = object()
# Of each type that has events of its own, what makes them heard.
_TRIALS = {
    "set": ("SET", "x"),
    "rpush": ("RPUSH", "x"),
    "sadd": ("SADD", "x"),
    "hset": ("HSET", "x", "x"),
    "zadd": ("ZADD", 1, "x"),
    "xadd": ("XADD", "*", "x", "x"),
    "del": (),
}


class Listener(threading.Thread):
    """Of one master, until the connection is lost or this is closed."""

    def __init__(self, link: Link, site: int, backlog: Backlog, wanted: Wanted) -> None:
        """Raises NoPermissionError when the user may not listen, or one of LOST."""
        super().__init__(daemon=True)
        self.link = link
        self.lost: Exception | None = None
        self.heard: set[str] = set()
        """Names of the events of notes."""
        self._site, self._backlog, self._wanted = site, backlog, wanted
        connection: Any = link.endpoint.connect("")
        self._connection = connection
        self._closed = False
        self._caught_up = threading.Event()
        # Its own from the first answer on: events may come right behind that.
        self._reader = hiredis.Reader(replyError=connection._parser.parse_error, notEnoughData=_MORE)
        self._subscribe()
        self.start()

    def run(self) -> None:
        """Hears."""
        try:
            self._hear()
        except (*LOST, redis.RedisError, hiredis.ProtocolError) as error:
            self.lost = error

    def close(self) -> None:
        """Ends it."""
        self._closed = True
        with contextlib.suppress(*LOST):
            self._connection._sock.shutdown(socket.SHUT_RDWR)
        self.join(2 * _LOOK_SECONDS)
        self._connection.disconnect()

    def catch_up(self) -> None:
        """Returns when all is heard that the server had told before."""
        self._caught_up.clear()
        self._connection.send_command("PING")
        if not self._caught_up.wait(self.link.endpoint.answer_seconds) and self.lost is None:
            raise redis.TimeoutError(f"{self.link.endpoint} tells nothing")

    def _subscribe(self) -> None:
        self._connection.send_command("PSUBSCRIBE", _CHANNEL + b"*")
        while (reply := self._reader.gets()) is _MORE:
            self._receive()
        if isinstance(reply, Exception):
            self._connection.disconnect()
            raise reply
        self._connection._sock.settimeout(_LOOK_SECONDS)

    def _receive(self) -> None:
        received = self._connection._sock.recv(_READ_BYTES)
        if not received:
            raise redis.ConnectionError(f"{self.link.endpoint} has closed the connection")
        self._reader.feed(received)

    def _hear(self) -> None:
        heard = time.monotonic()
        while not self._closed:
            self._note()
            try:
                self._receive()
            except TimeoutError:
                # An answer shows that the other side is still there; firewalls forget connections that are silent.
                if time.monotonic() - heard > self.link.endpoint.answer_seconds:
                    raise
                self._connection.send_command("PING")
            else:
                heard = time.monotonic()

    def _note(self) -> None:
        keys = []
        while (message := self._reader.gets()) is not _MORE:
            if isinstance(message, list) and message[0] == b"pmessage":
                _, _, channel, key = message
                if key.startswith(RESERVED):
                    self.heard.add(channel.removeprefix(_CHANNEL).decode())
                elif self._wanted(key):
                    keys.append(key)
            elif isinstance(message, list) and message[0] == b"pong":
                self._caught_up.set()
        if keys:
            self._backlog.add(keys, self._site)


def missing(site: Site, listeners: list[Listener]) -> list[str] | None:
    """Which changes are not told by one of the site's masters, by trying; None when that may not be tried, and nobody knows."""
    found: set[str] = set()
    for listener in listeners:
        key = note_key(site.link_of, listener.link, "events")
        trial: list[tuple[Any, ...]] = []
        for command, *more in filter(None, _TRIALS.values()):
            trial += [(command, key, *more), ("DEL", key)]
        replies = listener.link.each([("MULTI",), *trial, ("EXEC",)])
        if any(isinstance(reply, NoPermissionError | redis.ReadOnlyError) for reply in replies):
            return None
        listener.catch_up()
        found |= set(_TRIALS) - listener.heard
    return sorted(found)


def subscribe(site: Site, number: int, backlog: Backlog, wanted: Wanted, closing: ExitStack) -> list[Listener]:
    """A listener for each master; none where the user may not listen."""
    made: list[Listener] = []
    for link in site.links:
        try:
            made.append(Listener(link, number, backlog, wanted))
        except NoPermissionError:
            return []
        closing.callback(made[-1].close)
    return made
