"""A SentinelGroup under observation: who is its master, and what must hold after every fault."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.deployed import NODE, eventually
from cluster.faults.observed import CONTROL_PLANE, Observed

ROLE = "pulumi-caches/role"


class Group(Observed):
    """One SentinelGroup named `cache`, with three members unless that is changed."""

    def __init__(self, scratch: Path, namespace: str) -> None:
        super().__init__(scratch, namespace, "SentinelGroup")
        self.hostnames = False

    def pod_names(self) -> list[str]:
        return [f"cache-{ordinal}" for ordinal in range(self.args.get("members", 3))]

    def master(self) -> str:
        """The pod that the master's Service leads to; empty while there is none."""
        found = self.kubectl("get", "endpointslice", "cache-master", "--ignore-not-found", "--output=json")
        if not found:
            return ""
        endpoints = json.loads(found)["endpoints"]
        assert len(endpoints) == 1, "a Service of a master has one endpoint"
        return str(endpoints[0]["targetRef"]["name"])

    def known_as(self, pod: str) -> str:
        """What members and sentinels call one."""
        return self.host(pod) if self.hostnames else str(self.get("service", pod)["spec"]["clusterIP"])

    def replicas(self) -> list[str]:
        return [pod for pod in self.pod_names() if pod != self.master()]

    def await_writes(self) -> None:
        """Waits until clients have written some more, so that there is something to lose, or the group is seen to work."""
        before = self.ask(self.master(), "DBSIZE")

        def more() -> bool:
            keys = self.ask(self.master(), "DBSIZE")
            return isinstance(keys, int) and keys >= before + 100

        eventually(more, "clients write")

    def await_another_master(self, master: str) -> None:
        eventually(lambda: self.master() not in ("", master), "another master")

    @contextmanager
    def masters_node_cut(self) -> Iterator[str]:
        """The master's node, and with it its zone, is away during the block, which begins when another one is the master."""
        # Without the API server nobody could move the Service: where it runs, the master is handed over first.
        if self.node_number(self.master()) == CONTROL_PLANE:
            self.replace(self.master())
            self.await_whole(quiet=False)
        master = self.master()
        number = self.node_number(master)
        subprocess.run([NODE, "cut", number], check=True)
        try:
            self.await_another_master(master)
            yield master
        finally:
            subprocess.run([NODE, "heal", number], check=True)

    def fault(self) -> str:
        roles = {pod: self.ask(pod, "ROLE") for pod in self.pod_names()}
        if silent := {pod: role for pod, role in roles.items() if not isinstance(role, list)}:
            return f"no answer: {silent}"
        masters = [pod for pod, role in roles.items() if role[0] == "master"]
        if len(masters) != 1:
            return f"masters: {masters}"
        if self.master() != masters[0]:
            return f"the Service leads to {self.master()}, and {masters[0]} is the master"
        followers = {pod: (role[3], role[1]) for pod, role in roles.items() if pod != masters[0]}
        address = self.known_as(masters[0])
        if any(state != ("connected", address) for state in followers.values()):
            return f"replicas: {followers}"
        named = {pod: self._named_master(pod) for pod in self.pod_names()}
        if set(named.values()) != {address}:
            return f"the sentinels name {named}, and {address} is the master"
        labels = {item["metadata"]["name"]: item["metadata"]["labels"].get(ROLE) for item in self.get("pods")["items"]}
        wanted = {pod: "master" if pod == masters[0] else "replica" for pod in self.pod_names()}
        if {pod: labels.get(pod) for pod in wanted} != wanted:
            return f"labels: {labels}"
        return ""

    def copies(self) -> list[list[str]]:
        return [self.pod_names()]

    def _named_master(self, pod: str) -> str:
        reply = self.ask(pod, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "cache", port=26379)
        return str(reply[0]) if isinstance(reply, list) else str(reply)
