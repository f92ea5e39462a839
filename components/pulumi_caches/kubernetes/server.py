"""The Redis or Valkey server inside a pod: which one, how much memory, what is kept, how it is tuned.

Arguments become `Server`, plain data; redis_conf.py turns that into the configuration file.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NotRequired, TypedDict, cast

import pulumi

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.extra_config import read_extra_config
from pulumi_caches.purpose import EvictionPolicy, Persistence, Purpose, read_purpose


class Engine(StrEnum):
    """Which server runs."""

    REDIS = "redis"
    VALKEY = "valkey"


class AofFsync(StrEnum):
    """When the append-only file is forced to disk."""

    ALWAYS = "always"
    EVERYSEC = "everysec"
    NO = "no"


# Official images, at versions whose configuration files this package renders.
DEFAULT_IMAGES = {
    Engine.REDIS: "docker.io/library/redis:8.0.2",
    Engine.VALKEY: "docker.io/valkey/valkey:8.1.1",
}
# What runs beside servers, built from runtime/ (docs/runtime-image.md).
RUNTIME_IMAGE = "docker.io/pulumicaches/caches-runtime:0.1.0"
PORT = 6379
MIB_PER_GIB = 1024

# An empty server takes about 10 MiB; with client buffers and a fork 64 MiB is the least that survives.
MEMORY_GIB_MINIMUM = 0.0625
MEMORY_GIB_MAXIMUM = 1024
# A quarter stays free for copy-on-write while forking and for client and replication buffers: ElastiCache's default
# reserved-memory-percent is 25 too.
MAXMEMORY_SHARE = 0.75
MAXMEMORY_SHARE_MAXIMUM = 0.9


class ServerArgs(TypedDict):
    """Arguments of everything that runs a Redis or Valkey server."""

    engine: NotRequired[Engine]
    """redis or valkey. Can't change once there is data. Default: redis."""
    image: NotRequired[pulumi.Input[str]]
    """Container image with an exact tag or digest. Default: the engine's official image."""
    image_pull_secrets: NotRequired[list[str]]
    """Names of Secrets for a private registry. Default: none."""
    memory_gib: NotRequired[float]
    """Memory request and limit of each server in GiB, at least 0.0625. Default: 1."""
    cpu_request: NotRequired[float]
    """CPU request of each server in cores. Default: 0.25."""
    cpu_limit: NotRequired[float]
    """CPU limit of each server in cores. Default: none, because throttling shows as latency."""
    maxmemory_mib: NotRequired[int]
    """Memory for data in MiB, at most 90 % of memory_gib. Default: 75 % of memory_gib."""
    purpose: NotRequired[Purpose]
    """cache, session or queue: chooses maxmemory_policy and persistence where they are not given. Default: none, nothing is lost."""
    maxmemory_policy: NotRequired[EvictionPolicy]
    """What to remove when maxmemory is reached. Default: noeviction (writes fail); purpose cache allkeys-lru, session volatile-lru."""
    maxmemory_samples: NotRequired[int]
    """Keys looked at for an eviction, 1 to 64. Default: 5."""
    persistence: NotRequired[Persistence]
    """none, rdb, aof or aof+rdb. Can't change between rdb and the other two once there is data. Default: aof; purpose cache rdb."""
    aof_fsync: NotRequired[AofFsync]
    """always, everysec or no. Default: everysec."""
    rdb_save_points: NotRequired[list[str]]
    """When to snapshot, each "SECONDS CHANGES". Default: ["3600 1", "300 100", "60 10000"]."""
    io_threads: NotRequired[int]
    """Threads for network input and output, 1 to 128, at most the cores of cpu_limit. Default: 1."""
    hz: NotRequired[int]
    """Background task frequency per second, 1 to 500. Default: 10."""
    max_clients: NotRequired[int]
    """Connections at the same time, 1 to 1000000. Default: 10000."""
    idle_timeout_seconds: NotRequired[int]
    """Closes clients idle for longer; 0 is never. Default: 0."""
    tcp_keepalive_seconds: NotRequired[int]
    """Interval of TCP keepalive probes; 0 is off. Default: 300."""
    tcp_backlog: NotRequired[int]
    """Length of the accept queue, 1 to 65535; the kernel's somaxconn caps it. Default: 511."""
    databases: NotRequired[int]
    """Number of databases, 1 to 10000. Default: 16."""
    lazyfree: NotRequired[bool]
    """Frees memory of evicted, expired and deleted keys in the background. Default: true."""
    active_defrag: NotRequired[bool]
    """Defragments while running; needs an image built with Redis' own jemalloc, as the official ones are. Default: false."""
    slowlog_slower_than_us: NotRequired[int]
    """Commands slower than this many microseconds are logged; -1 is off. Default: 10000."""
    latency_monitor_threshold_ms: NotRequired[int]
    """Events slower than this many milliseconds are kept for LATENCY; 0 is off. Default: 100."""
    notify_keyspace_events: NotRequired[str]
    """Keyspace event classes, letters of "KEg$lshzxetdmnA". Default: none."""
    extra_config: NotRequired[list[str]]
    """Lines added to the server's configuration, for what has no argument. Default: none."""


