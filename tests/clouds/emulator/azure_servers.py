"""Real Redis servers with TLS, each on a loopback address of its own, so that they have the ports that Azure's have."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from certificates import Certified
from common.waiting import until
from embedded import rootfs

ENTERPRISE_PORT = 10_000
CLASSIC_PORT = 6380
_ADMIN = "emulator"
# Of the shards behind the first, in the range that Azure uses.
_SHARD_PORT = 8500
_SECONDS = 30


@dataclass(frozen=True)
class Place:
    """Where a cache serves, and where its files are."""

    folder: Path
    address: str
    port: int
    tls: bool
    admin_password: str


def address_of(cache_id: str) -> str:
    """A loopback address for a cache. All of 127.0.0.0/8 is this machine."""
    number = int.from_bytes(hashlib.sha256(cache_id.lower().encode()).digest()[:3]) | 1 << 23
    return f"127.{number >> 16}.{number >> 8 & 255}.{number & 255 or 1}"


def start(place: Place, certified: Certified, *, shards: int, settings: dict[str, str]) -> list[int]:
    """Starts the servers of a cache, a cluster with more than one shard, and returns their processes."""
    place.folder.mkdir(parents=True, exist_ok=True)
    for name, content in certified.files().items():
        (place.folder / name).write_text(content)
    ports = _ports(place, shards)
    processes = [_start(place, port, clustered=shards > 0, settings=settings) for port in ports]
    clients = [admin(place, port) for port in ports]
    if shards > 0:
        _join(place, clients, ports)
    for client in clients:
        client.close()
    return processes


def _ports(place: Place, shards: int) -> list[int]:
    return [place.port, *(_SHARD_PORT + number for number in range(1, shards))]


def _start(place: Place, port: int, *, clustered: bool, settings: dict[str, str]) -> int:
    folder = place.folder
    tls = {
        "port": "0",
        "tls-port": str(port),
        "tls-cert-file": str(folder / "tls.crt"),
        "tls-key-file": str(folder / "tls.key"),
        "tls-ca-cert-file": str(folder / "ca.crt"),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
        "tls-protocols": '"TLSv1.2 TLSv1.3"',
    }
    configuration = {
        "bind": place.address,
        "dir": str(folder),
        "save": '""',
        "protected-mode": "no",
        "logfile": str(folder / f"{port}.log"),
        **(tls if place.tls else {"port": str(port)}),
        **settings,
        f"user {_ADMIN}": f"on >{place.admin_password} ~* &* +@all",
    }
    if clustered:
        configuration |= {"cluster-enabled": "yes", "cluster-config-file": f"nodes-{port}.conf", "cluster-port": str(port + 10_000)}
        configuration |= {"cluster-announce-ip": place.address, **({"tls-cluster": "yes"} if place.tls else {})}
    file = folder / f"{port}.conf"
    file.write_text("".join(f"{key} {value}\n" for key, value in configuration.items()))
    # A session of its own: it outlives the plugin, as a cache does.
    process = subprocess.Popen([*_redis_server(), str(file)], stdin=subprocess.DEVNULL, start_new_session=True)
    client = admin(place, port)
    answers = until(lambda: process.poll() is not None or _answers(client), _SECONDS, every=0.02)
    client.close()
    if not answers or process.poll() is not None:
        stop([process.pid])
        raise RuntimeError(f"a server on {place.address}:{port} did not start: {(folder / f'{port}.log').read_text()}")
    return process.pid


def _redis_server() -> list[str]:
    """The Debian's, by its own loader, so that it sees this machine's files."""
    root = rootfs.folder()
    return [
        str(root / "lib64/ld-linux-x86-64.so.2"),
        "--library-path",
        str(root / "usr/lib/x86_64-linux-gnu"),
        str(root / "usr/bin/redis-server"),
    ]


def _join(place: Place, clients: list[redis.Redis], ports: list[int]) -> None:
    slots = 16_384
    for number, client in enumerate(clients):
        first, last = slots * number // len(clients), slots * (number + 1) // len(clients) - 1
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    for port in ports[1:]:
        clients[0].execute_command("CLUSTER", "MEET", place.address, str(port), str(port + 10_000))

    def joined() -> bool:
        return all(client.cluster("INFO")["cluster_state"] == "ok" for client in clients)

    assert until(joined, _SECONDS, every=0.05), f"the cluster on {place.address} did not form"


def admin(place: Place, port: int) -> redis.Redis:
    """A client of the emulator's own user."""
    trust: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(place.folder / "ca.crt")} if place.tls else {}
    return redis.Redis(place.address, port, username=_ADMIN, password=place.admin_password, protocol=2, decode_responses=True, **trust)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def set_users(place: Place, shards: int, key: str | None, users: Iterable[tuple[str, str]]) -> None:
    """The default user, who has an access key or is off, and users of Entra with their ACL rules; others are removed.

    An Entra token's signature can't be checked here: whose it says to be is.
    """
    wanted = {"default": ["on", f">{key}", "~*", "&*", "+@all"] if key else ["off"]}
    wanted |= {user: ["on", "nopass", *rules.split()] for user, rules in users}
    for port in _ports(place, shards):
        client = admin(place, port)
        for user in set(client.execute_command("ACL", "USERS")) - set(wanted) - {_ADMIN}:
            client.execute_command("ACL", "DELUSER", user)
        for user, rules in wanted.items():
            client.execute_command("ACL", "SETUSER", user, "reset", *rules)
        client.close()


def configure(place: Place, shards: int, settings: dict[str, str]) -> None:
    """Changes settings of servers that run."""
    for port in _ports(place, shards):
        client = admin(place, port)
        for key, value in settings.items():
            client.config_set(key, value)
        client.close()


def follow(place: Place, other: Place | None) -> None:
    """Makes a server a replica of another one, or of none."""
    client = admin(place, place.port)
    if other is None:
        client.replicaof("NO", "ONE")  # type: ignore[no-untyped-call]
    else:
        # Any authority of the emulator's.
        client.config_set("tls-ca-cert-file", str(place.folder.parent / "authorities.pem"))
        client.config_set("masteruser", _ADMIN)
        client.config_set("masterauth", other.admin_password)
        client.replicaof(other.address, str(other.port))  # type: ignore[no-untyped-call]
        assert until(lambda: client.info("replication")["master_link_status"] == "up", _SECONDS, every=0.05), "the link did not come up"
    client.close()


def stop(processes: Iterable[int]) -> None:
    """Ends servers."""
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
        until(lambda gone=process: not _runs(gone), _SECONDS, every=0.01)  # type: ignore[misc]


def _runs(process: int) -> bool:
    try:
        # One that nobody has waited for is as good as gone.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
