"""The members of a group: how to reach each one's server and sentinel, and what they say."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError

from caches_runtime.ops.tls import speak_tls

SERVER_PORT = 6379
SENTINEL_PORT = 26379
USER = "system"
# A server that does not answer in this time can't take part in anything that is to take less than a second.
TIMEOUT_SECONDS = 0.5
# How much longer than most others a member may take, where somebody waits for it.
PATIENCE_SECONDS = 0.1

Result = TypeVar("Result")
# Everything that not answering can look like; redis-py lets some of the first kind through.
UNREACHABLE = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True)
class ServerState:
    """What a server says of its replication."""

    role: str
    """master or slave, as INFO has it."""
    offset: int
    """Bytes of the replication stream that it has."""
    master: str
    """Whom it follows, as a replica."""
    link_up: bool
    linked_once: bool
    """Whether, as a replica, it has followed a master since it started: else its data is what its volume held."""
    loading: bool
    stopping: bool
    eligible: bool = True
    """Whether Sentinel may choose it; as a replica, a server starts without that."""
    rewriting: bool = False
    """Whether the append-only file is made anew: after a full copy, a restart before its end would load what was there before."""
    uptime_seconds: int = 0
    keeps_writes: bool = True
    """Whether its append-only file took the last write: else, as a master, it refuses them."""
    stream: str = ""
    """The id of the replication stream that it writes or follows."""
    former_stream: str = ""
    """Which one it followed before it was promoted."""

    @property
    def is_master(self) -> bool:
        return self.role == "master"


@dataclass(frozen=True)
class SentinelView:
    """What a sentinel believes."""

    id: str
    master: str
    config_epoch: int


@dataclass(frozen=True)
class SentinelUse:
    """What a sentinel has used since it started."""

    cpu_seconds: float
    commands: int


class Member:
    """One pod of the group, known by the address of its own Service, which never changes, or by its name."""

    def __init__(self, ordinal: int, address: str, password: str, group: str, host: str | None = None, ca_file: Path | None = None) -> None:
        """`host` is where it is reached when that is another address than what the group knows it by, as from within its pod.

        With `ca_file` it speaks TLS.
        """
        self.ordinal = ordinal
        self.address = address
        self._group = group
        self.host = host or address
        self._password = password
        self._ca_file = ca_file
        self._server = _client(self.host, SERVER_PORT, password, ca_file)
        self._sentinel = _client(self.host, SENTINEL_PORT, password, ca_file)

    @property
    def pod(self) -> str:
        return f"{self._group}-{self.ordinal}"

    def __repr__(self) -> str:
        return self.pod

    async def server(self, *command: str | int) -> Any:
        """Runs a command on the server."""
        return await self._server.execute_command(*command)  # type: ignore[no-untyped-call]

    async def sentinel(self, *command: str | int) -> Any:
        """Runs a command on the sentinel."""
        return await self._sentinel.execute_command(*command)  # type: ignore[no-untyped-call]

    def line(self, timeout_seconds: float) -> Redis:
        """A further connection to the server, with another patience."""
        return _client(self.host, SERVER_PORT, self._password, self._ca_file, timeout_seconds)

    async def news(self, seconds: float) -> AsyncIterator[bool]:
        """True when the sentinel has followed a new master, False when it has not for so many seconds. Raises one of UNREACHABLE."""
        async with self._sentinel.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe("+switch-master")
            while True:
                yield await channel.get_message(timeout=seconds) is not None

    async def state(self) -> ServerState:
        """Raises one of UNREACHABLE."""
        return parse_info(await self.server("INFO"))

    async def view(self) -> SentinelView:
        """Raises one of UNREACHABLE, also when the sentinel does not know the group."""
        fields = await self.sentinel("SENTINEL", "MASTER", self._group)
        described = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
        return SentinelView(await self.sentinel("SENTINEL", "MYID"), described["ip"], int(described["config-epoch"]))

    async def sentinel_use(self) -> SentinelUse:
        """Raises one of UNREACHABLE."""
        fields = _fields(await self.sentinel("INFO", "everything"))
        return SentinelUse(float(fields["used_cpu_user"]) + float(fields["used_cpu_sys"]), int(fields["total_commands_processed"]))

    async def connect_sentinel_anew(self) -> None:
        """Lets the sentinel drop its connections to all servers and sentinels, which it then makes again. Raises one of UNREACHABLE."""
        # It does so when it is told whom to log in as, also when that is nothing new.
        await self.sentinel("SENTINEL", "SET", self._group, "auth-user", USER)
        await self.sentinel("SENTINEL", "CONFIG", "SET", "sentinel-user", USER)

    async def end_sentinel(self) -> None:
        """Ends the sentinel, which Kubernetes starts again. Raises one of UNREACHABLE, or nothing when it has ended."""
        with contextlib.suppress(ConnectionError):
            await self.sentinel("SHUTDOWN", "NOSAVE")

    async def is_refused(self) -> bool:
        """Whether nobody listens on the server's port. Asked from within the pod, that means that the process has ended."""
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(self.host, SERVER_PORT), TIMEOUT_SECONDS)
        except ConnectionRefusedError:
            return True
        except (OSError, TimeoutError):
            return False
        writer.close()
        return False

    async def close(self) -> None:
        await self._server.aclose()
        await self._sentinel.aclose()


