"""A Memcached that takes a login is monitored: the exporter's pod as the component makes it, beside a real server's."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from certificates import certify
from common.waiting import until
from pulumi_caches.kubernetes.exporter import Images, containers, secret_files
from pulumi_caches.kubernetes.monitored import monitored
from unit.exporters import Exporters
from unit.memcached_servers import USER, MemcachedPod
from unit.servers import PASSWORD, find_programs, pods_of

NEXT = "the-next-password"
TLS: dict[str, Any] = {"tls_secret_name": "certificate"}


class Monitoring:
    """A server's pod, and the exporter's in the same network."""

    def __init__(self, server: MemcachedPod, pod: MemcachedPod, closing: ExitStack) -> None:
        self.server = server
        self._pod = pod
        self._closing = closing

    def begin(self, **more: Any) -> None:
        """Starts what asks the server that a connection names."""
        node = f"{self.server.address}:11211"
        login = {"username": USER, "password": PASSWORD, "tls": False}
        connection: Any = {"engine": "memcached", "mode": "sharded", "nodes": [node], "provider": "kubernetes", **login, **more}
        self._cache = monitored("ours", "", "shop", connection)
        [self._asked] = [target for target in self._cache.targets if target.port == "exporter"]
        started = Exporters(self._pod, containers(self._cache, Images("", "", ""), certificates=False), secret_files(self._cache, PASSWORD))
        self.exporters = self._closing.enter_context(started)

    def mount(self, password: str) -> None:
        self.exporters.write(secret_files(self._cache, password))

    def await_seen(self, up: int) -> None:
        """Waits until the server is seen to be up, or down."""
        self.exporters.await_scraped(f"memcached_up {up}\n", self._asked.path, self._asked.parameters)

    def scrape(self) -> str:
        return self.exporters.scrape(self._asked.path, self._asked.parameters)

    def connections(self) -> int:
        """Without the one that asks."""
        return int(self.server.call("stats")[0]["curr_connections"]) - 1


@pytest.fixture
def monitoring() -> Iterator[Monitoring]:
    with pods_of(MemcachedPod, find_programs("memcached"), "shard", "exporter") as (server, pod), ExitStack() as closing:
        yield Monitoring(server, pod, closing)


def test_a_server_with_a_login_is_seen_and_goes_on_being_seen_while_its_password_rotates(monitoring: Monitoring) -> None:
    server = monitoring.server
    server.serve()
    monitoring.begin()
    monitoring.await_seen(1)
    assert "\nmemcached_max_connections 1024\n" in monitoring.scrape(), "the second thing that is asked for"

    server.credentials(password=NEXT, previous=PASSWORD)
    server.probe("ready")
    assert until(lambda: server.accepts(NEXT), 10, every=0.1)
    monitoring.await_seen(1)
    monitoring.mount(NEXT)
    server.credentials(previous=None)
    server.probe("ready")
    server.await_refused(PASSWORD)
    monitoring.await_seen(1)

    monitoring.mount(PASSWORD)
    monitoring.await_seen(0)
    said = monitoring.exporters.said("login")
    assert f"{server.address}:11211: does not let in: CLIENT_ERROR authentication failure" in said
    for secret in (PASSWORD, NEXT):
        assert secret not in said + monitoring.exporters.said("exporter") + monitoring.exporters.arguments()


def test_a_server_that_is_gone_or_hangs_is_seen_to_be_down_and_to_be_up_again(monitoring: Monitoring) -> None:
    server = monitoring.server
    monitoring.begin()
    monitoring.await_seen(0)
    server.serve()
    monitoring.await_seen(1)
    server.server.process.send_signal(signal.SIGSTOP)
    monitoring.await_seen(0)
    server.server.process.send_signal(signal.SIGCONT)
    monitoring.await_seen(1)
    server.server.end(signal.SIGKILL)
    monitoring.await_seen(0)
    server.serve()
    monitoring.await_seen(1)


def test_connections_that_the_exporter_leaves_open_end(monitoring: Monitoring) -> None:
    monitoring.server.serve()
    idle = monitoring.connections()
    monitoring.begin()
    monitoring.await_seen(1)
    for _ in range(5):
        monitoring.scrape()
    assert monitoring.connections() >= idle + 5
    assert until(lambda: monitoring.connections() == idle, 20, every=0.2)


@pytest.mark.parametrize("login", [True, False], ids=["login", "none"])
def test_with_a_certificate_it_is_seen(monitoring: Monitoring, login: bool) -> None:
    server = monitoring.server
    certificate = certify(f"IP:{server.address}")
    server.certify(certificate)
    if not login:
        server.without_passwords()
    server.serve(**TLS, auth="password" if login else "none")
    monitoring.begin(tls=True, ca_pem=certificate.authority_pem, **({} if login else {"auth": "none"}))
    monitoring.await_seen(1)


def test_who_has_another_authority_s_certificate_is_not_told_the_password(monitoring: Monitoring) -> None:
    server = monitoring.server
    server.certify(certify(f"IP:{server.address}"))
    server.serve(**TLS)
    monitoring.begin(tls=True, ca_pem=certify(f"IP:{server.address}").authority_pem)
    monitoring.await_seen(0)

    def refused() -> bool:
        # Nobody listens while it starts.
        monitoring.scrape()
        return "CERTIFICATE_VERIFY_FAILED" in monitoring.exporters.said("login")

    assert until(refused, 10, every=0.1)


def test_ends_at_once_when_it_is_asked_to(monitoring: Monitoring) -> None:
    monitoring.server.serve()
    monitoring.begin()
    monitoring.await_seen(1)
    login = monitoring.exporters.processes["login"]
    login.terminate()
    assert login.wait(5) == 0


@pytest.mark.parametrize("text", ["11300", "11300=host", "x=host:11211", "11300=:11211"])
def test_a_forward_that_is_none_is_refused(text: str) -> None:
    words = ["memcached-login", "--username=cache", "--password-file=none", f"--forward={text}"]
    done = subprocess.run([Path(sys.executable).with_name("caches"), *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert "must be PORT=HOST:PORT" in done.stderr
