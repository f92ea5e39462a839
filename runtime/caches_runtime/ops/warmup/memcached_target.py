"""Writes entries to Memcached: strings only, each on the shard where clients look for it."""

import contextlib
import ssl
import time
from collections.abc import Sequence
from typing import Self

from caches_runtime.client.memcached_connection import Connection, LoginRefusedError, Server, stored
from caches_runtime.client.memcached_keys import expiry, legal
from caches_runtime.client.rendezvous import Rendezvous
from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import ANSWER_SECONDS, Endpoint
from caches_runtime.ops.tls import context_of
from caches_runtime.ops.warmup.entries import STRING, Entry, Outcome

_CONNECT_SECONDS = 5


class Shard:
    """A connection to one server."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises RefusedError when it does not let in."""
        context = None
        if endpoint.tls:
            context = context_of(endpoint.authority) if endpoint.authority else ssl.create_default_context()
        server = Server(endpoint.host, endpoint.port, endpoint.username, endpoint.password, context)
        try:
            self._connection = Connection(server, time.monotonic() + _CONNECT_SECONDS)
        except LoginRefusedError as error:
            raise RefusedError(str(error)) from None
        self.evicted_before = self.stats()["evictions"]

    def ask(self, commands: Sequence[bytes]) -> list[bytes]:
        """The first line of the reply to each; a reply has no other."""
        return self._in_time().ask(commands)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        found = self._in_time().get([key]).get(key)
        return found[0] if found else None

    def stats(self) -> dict[str, int]:
        """The server's counters."""
        connection = self._in_time()
        connection.send(b"stats\r\n")
        found = {}
        while (line := connection.line()).startswith(b"STAT "):
            _, name, value = line.decode(errors="replace").split(" ", 2)
            if value.isdigit():
                found[name] = int(value)
        if line != b"END":
            raise RefusedError(f"{connection.server} does not say how it does: {line.decode(errors='replace')}")
        return found

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _in_time(self) -> Connection:
        self._connection.deadline = time.monotonic() + ANSWER_SECONDS
        return self._connection


class MemcachedTarget:
    """All shards, while the connections to them last."""

    try_value = None
    """It takes strings only, and no value as it is."""

    def __init__(self, cache: Cache) -> None:
        """Raises RefusedError when one of them does not let in."""
        # A proxy spreads keys itself, and there are no other shards then.
        servers = cache.servers if cache.mode == "sharded" else (cache.writes,)
        self.title = ", ".join(map(str, servers))
        self._homes = Rendezvous(map(str, servers))
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
                by_shard.setdefault(self._homes.node_of(legal(entry.key)), []).append(number)
        word = b"set" if overwrite else b"add"
        for shard, numbers in by_shard.items():
            replies = self._shards[shard].ask(
                [stored(word, legal(each.key), _expiry(each), each.value[0]) for each in map(entries.__getitem__, numbers)]
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
            [reply] = shard.ask([stored(b"set", name.encode(), seconds, text.encode())])
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
    return "" if entry.kind == STRING else f"is a {entry.kind}, and Memcached only has strings"


def _expiry(entry: Entry) -> int:
    """Whole seconds, the last one counted as one."""
    if entry.until is None:
        return expiry(None)
    return expiry(max(1, entry.milliseconds() // 1000))


def _outcome(reply: bytes) -> Outcome | str:
    if reply in (b"STORED", b"NOT_STORED"):
        return Outcome.WRITTEN if reply == b"STORED" else Outcome.THERE
    if b"too large" in reply:
        return "is larger than an item may be: raise max_item_size_mib"
    if b"out of memory" in reply:
        raise RefusedError("a shard is full and evicts nothing: give it more memory_gib or item_memory_mib, or bring less")
    raise ConnectionError(f"a shard has answered {reply.decode(errors='replace')}")
