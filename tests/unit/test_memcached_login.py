"""A Memcached that takes a login is monitored: the exporter's pod as the component makes it, beside a real server's."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from availability import unavailable
from certificates import certify
from common.waiting import until
from pulumi_caches.kubernetes.exporter import deployment_spec, secret_files
from pulumi_caches.kubernetes.monitored import Monitored, monitored
from unit.memcached_servers import USER, MemcachedPod
from unit.servers import PASSWORD, find_programs, pods_of

NEXT = "the-next-password"
READ = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"
TLS: dict[str, Any] = {"tls_secret_name": "certificate"}


class ExporterPod(MemcachedPod):
    """The exporter's pod; its programs are run in its network, with its files where the test has them."""

    def monitor(self, server: MemcachedPod, **more: Any) -> None:
        """Starts what asks the server."""
        node = f"{server.address}:11211"
        connection: Any = {"engine": "memcached", "mode": "sharded", "nodes": [node], "provider": "kubernetes"}
        self.cache: Monitored = monitored(
            "ours", "shop", connection | {"username": USER, "password": PASSWORD, "tls": False, "host": "", "port": 0} | more
        )
        self.write(PASSWORD)
        spec: Any = deployment_spec(self.cache, "", "", "", (), {}, {}, "secret")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for container in spec["template"]["spec"]["containers"]:
            if container["name"] == "certificates":
                continue
            words = [word.replace("/etc/exporter", str(self.folder / "exporter")) for word in container["command"]]
            words[0] = self.programs_path(words[0])
            with self.log(container["name"]).open("wb") as log:
                process = subprocess.Popen(self.beside(*words), stdout=log, stderr=subprocess.STDOUT)
            self.processes[container["name"]] = process
            self._closing.callback(process.wait)
            self._closing.callback(process.kill)

    def programs_path(self, program: str) -> str:
        """The exporter of the Debian, and the runtime of this checkout."""
        return str(Path(sys.executable).with_name(program)) if program == "caches" else f"{self.programs.root}{program}"

    def write(self, password: str) -> None:
        """As the Secret has it, mounted."""
        (self.folder / "exporter").mkdir(exist_ok=True)
        for name, text in secret_files(self.cache, password).items():
            (self.folder / "exporter" / name).write_text(text)

    def log(self, container: str) -> Path:
        return self.folder / f"{container}.log"

    def scrape(self) -> str:
        """As Prometheus does."""
        [target] = [target for target in self.cache.targets if target.port == "exporter"]
        url = f"http://127.0.0.1:9121{target.path}?target={target.parameters['target']}"
        return subprocess.run(self.beside(sys.executable, "-c", READ, url), capture_output=True, text=True, timeout=30).stdout

    def sees(self, up: int) -> bool:
        return f"\nmemcached_up {up}\n" in self.scrape()

    def await_seen(self, up: int) -> None:
        """Waits until the server is seen to be up, or down: each scrape has an answer, also while the server has none."""
        logs = "\n".join(self.log(name).read_text() for name in self.processes)
        assert until(lambda: self.sees(up), 20, every=0.1), logs


@pytest.fixture
def pods() -> Iterator[tuple[MemcachedPod, ExporterPod]]:
    programs = find_programs("memcached")
    if not programs.root:
        unavailable("it takes root to use another Debian's programs")
    with ExitStack() as stack:
        shard, exporter = stack.enter_context(pods_of(ExporterPod, programs, "shard", "exporter"))
        yield shard, exporter


def connections(server: MemcachedPod) -> int:
    """Without the one that asks."""
    return int(server.call("stats")[0]["curr_connections"]) - 1


def test_a_server_with_a_login_is_seen_and_goes_on_being_seen_while_its_password_rotates(pods: tuple[MemcachedPod, ExporterPod]) -> None:
    server, exporter = pods
    server.serve()
    exporter.monitor(server)
    exporter.await_seen(1)
    assert "\nmemcached_max_connections 1024\n" in exporter.scrape(), "the second thing that is asked for"

    server.credentials(password=NEXT, previous=PASSWORD)
    server.probe("ready")
    assert until(lambda: server.accepts(NEXT), 10, every=0.1)
    exporter.await_seen(1)
    exporter.write(NEXT)
    server.credentials(previous=None)
    server.probe("ready")
    server.await_refused(PASSWORD)
    exporter.await_seen(1)

    exporter.write(PASSWORD)
    exporter.await_seen(0)
    log = exporter.log("login").read_text()
    assert f"{server.address}:11211: does not let in: CLIENT_ERROR authentication failure" in log
    arguments = " ".join(shlex.join(process.args) for process in exporter.processes.values())  # type: ignore[arg-type]
    for secret in (PASSWORD, NEXT):
        assert secret not in log + arguments + exporter.log("exporter").read_text()


def test_a_server_that_is_gone_or_hangs_is_seen_to_be_down_and_to_be_up_again(pods: tuple[MemcachedPod, ExporterPod]) -> None:
    server, exporter = pods
    exporter.monitor(server)
    exporter.await_seen(0)
    server.serve()
    exporter.await_seen(1)
    server.server.process.send_signal(signal.SIGSTOP)
    exporter.await_seen(0)
    server.server.process.send_signal(signal.SIGCONT)
    exporter.await_seen(1)
    server.server.end(signal.SIGKILL)
    exporter.await_seen(0)
    server.serve()
    exporter.await_seen(1)


def test_connections_that_the_exporter_leaves_open_end(pods: tuple[MemcachedPod, ExporterPod]) -> None:
    server, exporter = pods
    server.serve()
    idle = connections(server)
    exporter.monitor(server)
    exporter.await_seen(1)
    for _ in range(5):
        exporter.scrape()
    assert connections(server) >= idle + 5
    assert until(lambda: connections(server) == idle, 20, every=0.2)


@pytest.mark.parametrize("login", [True, False], ids=["login", "none"])
def test_a_certificate_is_checked(pods: tuple[MemcachedPod, ExporterPod], login: bool) -> None:
    server, exporter = pods
    certificate = certify(f"IP:{server.address}")
    server.certify(certificate)
    if not login:
        server.without_passwords()
    server.serve(**TLS, auth="password" if login else "none")
    how = {"tls": True, "ca_pem": certificate.authority_pem, **({} if login else {"auth": "none", "username": "", "password": ""})}
    exporter.monitor(server, **how)
    exporter.await_seen(1)


def test_another_authority_s_certificate_is_not_trusted_with_the_password(pods: tuple[MemcachedPod, ExporterPod]) -> None:
    server, exporter = pods
    server.certify(certify(f"IP:{server.address}"))
    server.serve(**TLS)
    exporter.monitor(server, tls=True, ca_pem=certify(f"IP:{server.address}").authority_pem)
    # It is asked for as long as the exporter and what logs in are starting.
    assert until(lambda: exporter.sees(0) and "CERTIFICATE_VERIFY_FAILED" in exporter.log("login").read_text(), 10, every=0.1)


def test_ends_at_once_when_it_is_asked_to(pods: tuple[MemcachedPod, ExporterPod]) -> None:
    server, exporter = pods
    server.serve()
    exporter.monitor(server)
    exporter.await_seen(1)
    login = exporter.processes["login"]
    login.terminate()
    assert login.wait(5) == 0


@pytest.mark.parametrize("text", ["11300", "11300=host", "x=host:11211", "11300=:11211"])
def test_a_forward_that_is_none_is_refused(text: str) -> None:
    words = ["memcached-login", "--username=cache", "--password-file=none", f"--forward={text}"]
    done = subprocess.run([Path(sys.executable).with_name("caches"), *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert "must be PORT=HOST:PORT" in done.stderr
