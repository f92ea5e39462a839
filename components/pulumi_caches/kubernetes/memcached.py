"""The Memcached server inside a pod: how much memory, how many connections, which items. Arguments become `Memcached`, plain data."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NotRequired, TypedDict

import pulumi

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.memcached_options import read_extra_options
from pulumi_caches.kubernetes.server import MEMORY_GIB_MAXIMUM, MEMORY_GIB_MINIMUM, MIB_PER_GIB, read_cpu, read_image


class MemcachedAuth(StrEnum):
    """Who may use a Memcached server."""

    PASSWORD = "password"
    """Who logs in with the text protocol's authentication (memcached -Y)."""
    NONE = "none"
    """Whoever reaches the port."""


# The official image, Debian-based: the scripts need its bash.
DEFAULT_IMAGE = "docker.io/library/memcached:1.6.38"
MEMCACHED_PORT = 11211
# With TLS, where the probes ask: the image has no client that speaks it. Only the pod itself can connect there.
LOOPBACK_PORT = 11212
# What the server doesn't count: the hash table (8 bytes for each two thirds of an item), connections, threads.
ITEM_MEMORY_SHARE = 0.75
ITEM_MEMORY_SHARE_MAXIMUM = 0.9
# And never less than this: measured 12 MiB with half a million small items and 900 connections, and the probes run beside it.
FREE_MIB_MINIMUM = 24
THREADS = 4
ITEM_STEP_MIB = 0.5
# Items on disk are written through buffers of 4 MiB, and an item must fit in one.
EXTSTORE_ITEM_MIB = 4
# A file system keeps some of a volume for itself.
EXTSTORE_SHARE = 0.9
DATA_FOLDER = "/data"
# A server that will keep its items takes a page for each size in advance; there are at most 63 of them.
WARM_ITEM_MEMORY_MIB_MINIMUM = 64


_TLS_OPTIONS = [
    "--enable-ssl",
    f"--listen=*,notls:127.0.0.1:{LOOPBACK_PORT}",
    "--extended=ssl_chain_cert=/run/cache/tls.crt,ssl_key=/run/cache/tls.key",
]


class MemcachedArgs(TypedDict):
    """Arguments of everything that runs a Memcached server."""

    image: NotRequired[pulumi.Input[str]]
    """Container image with an exact tag or digest, Debian-based. Default: the official image."""
    image_pull_secrets: NotRequired[list[str]]
    """Names of Secrets for a private registry. Default: none."""
    memory_gib: NotRequired[float]
    """Memory request and limit of each server in GiB, at least 0.0625. Default: 1."""
    cpu_request: NotRequired[float]
    """CPU request of each server in cores. Default: 0.25."""
    cpu_limit: NotRequired[float]
    """CPU limit of each server in cores. Default: none, because throttling shows as latency."""
    item_memory_mib: NotRequired[int]
    """Memory for items in MiB (memcached -m), at most 90 % of memory_gib and 24 less than it. Default: 75 % of memory_gib, or 24 less."""
    max_item_size_mib: NotRequired[float]
    """Largest item in MiB (-I), in steps of 0.5, at most half of item_memory_mib. Default: 1."""
    threads: NotRequired[int]
    """Worker threads (-t), 1 to 64, at most the cores of cpu_limit. Default: 4, or the cores of cpu_limit where there are fewer."""
    max_connections: NotRequired[int]
    """Connections at the same time (-c), 512 to 1000000. Default: 1024."""
    growth_factor: NotRequired[float]
    """Ratio between the sizes that items are rounded up to (-f), 1.01 to 10. Default: 1.25."""
    min_chunk_bytes: NotRequired[int]
    """Least space for key, value and flags in bytes (-n), 1 to 65536. Default: 48."""
    evictions: NotRequired[bool]
    """Whether the least recently used items make room when memory is full; false is an error instead (-M). Default: true."""
    extra_options: NotRequired[list[str]]
    """Extended options (-o), each NAME or NAME=VALUE, for what has no argument. Default: none."""
    extstore_gib: NotRequired[int]
    """Volume of each server in GiB for the values that memory has no room for (extstore); empty after a restart. Default: none."""
    storage_class: NotRequired[pulumi.Input[str]]
    """StorageClass of these volumes. Default: the cluster's default."""
    warm_restart: NotRequired[bool]
    """Whether items outlive a restart of the server in its pod, in a file in memory (-e); not with extstore_gib. Default: false."""
    auth: NotRequired[MemcachedAuth]
    """password (text protocol only) or none. Default: password."""


@dataclass(frozen=True)
class Memcached:
    """A checked server; sizes in MiB, CPU in cores."""

    image: pulumi.Input[str]
    image_pull_secrets: tuple[str, ...]
    memory_mib: int
    cpu_request: float
    cpu_limit: float | None
    item_memory_mib: int
    max_item_size_mib: float
    threads: int
    max_connections: int
    growth_factor: float
    min_chunk_bytes: int
    evictions: bool
    extra_options: tuple[str, ...]
    extstore_gib: int | None
    storage_class: pulumi.Input[str] | None
    warm_restart: bool
    auth: MemcachedAuth
    tls: bool

    def command_line(self) -> list[str]:
        """The server's arguments. Nothing secret is among them: the logins are in a file that start.sh writes."""
        return [
            f"--port={MEMCACHED_PORT}",
            f"--memory-limit={self.item_memory_mib}",
            f"--max-item-size={int(self.max_item_size_mib * MIB_PER_GIB)}k",
            f"--threads={self.threads}",
            f"--conn-limit={self.max_connections}",
            f"--slab-growth-factor={self.growth_factor:g}",
            f"--slab-min-size={self.min_chunk_bytes}",
            *([] if self.evictions else ["--disable-evictions"]),
            *(["--auth-file=/run/cache/logins"] if self.auth is MemcachedAuth.PASSWORD else []),
            *([f"--extended=ext_path={DATA_FOLDER}/extstore:{self._extstore_mib()}m"] if self.extstore_gib else []),
            *([f"--memory-file={DATA_FOLDER}/items"] if self.warm_restart else []),
            *(_TLS_OPTIONS if self.tls else []),
            *(f"--extended={option}" for option in self.extra_options),
        ]

    def _extstore_mib(self) -> int:
        return int((self.extstore_gib or 0) * MIB_PER_GIB * EXTSTORE_SHARE)


