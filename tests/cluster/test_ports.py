"""Ports that something of the person's holds: every part of the cluster listens in a network of its own, so none is in its way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from availability import unavailable
from common import paths

pytestmark = pytest.mark.cluster

NODE = paths.TOOLS / "node"
# Of etcd, the API server, the kubelet, its health, the controllers, kube-proxy and DNS.
PORTS = (2379, 2380, 6443, 10250, 10248, 10257, 10259, 10249, 10256, 53)


@pytest.fixture
def third() -> Iterator[dict[str, str]]:
    """The environment of a cluster beside the others, which is gone afterwards."""
    if sys.platform != "linux" or os.geteuid() != 0:
        unavailable("the embedded cluster needs Linux and root")
    environment = {**os.environ, "CACHES_NODE_INSTANCE": "third"}
    environment.pop("NODES", None)
    yield environment
    subprocess.run([NODE, "down"], env=environment, check=True, capture_output=True)


def test_a_cluster_starts_although_all_its_ports_are_taken_on_the_machine(third: dict[str, str]) -> None:
    with ExitStack() as listeners:
        for port in PORTS:
            listener = listeners.enter_context(socket.socket())
            with suppress(OSError):  # taken by somebody else, which is as good
                listener.bind(("0.0.0.0", port))  # noqa: S104 - the most that a listener can take
                listener.listen()
        done = subprocess.run([NODE, "up"], env=third, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        nodes = subprocess.run([NODE, "kubectl", "get", "nodes", "--output=name"], env=third, capture_output=True, text=True)
        assert nodes.stdout == "node/node-1\n"
