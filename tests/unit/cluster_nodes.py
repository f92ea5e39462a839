"""A cluster's nodes as real server processes on loopback addresses of their own: what the repair meets, without pods."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from caches_runtime.ops.cluster import Repair
from caches_runtime.ops.cluster_state import Hosts, Place, Wanted
from certificates import Certified
from common.waiting import until
from redis.backoff import NoBackoff
from redis.retry import Retry
from unit.servers import Programs, call, find_programs

PASSWORD = "the-system-password"
CONFIG = """
bind {host}
port 6379
protected-mode no
dir {folder}
appendonly yes
repl-diskless-sync-delay 0
cluster-enabled yes
cluster-node-timeout 1000
cluster-allow-replica-migration no
cluster-require-full-coverage no
cluster-announce-ip {host}
cluster-announce-hostname {host}
user default on nopass ~* &* +@all
user system on >{password} ~* -@all {rights}
masteruser system
masterauth {password}
"""
TLS = """
port 0
tls-port 6379
tls-replication yes
tls-cluster yes
tls-auth-clients no
tls-cert-file {folder}/tls.crt
tls-key-file {folder}/tls.key
tls-ca-cert-file {folder}/ca.crt
"""
# The Debian is the root; its folder for mounts holds the node's data.
START = 'mount --bind "$2" "$1/mnt" && exec chroot "$1" setpriv --pdeathsig=KILL "$3-server" /mnt/server.conf'


class Nodes:
    """Processes by place, and the repair of what they make."""

    def __init__(self, programs: Programs, folder: Path, rights: str, certificate: Certified | None) -> None:
        self.programs = programs
        self.folder = folder
        self.rights = rights
        # Of its own among all that runs on this machine.
        network = f"127.{random.randint(2, 254)}"  # noqa: S311
        self.hosts = Hosts(network + ".{shard}.{ordinal}")
        self.said: list[str] = []
        self._certificate = certificate
        self.ca_file: Path | None = None
        self._trust: dict[str, Any] = {}
        if certificate:
            self.ca_file = folder / "ca.crt"
            self.ca_file.write_text(certificate.authority_pem)
            self._trust = {"ssl": True, "ssl_ca_data": certificate.authority_pem, "ssl_check_hostname": False}
        self._running: dict[Place, subprocess.Popen[bytes]] = {}

    def start(self, *places: Place) -> None:
        """Starts nodes, with the data that they have."""
        for place in places:
            folder = self._data(place)
            folder.mkdir(exist_ok=True)
            seen_by_server = folder if self.programs.root is None else Path("/mnt")
            text = CONFIG.format(host=self.hosts.of(place), folder=seen_by_server, password=PASSWORD, rights=self.rights)
            if self._certificate:
                text += TLS.format(folder=seen_by_server)
                for name, content in self._certificate.files().items():
                    (folder / name).write_text(content)
            (folder / "server.conf").write_text(text)
            command = [f"{self.programs.engine}-server", str(folder / "server.conf")]
            if self.programs.root:
                words = [str(self.programs.root), str(folder), self.programs.engine]
                command = ["unshare", "--mount", "sh", "-c", START, "sh", *words]
            with (folder / "log").open("ab") as log:
                self._running[place] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for place in places:
            assert until(lambda place=place: self._answers(place), 10, every=0.02), self.log(place)  # type: ignore[misc]

    def end(self, *places: Place, number: signal.Signals = signal.SIGKILL) -> None:
        for place in places:
            process = self._running.pop(place)
            process.send_signal(number)
            process.wait(10)

    def signal(self, place: Place, number: signal.Signals) -> None:
        """Such as lets it hang. It is ended with the others."""
        self._running[place].send_signal(number)

    def lose(self, *places: Place) -> None:
        """Ends nodes and empties their volumes."""
        self.end(*places)
        for place in places:
            shutil.rmtree(self._data(place))

    def close(self) -> None:
        self.end(*self._running)

    def node(self, place: Place) -> redis.Redis:
        """A client of one node."""
        client = redis.Redis(
            host=self.hosts.of(place),
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            protocol=2,
            driver_info=None,
            # Its answer comes after the server's TLS tickets, which redis-py takes for an answer that nobody asked for.
            client_name="test",
            socket_timeout=10,
            **self._trust,
        )
        client.response_callbacks.clear()
        return client

    def ask(self, place: Place, *words: str) -> Any:
        with self.node(place) as client:
            return call(client, *words)

    def clients(self) -> redis.RedisCluster:
        """A client of the whole."""
        return redis.RedisCluster(host=self.hosts.of(min(self._running)), decode_responses=True, **self._trust)

    def repair(self, shards: int, replicas: int, seconds: float = 30, **more: Any) -> int:
        """Runs it to its end; `said` has what it reported."""
        self.said = []
        return self.repairing(shards, replicas, **more).run(seconds)

    def repairing(self, shards: int, replicas: int, **more: Any) -> Repair:
        return Repair(Wanted(shards, replicas), self.hosts, PASSWORD, self.said.append, ca_file=self.ca_file, **more)

    def log(self, place: Place) -> str:
        return (self._data(place) / "log").read_text()

    def _data(self, place: Place) -> Path:
        return self.folder / f"{place.shard}-{place.ordinal}"

    def _answers(self, place: Place) -> bool:
        try:
            return bool(self.ask(place, "PING"))
        except redis.ConnectionError:
            return False


@contextmanager
def cluster_nodes(engine: str, rights: str, certificate: Certified | None = None) -> Iterator[Nodes]:
    """Nodes of one cluster, ended afterwards; with a certificate they speak TLS."""
    programs = find_programs(engine)
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder, ExitStack() as closing:
        nodes = Nodes(programs, Path(folder), rights, certificate)
        closing.callback(nodes.close)
        yield nodes
