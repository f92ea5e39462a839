"""The server that data comes from: nothing in it is changed, only its writes are held at the end."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import redis

from caches_runtime.ops.migrate.errors import RefusedError, StartOverError
from caches_runtime.ops.migrate.link import LOST, Endpoint, Link, Watch

# The first with CLIENT PAUSE WRITE.
OLDEST = (6, 2)
MIB = 1024 * 1024
# What is read at once; one value that is larger comes alone.
READ_BYTES = 16 * MIB
# What the copier's memory holds, several times; a server takes no more than 512 MiB in one value by default.
VALUE_BYTES = 256 * MIB
# The pause while the last keys are copied ends by itself when this process does not go on.
PAUSE_SECONDS = 10
# Ten years: until a person ends it, or the server does.
HELD_SECONDS = 10 * 365 * 24 * 3600


class Source:
    """One source, while the connections to it last."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        """Raises RefusedError when the source is none that can be copied, or does not let in."""
        self.endpoint = endpoint
        self._name = name
        with contextlib.ExitStack() as closing:
            try:
                self.link = Link(endpoint, name)
                closing.callback(self.link.close)
                self.info = self.link.info()
                self._refuse(self.info)
                self.link.call("CLIENT", "PAUSE", 0, "WRITE")  # pauses nothing, and shows whether it may
                self._watch = Watch(endpoint, name)
                closing.callback(self._watch.close)
            except redis.AuthenticationError as error:
                raise RefusedError(f"{endpoint} does not let in: {error}; check migrate_secret_name and migrate_username") from None
            except redis.ResponseError as error:
                raise RefusedError(f"{endpoint} does not do what is needed: {error}") from None
            self._swaps = self._count_swaps()
            self._closing = closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.close()

    @property
    def title(self) -> str:
        """For people: where, and what."""
        return f"{self.endpoint} ({engine(self.info)})"

    def keyspace(self, lasting: bool = False) -> dict[int, int]:
        """How many keys there are, by database, or how many that never expire."""
        return keyspace(self.link.info("keyspace"), lasting)

    def changed(self) -> set[bytes]:
        """Names of keys that have changed since this was last asked; raises StartOverError when more than keys have."""
        names = self._watch.take()
        if self._watch.flushed:
            raise StartOverError("a whole database of the source was emptied")
        return names

    def portions(self, database: int, keys: Sequence[bytes]) -> Iterator[list[bytes]]:
        """The keys in groups that can be read at once."""
        sizes = self.link.every([("MEMORY", "USAGE", key) for key in keys], database)
        for key, size in zip(keys, sizes, strict=True):
            if (size or 0) > VALUE_BYTES:
                raise RefusedError(
                    f"{key!r} in database {database} takes {size // MIB} MiB, and at most {VALUE_BYTES // MIB} can be copied in one: "
                    "split it, or delete it"
                )
        return grouped(keys, sizes)

    def hold_writes(self, seconds: int) -> None:
        """Lets the clients' writes wait for so long."""
        self.link.call("CLIENT", "PAUSE", seconds * 1000, "WRITE")

    def release_writes(self) -> None:
        """Lets writes go on."""
        # When this connection is lost another one may do; when there is none, a short hold ends by itself.
        with contextlib.suppress(*LOST, redis.ResponseError), Link(self.endpoint, self._name) as link:
            link.call("CLIENT", "UNPAUSE")

    def still_the_same(self) -> bool:
        """Whether its address leads to this server, a master, of which no databases were swapped, which nothing tells."""
        with Link(self.endpoint, self._name) as link:
            now = link.info()
        return now["run_id"] == self.info["run_id"] and now["role"] == "master" and self._count_swaps() == self._swaps

    def _count_swaps(self) -> str:
        return self.link.info("commandstats").get("cmdstat_swapdb", "")

    def _refuse(self, info: Mapping[str, str]) -> None:
        version = info.get("redis_version", "0")
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            raise RefusedError(
                f"{self.endpoint} is version {version}: writes can't be held before {'.'.join(map(str, OLDEST))}; upgrade it"
            )
        if info.get("cluster_enabled") == "1":
            raise RefusedError(f"{self.endpoint} is a node of a cluster, and only a single server or a master with replicas can be copied")
        if info.get("role") != "master":
            master = f"{info.get('master_host')}:{info.get('master_port')}"
            raise RefusedError(f"{self.endpoint} is a replica, whose clients write elsewhere: migrate_from must be its master, {master}")


def grouped(keys: Sequence[bytes], sizes: Sequence[int | None]) -> Iterator[list[bytes]]:
    """The keys in groups that can be read at once; a large one comes alone."""
    group, size = list[bytes](), 0
    for key, bytes_ in zip(keys, sizes, strict=True):
        if group and size + (bytes_ or 0) > READ_BYTES:
            yield group
            group, size = [], 0
        group.append(key)
        size += bytes_ or 0
    if group:
        yield group


def engine(info: Mapping[str, str]) -> str:
    """For people: engine and version."""
    return f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {info.get('redis_version')}"


def keyspace(info: Mapping[str, str], lasting: bool = False) -> dict[int, int]:
    """How many keys each of INFO's databases has, or how many that never expire."""
    found: dict[int, int] = {}
    for field, value in info.items():
        if field.startswith("db") and field[2:].isdigit():
            counts = dict(part.partition("=")[::2] for part in value.split(","))
            found[int(field[2:])] = int(counts["keys"]) - (int(counts["expires"]) if lasting else 0)
    return found
