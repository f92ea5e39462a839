"""TLS on the real cluster: a group and a cluster come up with it, and a renewed certificate is used while clients write."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority, Certified
from cluster.deployed import NODE, Deployed, eventually
from cluster.faults.cluster import PLAIN, Cluster
from cluster.faults.group import Group

pytestmark = pytest.mark.cluster

CLUSTER_NAMES = ("DNS:*.tls-cluster.svc", "DNS:*.cache-headless.tls-cluster.svc")
# A handshake with the server at an address; prints its certificate.
HANDSHAKE = """
import socket, ssl, sys
host, port, authority = sys.argv[1:]
context = ssl.create_default_context(cadata=authority)
with context.wrap_socket(socket.create_connection((host, int(port)), 5), server_hostname=host) as connection:
    print(ssl.DER_cert_to_PEM_cert(connection.getpeercert(True)))
"""


def keep(deployed: Deployed, certificate: Certified) -> None:
    """Has the program make the Secret, of which the component knows the name only then."""
    deployed.pulumi("config", "set", "certificate", json.dumps(certificate.files()))


def renew(deployed: Deployed, certificate: Certified) -> None:
    """Changes the Secret in place, as cert-manager does."""
    changed = subprocess.run(
        [NODE, "kubectl", "-n", deployed.namespace, "patch", "secret", "certificate", "--patch-file=/dev/stdin"],
        input=json.dumps({"stringData": certificate.files()}),
        capture_output=True,
        text=True,
    )
    assert changed.returncode == 0, changed.stderr


def shows(address: str, certificate: Certified) -> bool:
    """Whether a server shows that certificate, to a client that verifies the name too."""
    host, _, port = address.rpartition(":")
    words = [str(NODE), "run", "--", sys.executable, "-c", HANDSHAKE, host, port, certificate.authority_pem]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() == certificate.certificate_pem.strip()


def await_renewed(addresses: list[str], certificate: Certified) -> None:
    for address in addresses:
        eventually(lambda address=address: shows(address, certificate), f"{address} shows the new certificate")  # type: ignore[misc]


def restarts(deployed: Deployed) -> dict[str, int]:
    """How often the servers' containers were started again."""
    pods = deployed.get("pods", "--selector=app.kubernetes.io/component")["items"]
    return {
        f"{pod['metadata']['name']} {status['name']}": status["restartCount"]
        for pod in pods
        for status in pod["status"]["containerStatuses"]
        if status["name"] != "agent"
    }


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def group(tmp_path: Path, authority: Authority) -> Iterator[Group]:
    group = Group(tmp_path, "tls-group")
    keep(group, authority.issue("DNS:*.tls-group.svc"))
    with group.deployed():
        yield group


def test_a_group_fails_over_and_takes_a_renewed_certificate_while_clients_write(group: Group, authority: Authority) -> None:
    group.await_whole()
    assert (group.known["tls"], group.known["ca_pem"]) == (True, authority.pem)
    with group.writing("sentinel+wait", "service") as result:
        group.await_writes()
        killed = group.master()
        group.signal(killed, "server", signal.SIGKILL)
        eventually(lambda: group.master() != killed, "another master")
        group.await_whole(quiet=False)
        group.await_writes()
    assert result["sentinel+wait"]["lost"] == 0

    renewed, before = authority.issue("DNS:*.tls-group.svc"), restarts(group)
    with group.writing("sentinel+wait", "service", "anew") as result:
        group.await_writes()
        renew(group, renewed)
        await_renewed([*group.known["nodes"], *group.known["sentinels"]], renewed)
        group.await_whole(quiet=False)
        group.await_writes()
    for kind, said in result.items():
        assert (said["errors"], said["lost"]) == ({}, 0), kind
    assert {name for name, count in restarts(group).items() if count != before[name]} == {f"{pod} sentinel" for pod in group.pod_names()}


@pytest.fixture
def cluster(tmp_path: Path, authority: Authority) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, "tls-cluster")
    keep(cluster, authority.issue(*CLUSTER_NAMES))
    with cluster.deployed():
        yield cluster


@pytest.mark.long
def test_a_cluster_takes_a_renewed_certificate_while_clients_write(cluster: Cluster, authority: Authority) -> None:
    renewed, before = authority.issue(*CLUSTER_NAMES), restarts(cluster)
    assert cluster.known["tls"] is True
    with cluster.writing(*PLAIN) as result:
        renew(cluster, renewed)
        await_renewed(cluster.known["nodes"], renewed)
    for kind, said in result.items():
        assert said["written"] > 100, kind
        assert (said["errors"], said["lost"]) == ({}, 0), kind
    assert restarts(cluster) == before