@dataclass(frozen=True)
class Server:
    """A checked server; sizes in MiB, CPU in cores."""

    engine: Engine
    image_pull_secrets: tuple[str, ...]
    memory_mib: int
    cpu_request: float
    cpu_limit: float | None
    maxmemory_mib: int
    purpose: Purpose | None
    maxmemory_policy: EvictionPolicy
    maxmemory_samples: int
    persistence: Persistence
    aof_fsync: AofFsync
    rdb_save_points: tuple[str, ...]
    io_threads: int
    hz: int
    max_clients: int
    idle_timeout_seconds: int
    tcp_keepalive_seconds: int
    tcp_backlog: int
    databases: int
    lazyfree: bool
    active_defrag: bool
    slowlog_slower_than_us: int
    latency_monitor_threshold_ms: int
    notify_keyspace_events: str
    extra_config: tuple[str, ...]

    @property
    def aof(self) -> bool:
        """Whether an append-only file is kept."""
        return self.persistence in (Persistence.AOF, Persistence.AOF_AND_RDB)

    @property
    def rdb(self) -> bool:
        """Whether snapshots are made at save points."""
        return self.persistence in (Persistence.RDB, Persistence.AOF_AND_RDB)

    @property
    def data_file(self) -> str:
        """What the server loads when it starts, in its data folder; empty without persistence."""
        return "appendonlydir" if self.aof else "dump.rdb" if self.rdb else ""

    @property
    def persistent(self) -> bool:
        """Whether the data outlives the pod."""
        return self.persistence is not Persistence.NONE


