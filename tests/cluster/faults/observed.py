"""A deployed cache under observation: its pods' processes and networks, and what must hold after every fault."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from cluster.deployed import Client, Deployed, eventually

_CUT = """
table inet cut {
  chain in { type filter hook input priority 0; policy drop; iif lo accept; }
  chain out { type filter hook output priority 0; policy drop; oif lo accept; }
}
"""


class Observed(Deployed, ABC):
    """A component named `cache`, whose servers are asked and signalled one by one."""

    def __init__(self, scratch: Path, namespace: str, component: str) -> None:
        super().__init__(scratch, namespace, component)
        self.args: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self._client: Any = None

    @abstractmethod
    def pod_names(self) -> list[str]:
        """Every server's pod."""

    @abstractmethod
    def fault(self) -> str:
        """What is not as it should be; empty when all is."""

    @abstractmethod
    def key_counts(self) -> list[dict[str, Any]]:
        """By pod, for each set of pods that have the same data, how many keys each has."""

    @contextmanager
    def deployed(self, **args: Any) -> Iterator[Self]:
        """Deploys with these arguments, and destroys it when the block ends."""
        self.args = args
        self.arguments(**args)
        try:
            self.up()
            self.connect()
            yield self
        finally:
            self.close()
            self.destroy()

    def change(self, **args: Any) -> None:
        """Deploys with these arguments beside those it has."""
        self.args |= args
        self.arguments(**self.args)
        self.up()
        self.await_ready()

    def host(self, pod: str) -> str:
        """A name by which a pod is reached."""
        return f"{pod}.{self.namespace}.svc"

    def node_number(self, pod: str) -> str:
        """The number of the node that a pod is on."""
        return str(self.get("pod", pod)["spec"]["nodeName"]).removeprefix("node-")

    def ask(self, pod: str, *command: str, port: int = 6379) -> Any:
        """The reply of a pod's server, or of its sentinel."""
        return self._client.call(self.host(pod), *command, port=port)

    def connect(self) -> None:
        """As the connection is now; its password changes when it rotates."""
        self.close()
        self.known = self.connection()
        self._client = Client(self.known["password"], self.known.get("ca_pem", ""))

    def close(self) -> None:
        if self._client:
            self._client.close()

    def await_whole(self, *, quiet: bool = True) -> None:
        """Waits until all is as it should be, and fails when it never is; when nobody writes, copies have the same keys."""
        self.await_ready()
        said = [""]

        def whole() -> bool:
            said[0] = self.fault() or (self._difference() if quiet else "")
            return not said[0]

        try:
            eventually(whole, "all is whole")
        except AssertionError as error:
            raise AssertionError(f"{error}: {said[0]}") from None

    def _difference(self) -> str:
        different = [counts for counts in self.key_counts() if len(set(map(str, counts.values()))) > 1]
        return f"keys: {different}" if different else ""

    def signal(self, pod: str, program: str, number: signal.Signals) -> None:
        """Signals a container's process from outside, because its first process ignores what comes from inside."""
        os.kill(self._process(pod, program), number)

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
