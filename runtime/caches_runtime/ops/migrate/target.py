"""The cache that data goes to: one server, or the masters of a cluster."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import redis
from redis.crc import key_slot

from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import Command, Endpoint, Link, sound
from caches_runtime.ops.migrate.source import keyspace

SLOTS = 16384
# Says whose copy this is, and whether it is one no longer.
MARKER = b"pulumi-caches:migration"
# Long enough that nobody runs a finished migration again, so that it is gone some day.
MARKER_SECONDS = 30 * 24 * 3600
NAME = "caches-migrate-"
REPLICA_MILLISECONDS = 5000


class Target:
    """One target, while the connections to it last."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        """Raises RefusedError when it does not let in."""
        self.endpoint = endpoint
        self._name = name
        with contextlib.ExitStack() as closing:
            try:
                first = closing.enter_context(Link(endpoint, name))
                self.info = first.info()
                self.clustered = self.info.get("cluster_enabled") == "1"
                self.by_slot = dict.fromkeys(range(SLOTS), first)
                if self.clustered:
                    self.by_slot = self._connect_cluster(first, closing)
            except redis.AuthenticationError as error:
                raise RefusedError(f"{endpoint} does not let in: {error}") from None
            # The one with the marker first: there it is decided who of several migrations may go on.
            marked = self.by_slot[key_slot(MARKER)]
            self.links = [marked, *(link for link in dict.fromkeys(self.by_slot.values()) if link is not marked)]
            self._clock = int(time.monotonic() * 1000) - _milliseconds(marked.call("TIME"))
            self._evicted = self._count_evicted()
            self._closing = closing.pop_all()

    def _connect_cluster(self, first: Link, closing: contextlib.ExitStack) -> dict[int, Link]:
        links: dict[tuple[str, int], Link] = {}
        by_slot: dict[int, Link] = {}
        ranges = first.call("CLUSTER", "SLOTS")
        address = {(start, end): (master[0].decode(), master[1]) for start, end, master, *_ in ranges}
        # In the same order for everybody, from the marker's on, so that two that begin together see each other there.
        for start, end in sorted(address, key=lambda range_: not range_[0] <= key_slot(MARKER) <= range_[1]):
            where = address[start, end]
            if where not in links:
                links[where] = closing.enter_context(Link(self.endpoint.at(*where), self._name))
            by_slot |= dict.fromkeys(range(start, end + 1), links[where])
        if len(by_slot) < SLOTS:
            raise redis.ConnectionError(f"{SLOTS - len(by_slot)} slots of {self.endpoint} have no master")
        return by_slot

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._closing.close()

    def other_migration(self) -> str:
        """Where another migration of this target is at work that was first here; empty when there is none."""
        seen = [self._migrations(link) for link in self.links]
        mine = seen[0][self._name]
        before = {name for name, id_ in seen[0].items() if id_ < mine}
        # Those that have lost the first server, and may not know yet.
        lost = {name for migrations in seen[1:] for name in migrations} - seen[0].keys()
        return ", ".join(sorted(before | lost))

    def _migrations(self, link: Link) -> dict[str, int]:
        lines = link.call("CLIENT", "LIST").decode().splitlines()
        clients = [dict(part.partition("=")[::2] for part in line.split(" ")) for line in lines]
        return {client["name"]: int(client["id"]) for client in clients if client["name"].startswith(NAME)}

    def marker(self) -> dict[str, str]:
        """Whose copy this is, and its state; empty when it is none."""
        flat = [part.decode() for part in self.links[0].call("HGETALL", MARKER)]
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def mark(self, source: Endpoint, state: str, seconds: int = 0) -> None:
        """Notes whose copy this is, and its state. Waits until replicas have that and all before it, so that no failover loses it."""
        commands: list[Command] = [("HSET", MARKER, "source", str(source), "state", state)]
        self.links[0].every([*commands, ("EXPIRE", MARKER, seconds)] if seconds else commands)
        self.await_replicas()

    def await_replicas(self) -> None:
        """Returns when replicas have all up to the last write over each link. Raises UnfinishedError when they are behind for too long."""
        for link in self.links:
            replicas = int(link.info("replication").get("connected_slaves", 0))
            if (have := link.call("WAIT", replicas, REPLICA_MILLISECONDS)) < replicas:
                raise UnfinishedError(f"{replicas - have} of {replicas} replicas of {link.endpoint}, which are behind")

    def check_kept(self) -> None:
        """Raises RefusedError when keys were evicted."""
        if evicted := self.evicted():
            raise RefusedError(f"the new cache is full and has evicted {evicted} keys: give it more memory_gib or maxmemory_mib")

    def evicted(self) -> int:
        """How many keys were evicted since this is connected."""
        return self._count_evicted() - self._evicted

    def keyspace(self, lasting: bool = False) -> dict[int, int]:
        """How many keys there are, by database, or how many that never expire; the marker is not one of them."""
        found: dict[int, int] = {}
        for link in self.links:
            for database, keys in keyspace(link.info("keyspace"), lasting).items():
                found[database] = found.get(database, 0) + keys
        if 0 in found:
            found[0] -= int(self.links[0].call("EXISTS", MARKER))
        return {database: keys for database, keys in found.items() if keys}

    def memory(self) -> int:
        """What it may hold, in bytes; 0 for as much as it likes."""
        limits = [int(link.info("memory").get("maxmemory", 0)) for link in self.links]
        return sum(limits) if all(limits) else 0

    def run_ids(self) -> set[str]:
        """What identifies its servers."""
        return {link.info("server")["run_id"] for link in self.links}

    def scan(self, database: int) -> Iterator[list[bytes]]:
        """Every key that is there all the while, in batches."""
        for link in self.links:
            yield from link.scan(database)

    def each(self, commands: Sequence[Command], database: int = 0, keys: Sequence[bytes] | None = None) -> list[Any]:
        """The replies to commands, each of which goes where its key is; errors too. Without keys it is the first argument."""
        if len(self.links) == 1:
            return self.links[0].each(commands, database)
        by_link: dict[Link, list[int]] = {}
        for number, key in enumerate(keys or [command[1] for command in commands]):
            by_link.setdefault(self.by_slot[key_slot(key)], []).append(number)
        replies: list[Any] = [None] * len(commands)
        for link, numbers in by_link.items():
            for number, reply in zip(numbers, link.each([commands[number] for number in numbers], database), strict=True):
                replies[number] = reply
        return replies

    def every(self, commands: Sequence[Command], database: int = 0) -> list[Any]:
        """The same; raises the first that is an error."""
        return sound(self.each(commands, database))

    def deadline(self, milliseconds: int) -> int:
        """When a key that has so long to live expires, by the target's clock; 0 for one that lives for ever."""
        return 0 if milliseconds < 0 else int(time.monotonic() * 1000) - self._clock + max(1, milliseconds)

    def try_value(self, payload: bytes) -> str:
        """Why it can't read a value of the source; empty when it can. Leaves nothing behind."""
        key = MARKER + b":trial"
        link = self.by_slot[key_slot(key)]
        reply = link.every([("MULTI",), ("RESTORE", key, 0, payload, "REPLACE"), ("DEL", key), ("EXEC",)])[-1][0]
        return str(reply) if isinstance(reply, Exception) else ""

    def _count_evicted(self) -> int:
        return sum(int(link.info("stats")["evicted_keys"]) for link in self.links)


def _milliseconds(time_: Sequence[bytes]) -> int:
    seconds, microseconds = time_
    return int(seconds) * 1000 + int(microseconds) // 1000
