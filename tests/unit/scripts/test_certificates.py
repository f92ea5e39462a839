"""The scripts with a certificate: everything speaks TLS, and a renewed one is used without a restart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from signal import SIGSTOP
from typing import Any

import pytest
from certificates import Authority, Certified, certify
from cluster.deployed import WRITERS, reporting
from common.waiting import until
from pulumi_caches.kubernetes import tls_authority
from unit.scripts.waiting import PASSES, await_copy, await_value
from unit.servers import PASSWORD, Makes, Pod, call

# A handshake with the server at an address; prints its certificate.
HANDSHAKE = """
import socket, ssl, sys
context = ssl.create_default_context(cadata=sys.argv[2])
context.check_hostname = False
with context.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[3])), 5)) as connection:
    print(ssl.DER_cert_to_PEM_cert(connection.getpeercert(True)))
"""


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def issued(authority: Authority, pod: Pod) -> Certified:
    """The certificate that the pod has."""
    certificate = authority.issue(f"IP:{pod.address}")
    pod.certify(certificate)
    return certificate


@pytest.fixture
def tls_pair(authority: Authority, make: Makes) -> tuple[Pod, Pod]:
    """A primary with data and a replica that has it too, which speak TLS."""
    primary, replica = make("primary", "replica")
    for pod in (primary, replica):
        pod.certify(authority.issue(f"IP:{pod.address}"))
    primary.serve()
    # Before the replica follows: after it has, it may get nothing more for a second.
    primary.connect().set("fruit", "apple")
    replica.serve("replica")
    await_copy(replica)
    return primary, replica


def shown(pod: Pod, authority_pem: str, port: int = 6379) -> str:
    """The certificate that a server shows to who trusts the authority; else why there is none."""
    words = pod.beside(sys.executable, "-c", HANDSHAKE, pod.address, authority_pem, str(port))
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    return done.stdout.strip() or done.stderr.splitlines()[-1]


def accepted(pod: Pod) -> bool:
    """Whether await-password.sh gets through."""
    return pod.run("await-password.sh", ADDRESSES=f"{pod.name}:6379").returncode == 0


@contextmanager
def writing(pod: Pod, authority_pem: str) -> Iterator[dict[str, Any]]:
    """Writes while the block runs, on one connection and on a new one each time; what came of it is in the dictionary afterwards."""
    connection = {"host": pod.address, "port": 6379, "password": PASSWORD, "tls": True, "ca_pem": authority_pem}
    with reporting([*pod.beside(sys.executable, str(WRITERS), "service", "anew")], connection) as result:
        yield result


def await_connections(pod: Pod) -> None:
    """Waits until some more connections have written."""
    client = pod.connect()
    wanted = len(client.keys("anew:*")) + 10
    assert until(lambda: len(client.keys("anew:*")) >= wanted, 20)


def test_the_port_speaks_tls_only_and_the_probes_pass(pod: Pod, issued: Certified) -> None:
    pod.serve()
    assert shown(pod, issued.authority_pem) == issued.certificate_pem.strip()
    assert "CERTIFICATE_VERIFY_FAILED" in shown(pod, certify("IP:10.0.0.1").authority_pem)
    assert [pod.probe("alive"), pod.probe("ready")] == [PASSES, PASSES]
    assert accepted(pod)
    pod.tls = None
    assert "PONG" not in pod.cli("ping"), "no client without TLS is served"
    settings = pod.connect().config_get("tls-*")
    assert (settings["tls-replication"], settings["tls-auth-clients"]) == ("yes", "no")


def test_a_generated_certificate_serves(pod: Pod) -> None:
    made = tls_authority.make_authority("cache")
    key, certificate = tls_authority.parts(tls_authority.issue(made, [pod.name]))
    pod.certify(Certified(certificate, key, tls_authority.parts(made)[1]))
    pod.serve()
    assert shown(pod, tls_authority.parts(made)[1]) == certificate.strip()
    assert accepted(pod)


def test_a_replica_follows_over_tls_and_trusts_only_the_authority(tls_pair: tuple[Pod, Pod]) -> None:
    primary, replica = tls_pair
    assert replica.connect().get("fruit") == "apple"
    assert replica.probe("ready") == PASSES
    replica.server.end()
    replica.certify(certify(f"IP:{replica.address}"))
    replica.serve("replica")
    replica.server.await_output("certificate verify failed")
    assert "has not copied" in replica.probe("ready")
    assert primary.probe("ready") == PASSES


def test_a_primary_without_data_asks_its_replica_over_tls(tls_pair: tuple[Pod, Pod]) -> None:
    primary, replica = tls_pair
    primary.lose_data()
    started = primary.start()
    assert started.wait() != 0
    assert "holds data" in started.output
    assert replica.connect().get("fruit") == "apple"


def test_a_renewed_certificate_refuses_nobody_cuts_no_connection_and_restarts_nothing(
    tls_pair: tuple[Pod, Pod], authority: Authority
) -> None:
    primary, replica = tls_pair
    after = {pod: authority.issue(f"IP:{pod.address}") for pod in tls_pair}
    with writing(primary, after[primary].authority_pem) as result:
        await_connections(primary)
        for pod, certificate in after.items():
            pod.certify(certificate)
            assert pod.probe("ready") == PASSES
            assert shown(pod, certificate.authority_pem) == certificate.certificate_pem.strip()
        await_connections(primary)
    for kind, found in result.items():
        assert (found["errors"], found["lost"]) == ({}, 0), kind
        assert found["written"] >= 20, kind
    assert replica.info("master_link_status") == "up"
    primary.connect().set("fruit", "pear")
    await_value(replica, "fruit", "pear")
    assert [pod.server.process.poll() for pod in tls_pair] == [None, None]


def test_a_changed_authority_alone_is_taken_too(tls_pair: tuple[Pod, Pod], authority: Authority) -> None:
    """Both are trusted for a while; so a server of the new one can be followed by those that have only heard of it."""
    primary, replica = tls_pair
    old, new = authority.issue(f"IP:{replica.address}"), certify(f"IP:{primary.address}")
    both = old.authority_pem + new.authority_pem
    replica.certify(replace(old, authority_pem=both))
    assert replica.probe("ready") == PASSES
    primary.certify(replace(new, authority_pem=both))
    assert primary.probe("ready") == PASSES
    assert shown(primary, new.authority_pem) == new.certificate_pem.strip()
    call(primary.connect(), "CLIENT", "KILL", "TYPE", "replica")
    primary.connect().set("fruit", "pear")
    await_value(replica, "fruit", "pear")


def test_a_certificate_that_can_not_be_used_changes_nothing_and_the_log_says_why(pod: Pod, issued: Certified) -> None:
    pod.serve()
    pod.certify(replace(issued, key_pem=certify("IP:10.0.0.9").key_pem))
    for _ in range(2):
        assert pod.probe("ready") == PASSES
    pod.server.await_output("Failed to load private key")
    assert shown(pod, issued.authority_pem) == issued.certificate_pem.strip()
    good = certify(f"IP:{pod.address}")
    pod.certify(good)
    assert pod.probe("ready") == PASSES
    assert shown(pod, good.authority_pem) == good.certificate_pem.strip()


@pytest.mark.usefixtures("issued")
def test_a_full_server_is_alive_and_one_that_hangs_is_not(pod: Pod) -> None:
    pod.serve(max_clients=3)
    held = [pod.connect() for _ in range(3)]
    assert until(lambda: [client.ping() for client in held[:2]] == [True, True], 5)
    assert [pod.probe("alive") for _ in range(10)] == [PASSES] * 10
    pod.server.process.send_signal(SIGSTOP)
    assert "no answer: timeout" in pod.probe("alive")


@pytest.mark.usefixtures("issued")
@pytest.mark.parametrize("missing", ["tls.crt", "tls.key", "ca.crt"])
def test_a_secret_that_lacks_a_file_starts_nothing(pod: Pod, missing: str) -> None:
    assert pod.tls is not None
    (pod.tls / missing).unlink()
    started = pod.start()
    assert started.wait() == 1
    assert f"start: no {missing} in /etc/cache/tls: does the Secret have tls.crt, tls.key and ca.crt?" in started.output


@pytest.mark.usefixtures("issued")
def test_an_image_without_tls_says_so_and_starts_nothing(pod: Pod) -> None:
    folder = pod.folder / "data" / "bin"
    folder.mkdir()
    (folder / f"{pod.programs.engine}-cli").write_text("#!/bin/sh\necho '  -h <hostname>'\n")
    (folder / f"{pod.programs.engine}-cli").chmod(0o755)
    started = pod.start(path=f"/data/bin:{pod.programs.path}")
    assert started.wait() == 1
    assert f"start: the image's {pod.programs.engine} was built without TLS (BUILD_TLS=yes), which tls_secret_name needs" in started.output


def test_the_system_user_may_set_the_configuration_only_with_a_certificate(pod: Pod, authority: Authority) -> None:
    pod.serve()
    assert "NOPERM" in pod.cli("config", "set", "hz", "20")
    pod.server.end()
    pod.certify(authority.issue(f"IP:{pod.address}"))
    pod.serve()
    assert pod.cli("config", "set", "hz", "20") == "OK"
    assert "NOPERM" in pod.cli("config", "get", "hz")


def test_the_copy_of_the_key_is_only_for_the_server(pod: Pod, issued: Certified) -> None:
    pod.serve()
    files = list((pod.folder / "run" / "tls-6379").iterdir())
    assert sorted(file.name for file in files) == ["applied", "ca.crt", "tls.crt", "tls.key"]
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []
    pod.certify(replace(issued, certificate_pem=issued.certificate_pem + "\n"))
    assert pod.probe("ready") == PASSES
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []
