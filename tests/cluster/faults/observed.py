"""A deployed cache under observation: its pods' processes and networks, and what must hold after every fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Self

from cluster.deployed import NODE, WATCHER, Client, Deployed, eventually, reporting, writers

CONTROL_PLANE = "1"
"""The node of the API server and the DNS; clients of the tests are beside it."""
_CUT = """
table inet cut {
  chain in { type filter hook input priority 0; policy drop; iif lo accept; }
  chain out { type filter hook output priority 0; policy drop; oif lo accept; }
}
"""


class Observed(Deployed, ABC):
    """A component named `cache`, whose servers are asked and signalled one by one."""

    watched_keys: tuple[str, ...] = ("watched",)

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
    def copies(self) -> list[list[str]]:
        """The sets of pods that have the same data."""

    @contextmanager
    def deployed(self, **args: Any) -> Iterator[Self]:
        """Deploys with these arguments, and destroys it when the block ends."""
        self.args = args
        with super().deployed(**args):
            self.connect()
            try:
                yield self
            finally:
                self.close()

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
        """By what is quick to tell first: how many keys there are, then a sum of all keys and values."""
        for command in ("DBSIZE", "DIGEST"):
            for pods in self.copies():
                said = {pod: str(self.ask(pod, command)) for pod in pods}
                if len({*said.values()}) > 1:
                    return f"{command}: {said}"
        return ""

    def replace(self, pod: str, *how: str) -> None:
        """Deletes a pod, and waits for its successor, though not until it is ready."""
        uid = self.pods()[pod]
        self.kubectl("delete", "pod", pod, *how)
        eventually(lambda: self.pods().get(pod, uid) != uid, f"a new {pod}")

    def renew_crashed(self) -> None:
        """A container that crashes again and again is started later each time, the third time after 20 s; a new pod's is not."""
        for pod in self.pod_names():
            if self.restarts(pod) > 1:
                self.replace(pod)
                self.await_whole(quiet=False)

    def restarts(self, pod: str) -> int:
        """Of its containers, how often they were started again."""
        return sum(status["restartCount"] for status in self.get("pod", pod)["status"]["containerStatuses"])

    def await_restart(self, pod: str, after: int) -> None:
        eventually(lambda: self.restarts(pod) > after, f"{pod} starts again", 360)

    def empty(self) -> None:
        """Removes all keys, so that those of many cases do not add up."""
        for pod in chain(*self.copies()):
            self.ask(pod, "FLUSHALL")

    @contextmanager
    def writing(self, *kinds: str) -> Iterator[dict[str, Any]]:
        """Clients of these kinds (see writers.py) write while the block runs; what came of it is in the dictionary afterwards."""
        with writers(self.known, *kinds) as result:
            yield result
        for kind, said in result.items():
            print(f"{kind}: {said['written']} written, {said['lost']} lost, gap {said['longest_gap_seconds']:.2f} s, {said['errors']}")

    @contextmanager
    def watched(self) -> Iterator[dict[str, float]]:
        """After the block: for how many seconds two servers accepted writes of the same key, for one key of each shard."""
        hosts = [self.host(pod) for pod in self.pod_names()]
        given = {"password": self.known["password"], "ca_pem": self.known.get("ca_pem", ""), "hosts": hosts}
        with reporting([NODE, "run", "--", sys.executable, WATCHER, *self.watched_keys], given) as together:
            yield together
        print(f"two masters: {together}")

    def signal(self, pod: str, program: str, number: signal.Signals) -> None:
        """Signals a container's process from outside, because its first process ignores what comes from inside."""
        os.kill(self._process(pod, program), number)

    def cut(self, pod: str) -> None:
        """Cuts a pod off from all others."""
        self._in_network(pod, "nft", "--file", "-", input=_CUT)

    def heal(self, pod: str) -> None:
        self._in_network(pod, "nft", "delete", "table", "inet", "cut")

    def write_alone(self, pod: str, prefix: str) -> int:
        """Writes inside a pod that is cut off until its server refuses, which it must; how often it did not."""
        script = """
          REDISCLI_AUTH=$(cat /etc/cache/credentials/password); export REDISCLI_AUTH
          written=0
          while [ "$("$ENGINE-cli" set "$1$written" 1)" = OK ]; do written=$((written + 1)); done
          echo "$written"
        """
        return int(self.kubectl("exec", pod, "--container=redis", "--", "timeout", "20", "sh", "-c", script, "sh", prefix))

    def _in_network(self, pod: str, *command: str, input: str = "") -> None:
        subprocess.run(["nsenter", f"--target={self._process(pod, 'server')}", "--net", *command], input=input, text=True, check=True)

    def _process(self, pod: str, program: str) -> int:
        uid = self.pods()[pod]
        found = processes_of(program, uid)
        assert len(found) == 1, f"{program} of {pod}: {found}"
        return found[0]


def processes_of(program: str, uid: str) -> list[int]:
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