def read_memcached(arguments: Arguments) -> Memcached:
    """Reads and checks MemcachedArgs."""
    memory_mib = int(MIB_PER_GIB * arguments.number("memory_gib", 1, MEMORY_GIB_MINIMUM, MEMORY_GIB_MAXIMUM))
    cpu_request, cpu_limit = read_cpu(arguments)
    item_memory_mib = _read_item_memory(arguments, memory_mib)
    max_item_size_mib = _read_max_item_size(arguments, item_memory_mib)
    return Memcached(
        image=read_image(arguments, "image", DEFAULT_IMAGE),
        image_pull_secrets=tuple(arguments.texts("image_pull_secrets", [])),
        memory_mib=memory_mib,
        cpu_request=cpu_request,
        cpu_limit=cpu_limit,
        item_memory_mib=item_memory_mib,
        max_item_size_mib=max_item_size_mib,
        threads=_read_threads(arguments, cpu_limit),
        # The server takes as many file descriptors as this; its threads alone need up to 400 of them.
        max_connections=arguments.whole("max_connections", 1024, 512, 1_000_000),
        growth_factor=arguments.number("growth_factor", 1.25, 1.01, 10),
        min_chunk_bytes=arguments.whole("min_chunk_bytes", 48, 1, 65_536),
        evictions=arguments.flag("evictions", True),
        extra_options=read_extra_options(arguments, memory_mib - item_memory_mib),
        extstore_gib=_read_extstore(arguments, max_item_size_mib),
        storage_class=arguments.value("storage_class", None),
        warm_restart=_read_warm_restart(arguments, item_memory_mib),
        auth=_read_auth(arguments),
        tls=arguments.given("tls_secret_name") or bool(arguments.value("tls_generated", False)),
    )


def _read_item_memory(arguments: Arguments, memory_mib: int) -> int:
    at_most = memory_mib - FREE_MIB_MINIMUM
    maximum = min(int(memory_mib * ITEM_MEMORY_SHARE_MAXIMUM), at_most)
    default = min(int(memory_mib * ITEM_MEMORY_SHARE), at_most)
    item_memory = arguments.whole("item_memory_mib", default, 8, MEMORY_GIB_MAXIMUM * MIB_PER_GIB)
    if item_memory > maximum:
        limit = f"the memory limit is {memory_mib} MiB"
        advice = f"give at most {maximum}, or more memory_gib"
        arguments.refuse("item_memory_mib", f"{limit}, of which the hash table, connections and probes need some: {advice}")
    return item_memory


def _read_max_item_size(arguments: Arguments, item_memory_mib: int) -> float:
    size = arguments.number("max_item_size_mib", 1, ITEM_STEP_MIB, 1024)
    if size % ITEM_STEP_MIB:
        arguments.refuse("max_item_size_mib", f"must be a multiple of {ITEM_STEP_MIB:g}: larger items are kept in pieces of that size")
    if size > item_memory_mib / 2:
        arguments.refuse("max_item_size_mib", f"is more than half of item_memory_mib, {item_memory_mib}: the server would not start")
    return size


def _read_threads(arguments: Arguments, cpu_limit: float | None) -> int:
    cores = max(1, int(cpu_limit)) if cpu_limit is not None else 64
    threads = arguments.whole("threads", min(THREADS, cores), 1, 64)
    if threads > cores:
        arguments.refuse("threads", f"more than the cores of cpu_limit, {cpu_limit:g}: they would only wait for each other")
    return threads


def _read_extstore(arguments: Arguments, max_item_size_mib: float) -> int | None:
    if not arguments.given("extstore_gib"):
        if arguments.given("storage_class"):
            arguments.refuse("storage_class", "there is no volume without extstore_gib")
        return None
    if max_item_size_mib > EXTSTORE_ITEM_MIB:
        arguments.refuse(
            "extstore_gib", f"on disk an item has at most {EXTSTORE_ITEM_MIB} MiB, and max_item_size_mib is {max_item_size_mib:g}"
        )
    return arguments.whole("extstore_gib", 1, 1, 16_384)


def _read_warm_restart(arguments: Arguments, item_memory_mib: int) -> bool:
    warm_restart = arguments.flag("warm_restart", False)
    if warm_restart and arguments.given("extstore_gib"):
        arguments.refuse("warm_restart", "can't be combined with extstore_gib: the server would start empty all the same")
    if warm_restart and item_memory_mib < WARM_ITEM_MEMORY_MIB_MINIMUM:
        limit = f"needs {WARM_ITEM_MEMORY_MIB_MINIMUM} MiB for items, one for each size that they are rounded up to"
        arguments.refuse("warm_restart", f"{limit}, and there are {item_memory_mib}: give more memory_gib")
    return warm_restart


def _read_auth(arguments: Arguments) -> MemcachedAuth:
    if arguments.value("auth", None) == "sasl":
        problem = "SASL needs the binary protocol, which Memcached calls deprecated, and one password at a time"
        arguments.refuse("auth", f"{problem}: use password, or none and a network policy that says who reaches the port")
        return MemcachedAuth.PASSWORD
    return arguments.choice("auth", MemcachedAuth.PASSWORD)
