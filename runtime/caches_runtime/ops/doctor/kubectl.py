"""The cluster as kubectl sees it: only asked, never changed. Which one, the person has said."""

import contextlib
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from caches_runtime.ops.doctor.asking import UnreachableError
from caches_runtime.ops.doctor.facts import NotKnown, Object

_SECONDS = 20
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")
_NO_SUCH_KIND = "the server doesn't have a resource type"


class CouldNotLookError(Exception):
    """Nothing can be said about anything, and why."""


class Kubectl:
    """kubectl, for one cluster."""

    def __init__(self, context: str | None, kubeconfig: str | None) -> None:
        named = {"--context": context, "--kubeconfig": kubeconfig}
        self._named = [f"{option}={value}" for option, value in named.items() if value]
        self._listed: dict[tuple[str, ...], Sequence[Object] | NotKnown] = {}

    def require(self, namespace: str) -> None:
        """Raises CouldNotLookError when no cluster was named, it does not answer, or pods of the namespace can't be seen."""
        if not self._named:
            # Whatever a kubeconfig happens to point at is not asked.
            raise CouldNotLookError("no cluster was named: give --context NAME, of your kubeconfig, or --kubeconfig FILE")
        if not shutil.which("kubectl"):
            raise CouldNotLookError("`kubectl` is not on PATH, and the cluster is asked by it")
        if isinstance(found := self.list("pods", namespace), NotKnown):
            raise CouldNotLookError(f"the cluster can't be asked: {found.why}")

    def list(self, kind: str, namespace: str = "", selector: str = "") -> Sequence[Object] | NotKnown:
        """The objects of a kind, in a namespace or everywhere; none where the cluster has no such kind. Asked once."""
        words = kind, f"--namespace={namespace}" if namespace else "--all-namespaces", f"--selector={selector}"
        if words not in self._listed:
            self._listed[words] = self._list(*words)
        return self._listed[words]

    def list_anywhere(self, kind: str, namespace: str, selector: str = "") -> Sequence[Object] | NotKnown:
        """The objects of a kind everywhere, or, where that is not allowed, in the one namespace."""
        found = self.list(kind, selector=selector)
        return self.list(kind, namespace, selector) if isinstance(found, NotKnown) else found

    def raw(self, path: str) -> Any:
        """What the API answers at a path; or NotKnown."""
        done = self._run("get", f"--raw={path}")
        return json.loads(done.stdout) if done.returncode == 0 else _not_known(f"get --raw {path}", done)

    @contextlib.contextmanager
    def forward(self, namespace: str, pod: str, port: int) -> Iterator[int]:
        """A port of this machine that leads to one of a pod's, until the block ends. Raises UnreachableError."""
        where = [f"--namespace={namespace}", "--address=127.0.0.1", f"pod/{pod}", f":{port}"]
        words = ["kubectl", *self._named, "port-forward", *where]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forwarding:
            # A node that is lost says nothing.
            limit = threading.Timer(_SECONDS, forwarding.kill)
            limit.start()
            try:
                said = forwarding.stdout.readline() if forwarding.stdout else ""
                limit.cancel()
                if not (found := _FORWARDING.match(said)):
                    raise UnreachableError(f"the pod can't be reached: {said.strip() or f'nothing within {_SECONDS} s'}")
                yield int(found[1])
            finally:
                limit.cancel()
                forwarding.terminate()

    def _list(self, kind: str, *where: str) -> Sequence[Object] | NotKnown:
        done = self._run("get", kind, *where, "--output=json")
        if done.returncode and _NO_SUCH_KIND in done.stderr:
            return []
        return json.loads(done.stdout)["items"] if done.returncode == 0 else _not_known(f"get {kind}", done)

    def _run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = ["kubectl", *self._named, f"--request-timeout={_SECONDS}s", *words]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _not_known(what: str, done: "subprocess.CompletedProcess[str]") -> NotKnown:
    said = done.stderr.strip().splitlines()
    return NotKnown(f"`kubectl {what}`: {said[-1] if said else f'ended with {done.returncode}'}")
