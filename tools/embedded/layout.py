"""Where everything of one embedded cluster is: names, addresses, folders. All of it follows from the instance's name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from common import paths
from common.console import Failure

DEFAULT_INSTANCE = "caches"
MAX_NODES = 5
CLUSTER_DOMAIN = "cluster.local"
API_ADDRESS = "10.123.0.1"
API_SERVER = f"https://{API_ADDRESS}:6443"
LINK_PREFIX = 24
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"


@dataclass(frozen=True)
class Space:
    """A part of the cluster with a network, mounts and a cgroup of its own: the control plane, or one node."""

    name: str
    address: str
    cgroup: str
    run: Path
    data: Path


@dataclass(frozen=True)
class Node(Space):
    number: int

    @property
    def pod_network(self) -> str:
        return f"10.244.{self.number}.0/24"

    @property
    def zone(self) -> str:
        return f"zone-{self.number}"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"


@dataclass(frozen=True)
class Layout:
    """`state` outlives a stop, `run` doesn't (and is gone after a reboot of the machine)."""

    instance: str
    state: Path
    run: Path

    @classmethod
    def of_environment(cls) -> Layout:
        instance = os.environ.get("CACHES_NODE_INSTANCE") or DEFAULT_INSTANCE
        if not re.fullmatch(r"[a-z][a-z0-9]{0,15}", instance):
            raise Failure(f"CACHES_NODE_INSTANCE={instance!r} can't name a cluster: use up to 16 small letters and digits, a letter first")
        folder = "node" if instance == DEFAULT_INSTANCE else f"node-{instance}"
        return cls(instance, paths.state() / folder, Path("/run/pulumi-caches") / instance)

    def _space(self, name: str) -> tuple[str, Path, Path]:
        return f"{self.instance}-{name}", self.run / name, self.state / "data" / name

    @property
    def control(self) -> Space:
        return Space("control", API_ADDRESS, *self._space("control"))

    def node(self, number: int) -> Node:
        name = f"node-{number}"
        return Node(name, f"10.123.0.{10 + number}", *self._space(name), number)

    def nodes(self, count: int) -> list[Node]:
        return [self.node(number) for number in range(1, count + 1)]

    @property
    def spaces(self) -> list[Space]:
        """Everything that could be running, whatever number of nodes was asked for; the nodes first, as they stop first."""
        return [*self.nodes(MAX_NODES), self.control]

    @property
    def programs(self) -> Path:
        return self.state / "bin"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def resolv_conf(self) -> Path:
        return self.state / "resolv.conf"

    @property
    def record(self) -> Path:
        """How many nodes the cluster has; written before anything else is."""
        return self.state / "cluster.json"

    @property
    def lock(self) -> Path:
        return self.run.with_suffix(".lock")
