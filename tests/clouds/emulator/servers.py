"""Real servers of Redis, Valkey and Memcached, each cache on a loopback address of its own, with the ports that clouds have."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from certificates import Authority
from common import paths
from common.waiting import listens, until
from embedded import rootfs

ADMIN = "emulator"
MEMCACHED_PORT = 11211
# Of all certificates of a cloud, in its folder.
AUTHORITIES = "authorities.pem"
# Of a cluster's nodes behind the first.
_NODE_PORT = 8500
# Of a server behind the gate, above the port that clients know.
_BEHIND = 20_000
_SLOTS = 16_384
_SECONDS = 30
_SOURCES = {"PYTHONPATH": f"{paths.CHECKOUT / 'tests'}{os.pathsep}{paths.TOOLS}"}
_GATE = "clouds.emulator.gate"


@dataclass(frozen=True)
class Place:
    """Where a cache serves, and where its files are."""

    folder: Path
    address: str
    port: int
    tls: bool
    admin_password: str
    resource_type: str = field(kw_only=True)
    """Whose faults it has."""
    engine: str = "redis"
    shards: int = 0
    """Of a cluster; 0 without cluster mode."""
    replicas: int = 0
    """Of each shard of a cluster."""

    @property
    def ports(self) -> list[int]:
        """Of its servers, the masters first."""
        return [self.port, *(_NODE_PORT + number for number in range(1, self.shards * (1 + self.replicas)))]


@dataclass(frozen=True)
class User:
    """Who may log in, besides the default user."""

    name: str
    rules: str
    """Of the ACL, with passwords unless tokens take their place."""
    tokens: dict[str, Any] | None = None
    """The module that checks them, `by`, and what it wants."""


def address_of(cloud: Path, cache_id: str) -> str:
    """A loopback address for a cache, in each cloud another one. All of 127.0.0.0/8 is this machine."""
    number = int.from_bytes(hashlib.sha256(f"{cloud} {cache_id.lower()}".encode()).digest()[:3]) | 1 << 23
    return f"127.{number >> 16}.{number >> 8 & 255}.{number & 255 or 1}"


def start(place: Place, settings: dict[str, str]) -> list[int]:
    """Starts the servers of a cache and returns their processes. Their authority is in ca.crt of the place's folder."""
    _certify(place.folder.parent, place.address)
    processes = [*(_start(place, port, settings) for port in place.ports), _start_gate(place)]
    if place.shards:
        clients = [admin(place, port) for port in place.ports]
        _join(place, clients)
        for client in clients:
            client.close()
    return processes


def _certify(cloud: Path, address: str) -> Path:
    """Makes a certificate in the folder of an address, of an authority that is one of the cloud's, unless it has one."""
    folder = cloud / address
    if (folder / "tls.crt").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    certified = Authority().issue(f"IP:{address}", days=365)
    for name, content in certified.files().items():
        (folder / name).write_text(content)
    with (cloud / AUTHORITIES).open("a") as authorities:
        authorities.write(certified.authority_pem)
    return folder


def _start(place: Place, port: int, settings: dict[str, str]) -> int:
    folder = place.folder
    data = folder / str(port)
    data.mkdir(exist_ok=True)
    tls = {
        "port": "0",
        "tls-port": str(_BEHIND + port),
        "tls-cert-file": str(folder / "tls.crt"),
        "tls-key-file": str(folder / "tls.key"),
        "tls-ca-cert-file": str(folder / "ca.crt"),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
        "tls-protocols": '"TLSv1.2 TLSv1.3"',
    }
    configuration = {
        "bind": place.address,
        "dir": str(data),
        "save": '""',
        "protected-mode": "no",
        # Replicas begin at once.
        "repl-diskless-sync-delay": "0",
        "logfile": str(folder / f"{port}.log"),
        **(tls if place.tls else {"port": str(_BEHIND + port)}),
        "replica-announce-port": str(port),
        **settings,
        f"user {ADMIN}": f"on >{place.admin_password} ~* &* +@all",
    }
    if place.shards:
        configuration |= {"cluster-enabled": "yes", "cluster-config-file": f"nodes-{port}.conf", "cluster-port": str(port + 10_000)}
        configuration |= {"cluster-announce-ip": place.address, **({"tls-cluster": "yes"} if place.tls else {})}
        configuration |= {"cluster-announce-tls-port" if place.tls else "cluster-announce-port": str(port)}
        # A replica that has to connect again does that when the default user may be off.
        configuration |= {"masteruser": ADMIN, "masterauth": place.admin_password}
    file = folder / f"{port}.conf"
    file.write_text("".join(f"{key} {value}\n" for key, value in configuration.items()))
    client = admin(place, port)
    command = [*_program(f"{place.engine}-server"), str(file)]
    process = _run(command, f"a server on {place.address}:{port}", lambda: _answers(client), folder / f"{port}.log")
    client.close()
    return process


