"""A SentinelGroup under observation: its pods' processes, and what must hold after every fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from cluster.deployed import Client, Deployed, eventually

ROLE = "pulumi-caches/role"
_CUT = """
table inet cut {
  chain in { type filter hook input priority 0; policy drop; iif lo accept; }
  chain out { type filter hook output priority 0; policy drop; oif lo accept; }
}
"""


class Group(Deployed):
    """One SentinelGroup named `cache` with three members."""

    def __init__(self, scratch: Path, namespace: str) -> None:
        super().__init__(scratch, namespace, "SentinelGroup")
        self.members = 3
        self.known: dict[str, Any] = {}
        self._client: Any = None

    def pod_names(self) -> list[str]:
        return [f"cache-{ordinal}" for ordinal in range(self.members)]

    def master(self) -> str:
        """The pod that the master's Service leads to; empty while there is none."""
        found = self.kubectl("get", "endpointslice", "cache-master", "--ignore-not-found", "--output=json")
        if not found:
            return ""
        endpoints = json.loads(found)["endpoints"]
        assert len(endpoints) == 1, "a Service of a master has one endpoint"
        return str(endpoints[0]["targetRef"]["name"])

    def node_number(self, pod: str) -> str:
        """The number of the node that a pod is on."""
        return str(self.get("pod", pod)["spec"]["nodeName"]).removeprefix("node-")

    def replicas(self) -> list[str]:
        return [pod for pod in self.pod_names() if pod != self.master()]

    def signal(self, pod: str, program: str, number: signal.Signals) -> None:
        """Signals a container's process from outside, because its first process ignores what comes from inside."""
        os.kill(self._process(pod, program), number)

    def ask(self, pod: str, *command: str, port: int = 6379) -> Any:
        """The reply of a member's server, or of its sentinel."""
        return self._client.call(f"{pod}.{self.namespace}.svc", *command, port=port)

    def connect(self) -> None:
        """As the connection is now; its password changes when it rotates."""
        self.close()
        self.known = self.connection()
        self._client = Client(self.known["password"])

    def close(self) -> None:
        if self._client:
            self._client.close()

    def await_writes(self) -> None:
        """Waits until clients have written some more, so that there is something to lose, or the group is seen to work."""
        before = self.ask(self.master(), "DBSIZE")

        def more() -> bool:
            keys = self.ask(self.master(), "DBSIZE")
            return isinstance(keys, int) and keys >= before + 100

        eventually(more, "clients write")

    def await_whole(self, *, quiet: bool = True) -> None:
        """Waits until the group is as it should be, and fails when it never is; when nobody writes, all have the same keys."""
        self.await_ready()
        said = [""]

        def whole() -> bool:
            said[0] = self._fault() or (self._difference() if quiet else "")
            return not said[0]

        try:
            eventually(whole, "the group is whole")
        except AssertionError as error:
            raise AssertionError(f"{error}: {said[0]}") from None

    def _fault(self) -> str:
        """What is not as it should be; empty when all is."""
        roles = {pod: self.ask(pod, "ROLE") for pod in self.pod_names()}
        if silent := {pod: role for pod, role in roles.items() if not isinstance(role, list)}:
            return f"no answer: {silent}"
        masters = [pod for pod, role in roles.items() if role[0] == "master"]
        if len(masters) != 1:
            return f"masters: {masters}"
        if self.master() != masters[0]:
            return f"the Service leads to {self.master()}, and {masters[0]} is the master"
        followers = {pod: (role[3], role[1]) for pod, role in roles.items() if pod != masters[0]}
        address = self.get("service", masters[0])["spec"]["clusterIP"]
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

    def _difference(self) -> str:
        sizes = {pod: self.ask(pod, "DBSIZE") for pod in self.pod_names()}
        return "" if len(set(sizes.values())) == 1 else f"keys: {sizes}"

    def _named_master(self, pod: str) -> str:
        reply = self.ask(pod, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "cache", port=26379)
        return str(reply[0]) if isinstance(reply, list) else str(reply)

    def cut(self, pod: str) -> None:
        """Cuts a pod off from all others."""
        self._in_network(pod, "nft", "--file", "-", input=_CUT)

    def heal(self, pod: str) -> None:
        self._in_network(pod, "nft", "delete", "table", "inet", "cut")

    def _in_network(self, pod: str, *command: str, input: str = "") -> None:
        subprocess.run(["nsenter", f"--target={self._process(pod, 'server')}", "--net", *command], input=input, text=True, check=True)

    def _process(self, pod: str, program: str) -> int:
        uid = self.pods()[pod]
        found = _processes(program, uid)
        assert len(found) == 1, f"{program} of {pod}: {found}"
        return found[0]


def _processes(program: str, uid: str) -> list[int]:
    """Every `server` or `sentinel` of a pod."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if uid not in (folder / "cgroup").read_text():
                continue
        except (FileNotFoundError, ProcessLookupError):
            continue
        # Not the probes' clients, of which there are several while a server hangs.
        if title.startswith((f"redis-{program}", f"valkey-{program}")):
            found.append(int(folder.name))
    return found
