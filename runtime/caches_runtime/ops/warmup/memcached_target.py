"""Writes entries to Memcached: strings only, each on the shard where clients look for it."""

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Self

from pymemcache.client.rendezvous import RendezvousHash  # type: ignore[import-untyped]

from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import ANSWER_SECONDS, Endpoint
from caches_runtime.ops.tls import context_of
from caches_runtime.ops.warmup.entries import STRING, Entry, Outcome

_KEY = re.compile(rb"[^\x00-\x20\x7f]{1,250}")
# What is longer is taken for a date.
_RELATIVE_SECONDS = 30 * 24 * 3600
_CONNECT_SECONDS = 5


class Shard:
    """A connection to one server."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises RefusedError when it does not let in."""
        self._name = str(endpoint)
        connected = socket.create_connection((endpoint.host, endpoint.port), _CONNECT_SECONDS)
        connected.settimeout(ANSWER_SECONDS)
        if endpoint.tls:
            context = context_of(endpoint.authority) if endpoint.authority else ssl.create_default_context()
            connected = context.wrap_socket(connected, server_hostname=endpoint.host)
        self._socket, self._stream = connected, connected.makefile("rb")
        if endpoint.password is not None:
            login = f"{endpoint.username} {endpoint.password}".encode()
            [reply] = self.ask([_stored(b"set", b"login", 0, login)])
            if reply != b"STORED":
                raise RefusedError(f"{self._name} does not let in: {reply.decode()}; check the connection's username and password")
        self.evicted_before = self.stats()["evictions"]

    def ask(self, commands: Sequence[bytes]) -> list[bytes]:
        """The first line of the reply to each; a reply has no other."""
        self._socket.sendall(b"".join(commands))
        return [self._line() for _ in commands]

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        self._socket.sendall(b"get %b\r\n" % key)
        if not (header := self._line()).startswith(b"VALUE "):
            return None
        value = self._stream.read(int(header.split()[3]) + 2)[:-2]
        self._line()
        return value

    def stats(self) -> dict[str, int]:
        """The server's counters."""
        self._socket.sendall(b"stats\r\n")
        found = {}
        while (line := self._line()).startswith(b"STAT "):
            _, name, value = line.decode(errors="replace").split(" ", 2)
            if value.isdigit():
                found[name] = int(value)
        if line != b"END":
            raise RefusedError(f"{self._name} does not say how it does: {line.decode(errors='replace')}")
        return found

    def close(self) -> None:
        """Ends the connection."""
        self._stream.close()
        self._socket.close()

    def _line(self) -> bytes:
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError(f"{self._name} has closed the connection")
        return line.rstrip(b"\r\n")


class MemcachedTarget:
    """All shards, while the connections to them last."""

    try_value = None
    """It takes strings only, and no value as it is."""

    def __init__(self, cache: Cache) -> None:
        """Raises RefusedError when one of them does not let in."""
        # A proxy spreads keys itself, and there are no other shards then.
        servers = cache.servers if cache.mode == "sharded" else (cache.writes,)
        self.title = ", ".join(map(str, servers))
        self._hash = RendezvousHash([str(server) for server in servers])
        with contextlib.ExitStack() as closing:
            self._shards: dict[str, Shard] = {}
            for server in servers:
                self._shards[str(server)] = shard = Shard(server)
                closing.callback(shard.close)
            self._closing = closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def put(self, entries: Sequence[Entry], *, overwrite: bool) -> list[Outcome | str]:
        """Writes them all in one go to each shard."""
        outcomes: list[Outcome | str] = [_problem(entry) for entry in entries]
        by_shard: dict[str, list[int]] = {}
        for number, entry in enumerate(entries):
            if not outcomes[number]:
                by_shard.setdefault(self._hash.get_node(entry.key.decode()), []).append(number)
        word = b"set" if overwrite else b"add"
        for shard, numbers in by_shard.items():
            replies = self._shards[shard].ask(
                [_stored(word, each.key, _expiry(each), each.value[0]) for each in map(entries.__getitem__, numbers)]
            )
            for number, reply in zip(numbers, replies, strict=True):
                outcomes[number] = _outcome(reply)
        return outcomes

    def notes(self, name: str) -> list[bytes | None]:
        """What each shard has noted under a name."""
        return [shard.get(name.encode()) for shard in self._shards.values()]

    def note(self, name: str, text: str, seconds: int) -> None:
        """Notes a text on each shard."""
        for shard in self._shards.values():
            [reply] = shard.ask([_stored(b"set", name.encode(), seconds, text.encode())])
            if reply != b"STORED":
                raise UnfinishedError(f"a shard to take the note of how far it came: {reply.decode()}")

    def forget(self, name: str) -> None:
        """Removes the note."""
        for shard in self._shards.values():
            shard.ask([f"delete {name}\r\n".encode()])

    def count(self) -> int:
        """How many items there are."""
        return sum(shard.stats()["curr_items"] for shard in self._shards.values())

    def evicted(self) -> int:
        """How many items were evicted since this was opened."""
        return sum(shard.stats()["evictions"] - shard.evicted_before for shard in self._shards.values())

    def settle(self) -> None:
        """There are no replicas."""


def _problem(entry: Entry) -> Outcome | str:
    if entry.until is not None and entry.milliseconds() <= 0:
        return Outcome.EXPIRED
    if entry.kind != STRING:
        return f"is a {entry.kind}, and Memcached only has strings"
    try:
        entry.key.decode()
    except UnicodeDecodeError:
        return "key is not UTF-8, and clients would look for it elsewhere"
    return "" if _KEY.fullmatch(entry.key) else "key has more than 250 bytes, or a space or control character, which Memcached has none of"


def _expiry(entry: Entry) -> int:
    """Whole seconds, the last one counted as one."""
    if entry.until is None:
        return 0
    seconds = max(1, entry.milliseconds() // 1000)
    return seconds if seconds <= _RELATIVE_SECONDS else int(time.time()) + seconds


def _stored(word: bytes, key: bytes, seconds: int, value: bytes) -> bytes:
    return b"%b %b 0 %d %d\r\n%b\r\n" % (word, key, seconds, len(value), value)


def _outcome(reply: bytes) -> Outcome | str:
    if reply in (b"STORED", b"NOT_STORED"):
        return Outcome.WRITTEN if reply == b"STORED" else Outcome.THERE
    if b"too large" in reply:
        return "is larger than an item may be: raise max_item_size_mib"
    if b"out of memory" in reply:
        raise RefusedError("a shard is full and evicts nothing: give it more memory_gib or item_memory_mib, or bring less")
    raise ConnectionError(f"a shard has answered {reply.decode(errors='replace')}")
