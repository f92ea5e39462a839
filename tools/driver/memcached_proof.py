"""Shows that a Memcached cache works: each shard takes and gives values, and one that restarts comes back, empty, under its name."""

from __future__ import annotations

import secrets
from typing import Any

from common.console import Failure, say, step
from common.waiting import until

from driver.stack import Stack

KEY = "pulumi-caches-proof"
# A restarted pod is found by its name again.
RESTART_SECONDS = 180
# In the pod, with its own scripts: there every shard can be reached, and the password never leaves it.
_ASK = '. /etc/cache/config/lib.sh; ask "$@" || { echo "no answer from $1" >&2; exit 1; }'


def prove(stack: Stack, name: str, namespace: str, connection: dict[str, Any], *, restart: bool) -> None:
    """Writes to every server, restarts the first and reads back; without `restart` only asks each server whether it serves."""
    if connection["tls"]:
        say(f"{name}: deployed; its image has no client that speaks TLS, so nothing is proved here")
        return
    proof = _Proof(stack, name, namespace, connection)
    if not restart:
        for node in proof.nodes:
            proof.ask(node, "version")
        say(f"{name}: each of the {len(proof.nodes)} servers in its list serves")
        proof.pass_through_proxy()
        return
    value = str(secrets.randbits(48))
    first, *others = proof.nodes
    with step(f"{name}: writing to every server, restarting the first, reading back"):
        for node in proof.nodes:
            proof.write(node, value)
        proof.restart_first()
        for node in others:
            if (read := proof.read(node)) != value:
                raise Failure(f"{name}: {node} was not restarted, and has {read!r} instead of what was written")
        if not until(lambda: proof.reads(first, "NOT_FOUND"), RESTART_SECONDS, every=0.5):
            raise Failure(f"{name}: {first} does not serve, empty, after its restart")
        proof.write(first, value)
        if proof.read(first) != value:
            raise Failure(f"{name}: {first} does not give back what was written after its restart")
    say(f"{name}: the restarted server came back under its name, empty as a cache in memory does, and serves ({value})")
    if others:
        say(f"{name}: the {len(others)} others kept their values")
    proof.pass_through_proxy()


class _Proof:
    """One cache, asked from one of its pods."""

    def __init__(self, stack: Stack, name: str, namespace: str, connection: dict[str, Any]) -> None:
        self._stack = stack
        self._name = name
        self._namespace = namespace
        self.nodes: list[str] = connection["nodes"]
        # The list has every server; an address beside it is that of a proxy.
        address = f"{connection['host']}:{connection['port']}"
        self._proxy = None if address in self.nodes else address
        # Only a StatefulSet's pods have names of their own.
        self._workload = f"{'statefulset' if self.nodes[0].startswith(f'{name}-0.') else 'deployment'}/{name}"

    def write(self, node: str, value: str) -> None:
        if (reply := self.ask(node, f"set {KEY} 0 0 {len(value)}\r\n{value}")) != "STORED":
            raise Failure(f"{self._name}: writing to {node} failed: {reply}")

    def read(self, node: str) -> str:
        # A number comes in one line this way.
        return self.ask(node, f"incr {KEY} 0")

    def reads(self, node: str, value: str) -> bool:
        try:
            return self.read(node) == value
        except Failure:
            return False

    def pass_through_proxy(self) -> None:
        """Writes and reads through the proxy, where there is one."""
        if self._proxy is None:
            return
        value = str(secrets.randbits(48))
        self.write(self._proxy, value)
        if (read := self.read(self._proxy)) != value:
            raise Failure(f"{self._name}: the proxy gives {read!r} instead of what was written")
        say(f"{self._name}: the proxy passes on what is written and read")

    def restart_first(self) -> None:
        # The Deployment's pod has no name of its own.
        shards = f"--selector=app.kubernetes.io/instance={self._name},app.kubernetes.io/component=shard"
        self._kubectl("delete", "pod", f"{self._name}-0" if self._workload.startswith("statefulset") else shards)
        self._kubectl("rollout", "status", self._workload, f"--timeout={RESTART_SECONDS}s")

    def ask(self, node: str, command: str) -> str:
        """The first line of a server's reply."""
        inside = ["sh", "-c", _ASK, "/etc/cache/config/proof", *node.split(":"), "cache", "/etc/cache/credentials/password", command]
        return self._kubectl("exec", self._workload, "-c", "memcached", "--", *inside).strip()

    def _kubectl(self, *arguments: str) -> str:
        done = self._stack.kubectl("-n", self._namespace, *arguments)
        if done.returncode:
            raise Failure(f"{self._name}: `kubectl {arguments[0]}` failed: {done.stderr.strip()}")
        return done.stdout
