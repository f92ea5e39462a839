"""One of the caches that are kept alike: where its masters are now, and connections to them."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import redis
from redis.crc import key_slot

from caches_runtime.client.connection import Connection, ConnectionRefusedError, snake_case
from caches_runtime.ops.migrate.errors import RefusedError
from caches_runtime.ops.migrate.link import Command, Endpoint, Link
from caches_runtime.ops.migrate.source import OLDEST
from caches_runtime.ops.migrate.target import Target

RESERVED = b"pulumi-caches:"
"""What keys begin with that are notes about a cache, and stay where they are."""
PROBE = RESERVED + b"replicate:"
# Whoever does not answer for so long hangs.
ANSWER_SECONDS = 5.0
# No CLIENT SETNAME, which not every cloud lets anybody do.
_NAMELESS = ""
_FIELDS = {
    *("engine", "mode", "host", "port", "reader_host", "reader_port", "nodes", "sentinels", "master_name", "username", "password"),
    *("auth", "tls", "ca_pem", "provider", "region"),
}


@dataclass(frozen=True)
class Place:
    """Where a cache's connection is, which is read for each attempt: a password may be another one by then."""

    file: Path

    def read(self) -> Connection:
        """Raises RefusedError."""
        try:
            given = json.loads(self.file.read_text())
        except (OSError, ValueError) as error:
            raise RefusedError(f"{self.file} has no connection that a cache exports: {type(error).__name__}: {error}") from None
        try:
            if isinstance(given, dict):
                if given.get("engine") == "memcached":
                    raise ConnectionRefusedError("engine: memcached can't tell which keys it has; only redis and valkey can be replicated")
                if unknown := sorted(snake_case(given).keys() - _FIELDS):
                    raise ConnectionRefusedError(f"unknown: {', '.join(unknown)}; a connection has {', '.join(sorted(_FIELDS))}")
            connection = Connection.read(given)
            if connection.uses_tokens:
                raise ConnectionRefusedError(f"auth: {connection.auth!r} can't be used yet: give a user with a password")
            if not connection.auth and connection.password is None:
                raise ConnectionRefusedError("password: missing; give it, or auth = none for a cache without one")
        except ConnectionRefusedError as error:
            raise RefusedError(f"{self.file}: {error}") from None
        return connection


class Site:
    """One cache, while the connections to its masters last."""

    def __init__(self, place: Place) -> None:
        """Raises RefusedError, redis.AuthenticationError, or one of LOST."""
        connection = place.read()
        self.mode = connection.mode
        self.name = str(Endpoint(connection.host, connection.port))
        with ExitStack() as closing:
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="replicate-")))
            endpoint = _master(connection, _endpoint(connection, folder))
            self.servers = closing.enter_context(Target(endpoint, _NAMELESS))
            version = self.servers.info.get("redis_version", "0")
            if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
                raise RefusedError(f"{self.name} is version {version}: {'.'.join(map(str, OLDEST))} is needed; upgrade it")
            if not self.leads():
                raise redis.ConnectionError(f"{endpoint} is no master at the moment")
            self.since_seven = self._knows("PEXPIRETIME", PROBE)
            self.field_expiry = self._knows("HPEXPIRETIME", PROBE, "FIELDS", 1, "field")
            self.sizes = self._knows("MEMORY", "USAGE", PROBE)
            self._closing = closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def links(self) -> list[Link]:
        """To its masters."""
        return self.servers.links

    def each(self, commands: Sequence[Command], keys: Sequence[bytes] | None = None) -> list[Any]:
        """The replies to commands, each of which goes where its key is; errors too. Without keys it is the first argument."""
        return self.servers.each(commands, keys=keys)

    def scan(self) -> Iterator[list[bytes]]:
        """Every key that is there all the while and is no note, in batches."""
        for keys in self.servers.scan(0):
            yield [key for key in keys if not key.startswith(RESERVED)]

    def has_keys(self) -> bool:
        """Whether any is no note. Raises RefusedError when some are in databases that are not replicated."""
        if others := sorted(database for database in self.servers.keyspace() if database):
            raise RefusedError(
                f"{self.name} has keys in databases {', '.join(map(str, others))}: only database 0 is replicated; move them there"
            )
        return any(map(len, self.scan()))

    def run_ids(self) -> dict[int, str]:
        """What identifies the process of each master, by its first slot."""
        found: dict[Link, int] = {}
        for slot, link in sorted(self.servers.by_slot.items()):
            found.setdefault(link, slot)
        return {slot: link.info("server").get("run_id", "") for link, slot in found.items()}

    def size(self, shard: int) -> int:
        """How many keys the master with that first slot has."""
        return int(self.servers.by_slot[shard].call("DBSIZE"))

    def link_of(self, key: bytes) -> Link:
        """To the master that has the key."""
        return self.servers.by_slot[key_slot(key)]

    def leads(self) -> bool:
        """Whether all that this is connected to are masters."""
        return all(link.info("replication").get("role") in (None, "master") for link in self.links)

    def moved(self, place: Place) -> bool:
        """Whether other servers than those that this is connected to are its masters now."""
        with Site(place) as now:
            return {str(link.endpoint) for link in now.links} != {str(link.endpoint) for link in self.links}

    def _knows(self, *words: Any) -> bool:
        reply = self.each([words], keys=[PROBE])[0]
        return not isinstance(reply, Exception)


def note_key(link_of: Callable[[bytes], Link], link: Link, name: str) -> bytes:
    """A key for a note of that name at that master."""
    keys = (PROBE + f"{name}:{{{number}}}".encode() for number in range(1 << 20))
    return next(key for key in keys if link_of(key) is link)


def _endpoint(connection: Connection, folder: Path) -> Endpoint:
    authority = None
    if connection.tls and connection.ca_pem:
        authority = folder / "ca.crt"
        authority.write_text(connection.ca_pem)
    return Endpoint(
        connection.host,
        connection.port,
        connection.username,
        connection.password,
        connection.tls,
        authority=authority,
        answer_seconds=ANSWER_SECONDS,
    )


def _master(connection: Connection, endpoint: Endpoint) -> Endpoint:
    """The server that takes writes, or any node of a cluster that answers."""
    if connection.mode == "standalone":
        return endpoint
    asked = connection.sentinels if connection.mode == "sentinel" else dict.fromkeys([endpoint, *connection.nodes])
    trouble: Exception = redis.ConnectionError(f"no sentinel knows {connection.master_name}")
    for each in asked:
        try:
            with Link(endpoint.at(each.host, each.port), _NAMELESS) as link:
                if connection.mode == "cluster":
                    link.call("PING")
                    return link.endpoint
                if found := link.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", connection.master_name):
                    return endpoint.at(found[0].decode(), int(found[1]))
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            trouble = error
    raise trouble