def _start_gate(place: Place) -> int:
    """Starts what stands in front of a cache's servers, on the ports that clients know."""
    ports = {port: _BEHIND + port for port in place.ports}
    login = {"resource_type": place.resource_type, "password": place.admin_password}
    _note(place.folder / "gate.json", {"address": place.address, "ports": ports, "tls": place.tls, **login})
    _note(place.folder / "logins.json", {})
    command = [sys.executable, "-m", _GATE, str(place.folder)]
    return _run(
        command,
        f"the gate of {place.address}",
        lambda: all(listens(place.address, port) for port in place.ports),
        place.folder / "gate.log",
    )


def start_memcached(cloud: Path, address: str, *, tls: bool) -> int:
    """Starts one server of Memcached, and returns its process."""
    command = [*_program("memcached"), "-u", "root", "-l", address, "-p", str(MEMCACHED_PORT), "-m", "64"]
    if tls:
        folder = _certify(cloud, address)
        command += ["-Z", "-o", f"ssl_chain_cert={folder / 'tls.crt'},ssl_key={folder / 'tls.key'}"]
    return _run(command, f"a Memcached on {address}", lambda: listens(address, MEMCACHED_PORT))


def _run(command: list[str], name: str, ready: Callable[[], bool], log: Path = Path(os.devnull)) -> int:
    """In a session of its own, and with none of the plugin's files: it outlives the plugin, as a cache does."""
    variables = {**os.environ, **_SOURCES}
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, env=variables)
    if not until(lambda: process.poll() is not None or ready(), _SECONDS, every=0.02) or process.poll() is not None:
        stop([process.pid])
        raise RuntimeError(f"{name} did not start: {log.read_text()}")
    return process.pid


def _program(name: str) -> list[str]:
    """The Debian's, by its own loader, so that it sees this machine's files."""
    root = rootfs.folder()
    return [
        str(root / "lib64/ld-linux-x86-64.so.2"),
        "--library-path",
        str(root / "usr/lib/x86_64-linux-gnu"),
        str(root / "usr/bin" / name),
    ]