def read_server(arguments: Arguments) -> Server:
    """Reads and checks ServerArgs (but for `image`, see read_image)."""
    memory_mib = int(
        MIB_PER_GIB
        * arguments.number("memory_gib", 1, MEMORY_GIB_MINIMUM, MEMORY_GIB_MAXIMUM, "an empty server with its buffers takes 64 MiB")
    )
    cpu_request, cpu_limit = read_cpu(arguments)
    purpose, maxmemory_policy, persistence = read_purpose(arguments)
    server = Server(
        engine=arguments.choice("engine", Engine.REDIS),
        image_pull_secrets=tuple(arguments.texts("image_pull_secrets", [])),
        memory_mib=memory_mib,
        cpu_request=cpu_request,
        cpu_limit=cpu_limit,
        maxmemory_mib=_read_maxmemory(arguments, memory_mib),
        purpose=purpose,
        maxmemory_policy=maxmemory_policy,
        maxmemory_samples=arguments.whole("maxmemory_samples", 5, 1, 64),
        persistence=persistence,
        aof_fsync=arguments.choice("aof_fsync", AofFsync.EVERYSEC),
        rdb_save_points=_read_save_points(arguments),
        io_threads=arguments.whole("io_threads", 1, 1, 128),
        hz=arguments.whole("hz", 10, 1, 500),
        max_clients=arguments.whole("max_clients", 10_000, 1, 1_000_000),
        idle_timeout_seconds=arguments.whole("idle_timeout_seconds", 0, 0, 2**31 - 1),
        tcp_keepalive_seconds=arguments.whole("tcp_keepalive_seconds", 300, 0, 2**31 - 1),
        tcp_backlog=arguments.whole("tcp_backlog", 511, 1, 65_535),
        databases=arguments.whole("databases", 16, 1, 10_000),
        lazyfree=arguments.flag("lazyfree", True),
        active_defrag=arguments.flag("active_defrag", False),
        slowlog_slower_than_us=arguments.whole("slowlog_slower_than_us", 10_000, -1, 2**31 - 1),
        latency_monitor_threshold_ms=arguments.whole("latency_monitor_threshold_ms", 100, 0, 2**31 - 1),
        notify_keyspace_events=arguments.text(
            "notify_keyspace_events", "", re.compile("[KEg$lshzxetdmnA]+"), 'must be letters of "KEg$lshzxetdmnA"'
        ),
        extra_config=read_extra_config(arguments),
    )
    _refuse_contradictions(arguments, server)
    return server


def read_image(arguments: Arguments, key: str, default: str) -> pulumi.Input[str]:
    """The image to run; a plain one must say exactly which version."""
    given = arguments.value(key, default)
    if isinstance(given, str) and "@sha256:" not in given:
        tag = given.rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            arguments.refuse(key, f"needs an exact tag or a digest, such as {default}: what runs must not change by itself")
    return cast("pulumi.Input[str]", given)


def _read_maxmemory(arguments: Arguments, memory_mib: int) -> int:
    maximum = int(memory_mib * MAXMEMORY_SHARE_MAXIMUM)
    default = int(memory_mib * MAXMEMORY_SHARE)
    maxmemory = arguments.whole("maxmemory_mib", default, 1, MEMORY_GIB_MAXIMUM * MIB_PER_GIB)
    if maxmemory > maximum:
        limit = f"the memory limit is {memory_mib} MiB"
        advice = f"give at most {maximum}, or more memory_gib"
        arguments.refuse("maxmemory_mib", f"{limit} and a tenth must stay free for buffers and forks: {advice}")
    return maxmemory


def _read_save_points(arguments: Arguments) -> tuple[str, ...]:
    points = arguments.texts("rdb_save_points", ["3600 1", "300 100", "60 10000"])
    for point in points:
        if not re.fullmatch(r"[1-9][0-9]* [1-9][0-9]*", point):
            arguments.refuse("rdb_save_points", f'{point!r} is not "SECONDS CHANGES", such as "300 100"')
    return tuple(points)


def read_cpu(arguments: Arguments) -> tuple[float, float | None]:
    """CPU request and limit in cores."""
    request = arguments.number("cpu_request", 0.25, 0.01, 256)
    limit = arguments.number("cpu_limit", request, 0.01, 256) if arguments.given("cpu_limit") else None
    if limit is not None and limit < request:
        arguments.refuse("cpu_limit", f"is below cpu_request, {request:g}")
    return request, limit


def _refuse_contradictions(arguments: Arguments, server: Server) -> None:
    if arguments.given("aof_fsync") and not server.aof:
        arguments.refuse("aof_fsync", f"there is no append-only file with persistence {server.persistence.value}")
    if arguments.given("rdb_save_points") and not server.rdb:
        arguments.refuse("rdb_save_points", f"there are no snapshots with persistence {server.persistence.value}")
    if server.rdb and not server.rdb_save_points:
        arguments.refuse("rdb_save_points", f"persistence {server.persistence.value} needs at least one")
    if server.cpu_limit is not None and server.io_threads > max(1, server.cpu_limit):
        arguments.refuse("io_threads", f"more than the cores of cpu_limit, {server.cpu_limit:g}: they would only wait for each other")
