"""Servers and sentinels as processes on loopback addresses of their own, for clients that know nothing of pods."""

from __future__ import annotations

import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from certificates import Certified
from common.waiting import until
from redis.backoff import NoBackoff
from redis.retry import Retry
from unit.cluster_nodes import START, TLS
from unit.servers import Programs, call, find_programs

PASSWORD = "the-password"
GROUP = "cache"
CONFIG = """
bind {host}
port 6379
protected-mode no
dir {folder}
save ""
repl-diskless-sync-delay 0
replica-announce-ip {host}
requirepass {password}
masterauth {password}
"""
SENTINEL = """
bind {host}
port 6379
protected-mode no
dir {folder}
requirepass {password}
sentinel announce-ip {host}
sentinel sentinel-pass {password}
sentinel monitor {group} {master} 6379 2
sentinel auth-pass {group} {password}
sentinel down-after-milliseconds {group} 500
sentinel failover-timeout {group} 3000
"""


class Processes:
    """Each by a number, from which its address comes."""

    def __init__(self, programs: Programs, folder: Path, certificate: Certified | None) -> None:
        self._programs = programs
        self._folder = folder
        self._certificate = certificate
        self._network = f"127.{random.randint(2, 254)}.{random.randint(0, 254)}"  # noqa: S311
        self._trust: dict[str, Any] = {}
        if certificate:
            self._trust = {"ssl": True, "ssl_ca_data": certificate.authority_pem, "ssl_check_hostname": False}
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def host(self, number: int) -> str:
        return f"{self._network}.{number}"

    def serve(self, number: int, *lines: str) -> None:
        """A server, empty or with the data of before, until it answers."""
        self._start(number, CONFIG, *lines)

    def watch(self, number: int, master: int) -> None:
        """A sentinel of the master."""
        self._start(number, SENTINEL, "--sentinel", group=GROUP, master=self.host(master))

    def signal(self, number: int, kind: signal.Signals) -> None:
        """Also to one that hangs or is to hang."""
        process = self._running[number]
        process.send_signal(kind)
        if kind is signal.SIGKILL:
            process.wait(10)

    def connection(self, number: int, **more: Any) -> dict[str, Any]:
        """As a cache exports it."""
        given = {
            "engine": self._programs.engine,
            "mode": "standalone",
            "host": self.host(number),
            "port": 6379,
            "password": PASSWORD,
            **more,
        }
        return {**given, "tls": True, "ca_pem": self._certificate.authority_pem} if self._certificate else given

    def client(self, number: int, password: str = PASSWORD) -> redis.Redis:
        """A plain client of one."""
        retry = Retry(NoBackoff(), 0)
        return redis.Redis(
            self.host(number),
            password=password,
            decode_responses=True,
            protocol=2,
            driver_info=None,
            retry=retry,
            socket_timeout=10,
            **self._trust,
        )

    def ask(self, number: int, *words: str) -> Any:
        with self.client(number) as client:
            return call(client, *words)

    def close(self) -> None:
        for number in self._running:
            self.signal(number, signal.SIGKILL)

    def _start(self, number: int, template: str, *lines: str, **more: str) -> None:
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        root = self._programs.root
        seen_by_server = Path("/mnt") if root else folder
        words = [line for line in lines if line.startswith("--")]
        text = template.format(host=self.host(number), folder=seen_by_server, password=PASSWORD, **more)
        text += "\n".join(line for line in lines if line not in words)
        if self._certificate:
            text += TLS.replace("tls-cluster yes\n", "").format(folder=seen_by_server)
            for name, content in self._certificate.files().items():
                (folder / name).write_text(content)
        (folder / "server.conf").write_text(text)
        command = [f"{self._programs.engine}-server", str(folder / "server.conf"), *words]
        if root:
            command = ["unshare", "--mount", "sh", "-c", f"{START} $4", "sh", str(root), str(folder), self._programs.engine, *words]
        with (folder / "log").open("ab") as log:
            self._running[number] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert until(lambda: self._answers(number), 10, every=0.02), (folder / "log").read_text()

    def _answers(self, number: int) -> bool:
        try:
            return bool(self.ask(number, "PING"))
        except redis.ConnectionError:
            return False


@contextmanager
def processes(engine: str = "redis", certificate: Certified | None = None) -> Iterator[Processes]:
    """Ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="client-") as folder, ExitStack() as closing:
        made = Processes(find_programs(engine), Path(folder), certificate)
        closing.callback(made.close)
        yield made