def _join(place: Place, clients: list[redis.Redis]) -> None:
    for number, client in enumerate(clients):
        if number < place.shards:
            first, last = _SLOTS * number // place.shards, _SLOTS * (number + 1) // place.shards - 1
            call(client, "CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
        call(client, "CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
    for port in place.ports[1:]:
        call(clients[0], "CLUSTER", "MEET", place.address, str(port), str(port + 10_000))

    ids = [call(client, "CLUSTER", "MYID") for client in clients]

    def joined() -> bool:
        return all(each in call(client, "CLUSTER", "NODES") for client in clients for each in ids)

    assert until(joined, _SECONDS, every=0.05), f"the cluster on {place.address} did not form"
    for number, client in enumerate(clients[place.shards :]):
        call(client, "CLUSTER", "REPLICATE", ids[number % place.shards])
    healthy = until(lambda: all(client.cluster("INFO")["cluster_state"] == "ok" for client in clients), _SECONDS, every=0.05)
    assert healthy, f"the cluster on {place.address} does not serve"


def admin(place: Place, port: int) -> redis.Redis:
    """A client of the emulator's own user, past the gate."""
    trust: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(place.folder / "ca.crt")} if place.tls else {}
    login: dict[str, Any] = {"username": ADMIN, "password": place.admin_password}
    # Nobody waits for ever for one that hangs.
    return redis.Redis(place.address, _BEHIND + port, protocol=2, decode_responses=True, socket_timeout=_SECONDS, **login, **trust)


def call(client: redis.Redis, *words: str) -> Any:
    """Runs a command, word by word; for those that the client has no typed method for."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _note(file: Path, content: dict[Any, Any]) -> None:
    written = file.with_suffix(".written")
    written.touch(0o600)
    written.write_text(json.dumps(content))
    written.rename(file)


def set_users(place: Place, key: str | None, users: Iterable[User] = (), *, open_to_all: bool = False, only_read: bool = False) -> None:
    """The default user, who has a password, none or is off, and others; who was there before is removed."""
    everything = ["on", "~*", "&*", "+@all"]
    wanted = {"default": [*everything, f">{key}"] if key else [*everything, "nopass"] if open_to_all else ["off"]}
    users = list(users)
    # A password that only the gate gives, for a token that is good.
    wanted |= {user.name: ["on", *([f">{place.admin_password}"] if user.tokens else []), *user.rules.split()] for user in users}
    _note(place.folder / "logins.json", {user.name: user.tokens for user in users if user.tokens})
    for port in place.ports:
        client = admin(place, port)
        for user in set(call(client, "ACL", "USERS")) - set(wanted) - {ADMIN}:
            call(client, "ACL", "DELUSER", user)
        for user, rules in wanted.items():
            call(client, "ACL", "SETUSER", user, "reset", *rules, *(["-@write"] if only_read else []))
        client.close()


def configure(place: Place, settings: dict[str, str]) -> None:
    """Changes settings of servers that run."""
    for port in place.ports:
        client = admin(place, port)
        for key, value in settings.items():
            client.config_set(key, value)
        client.close()


def databases(place: Place) -> set[str]:
    """Those that have keys, such as db0."""
    found: set[str] = set()
    for port in place.ports[: place.shards or 1]:
        client = admin(place, port)
        found |= set(client.info("keyspace"))
        client.close()
    return found


def empty(place: Place) -> None:
    """Removes all keys."""
    for port in place.ports[: place.shards or 1]:
        client = admin(place, port)
        client.flushall()
        client.close()


def follow(place: Place, other: Place | None) -> None:
    """Makes a server a replica of another one, or of none."""
    client = admin(place, place.port)
    if other is None:
        client.replicaof("NO", "ONE")
    else:
        # Any authority of the emulator's.
        client.config_set("tls-ca-cert-file", str(place.folder.parent / AUTHORITIES))
        client.config_set("masteruser", ADMIN)
        client.config_set("masterauth", other.admin_password)
        client.replicaof(other.address, str(_BEHIND + other.port))
        assert until(lambda: client.info("replication")["master_link_status"] == "up", _SECONDS, every=0.05), "the link did not come up"
    client.close()


def run(processes: Iterable[int]) -> bool:
    """Whether all of these servers run."""
    return all(map(_runs, processes))


def hang(processes: Iterable[int]) -> None:
    """Has servers answer nothing; what connects to them waits."""
    _signal(processes, signal.SIGSTOP)


def resume(processes: Iterable[int]) -> None:
    """Has hung servers go on."""
    _signal(processes, signal.SIGCONT)


def _signal(processes: Iterable[int], number: int) -> None:
    for process in processes:
        if _runs(process):
            os.kill(process, number)


def stop(processes: Iterable[int]) -> None:
    """Ends servers."""
    for process in processes:
        _signal([process], signal.SIGKILL)
        until(lambda gone=process: not _runs(gone), _SECONDS, every=0.01)  # type: ignore[misc]


def _runs(process: int) -> bool:
    """Whether the process is one of ours: after this machine was started again, another one may have its number."""
    try:
        if Path(os.readlink(f"/proc/{process}/exe")).name.startswith("ld-linux"):
            return True
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        return b"\0replicate\0run\0" in command or _GATE.encode() in command
    except (FileNotFoundError, ProcessLookupError):
        # Also one that nobody has waited for, which is as good as gone.
        return False