def parse_info(info: str) -> ServerState:
    """The fields of INFO that replication is decided by."""
    fields = _fields(info)
    is_master = fields["role"] == "master"
    return ServerState(
        role=fields["role"],
        offset=int(fields["master_repl_offset"] if is_master else fields["slave_repl_offset"]),
        master=fields.get("master_host", ""),
        link_up=fields.get("master_link_status") == "up",
        linked_once=is_master or fields.get("master_link_status") == "up" or int(fields.get("master_link_down_since_seconds", -1)) >= 0,
        loading=fields.get("loading") == "1",
        stopping=int(fields.get("shutdown_in_milliseconds", 0)) > 0,
        eligible=fields.get("slave_priority") != "0",
        rewriting="1" in (fields.get("aof_rewrite_in_progress"), fields.get("aof_rewrite_scheduled"))
        or fields.get("aof_last_bgrewrite_status") == "err",
        uptime_seconds=int(fields.get("uptime_in_seconds", 0)),
        keeps_writes=fields.get("aof_last_write_status") != "err",
        stream=fields.get("master_replid", ""),
        former_stream=fields.get("master_replid2", ""),
    )


def _fields(info: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


def majority(values: Iterable[str], total: int) -> str | None:
    """The value that more than half of all members gave, however many have answered."""
    most = Counter(values).most_common(1)
    return most[0][0] if most and most[0][1] > total // 2 else None


async def ask(
    members: Sequence[Member], question: Callable[[Member], Awaitable[Result]], patience: float | None = None
) -> dict[Member, Result]:
    """The answers of those that answered, asked at the same time.

    With a patience, whoever takes so many seconds longer than more than half of them is not waited for.
    """

    async def answer(member: Member) -> Result | None:
        try:
            return await question(member)
        except UNREACHABLE:
            return None

    asked = {member: asyncio.create_task(answer(member)) for member in members}
    waiting, timeout = set(asked.values()), None
    while waiting:
        done, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        answered = sum(task.done() and task.result() is not None for task in asked.values())
        timeout = patience if answered > len(members) // 2 else None
    for task in waiting:
        task.cancel()
    return {member: given for member, task in asked.items() if task not in waiting and (given := task.result()) is not None}


def _client(host: str, port: int, password: str, ca_file: Path | None, timeout_seconds: float = TIMEOUT_SECONDS) -> Redis:
    client = Redis(
        host=host,
        port=port,
        username=USER,
        password=password,
        decode_responses=True,
        protocol=2,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,  # else it sends commands of its own, which this user may not
    )
    speak_tls(client, ca_file)
    # Replies as the server gives them.
    client.response_callbacks.clear()
    return client
