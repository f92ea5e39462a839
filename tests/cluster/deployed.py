"""A cache deployed to the embedded cluster by the real engine, and clients of it inside the cluster's network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from common import paths
from embedded.layout import Layout
from engine.program import Program

CHECKOUT = Path(__file__).resolve().parents[2]
NODE = CHECKOUT / "tools" / "node"
PROGRAM = CHECKOUT / "tests" / "programs" / "component"
CLIENT = Path(__file__).parent / "redis_client.py"
WRITERS = Path(__file__).parent / "writers.py"
WATCHER = Path(__file__).parent / "watcher.py"


class Deployed(Program):
    """One component named `cache` in a namespace of its own."""

    def __init__(self, scratch: Path, namespace: str, component: str = "RedisStatefulSet") -> None:
        self.namespace = namespace
        shutil.copytree(PROGRAM, scratch / "program")
        # The program has a home of its own; the cluster is in the person's.
        found = {"XDG_STATE_HOME": str(paths.state().parent), "CACHES_NODE_INSTANCE": Layout.of_environment().instance}
        super().__init__(scratch / "program", scratch, found, prefix=[str(NODE), "run", "--"])
        self.pulumi("config", "set", "kubeconfig", str(Layout.of_environment().kubeconfig))
        self.pulumi("config", "set", "namespace", namespace)
        self.pulumi("config", "set", "component", component)

    def arguments(self, **args: Any) -> None:
        """Sets the component's arguments; small and leaving nothing behind unless told otherwise."""
        small = {"memory_gib": 0.125, "cpu_request": 0.02, "storage_retained": False}
        self.pulumi("config", "set", "args", json.dumps({**small, **args}))

    @contextmanager
    def deployed(self, **args: Any) -> Iterator[Self]:
        """Deploys with these arguments, and destroys it when the block ends."""
        self.arguments(**args)
        try:
            self.up()
            yield self
        finally:
            self.destroy()

    def back_up(self, settings: dict[str, Any]) -> None:
        """Deploys a CacheBackup beside what is deployed; on a volume, which the first backup mounts at once."""
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "backups"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
        file = self.folder / "claim.json"
        file.write_text(json.dumps(claim))
        self.kubectl("apply", f"--filename={file}")
        self.pulumi("config", "set", "backup", json.dumps({"bucket": "pvc://backups/cache", **settings}))
        self.up()

    def connection(self) -> dict[str, Any]:
        return dict(self.outputs()["connection"])

    def kubectl(self, *arguments: str, succeeds: bool = True) -> str:
        done = subprocess.run([NODE, "kubectl", "-n", self.namespace, *arguments], capture_output=True, text=True)
        assert (done.returncode == 0) is succeeds, done.stderr
        return done.stdout if succeeds else done.stderr

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def pods(self) -> dict[str, str]:
        """The uid of every server's pod."""
        items = self.get("pods", "--selector=app.kubernetes.io/component")["items"]
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}

    def await_ready(self) -> None:
        for stateful_set in self.get("statefulsets")["items"]:
            self.kubectl("rollout", "status", f"statefulset/{stateful_set['metadata']['name']}", "--timeout=120s")


def call(host: str, password: str, *command: str, port: int = 6379) -> Any:
    """The reply of one command, or the text of its error."""
    done = subprocess.run(_client(host, "call", *command, port=port), input=f"{password}\n", capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    return answer.get("reply", answer.get("error"))


class Client:
    """Asks any server in the cluster's network; one process for many questions."""

    def __init__(self, password: str, ca_pem: str = "") -> None:
        command, environment = _client("-", "serve"), {**os.environ, "CA_PEM": ca_pem}
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(password)

    def call(self, host: str, *command: str, port: int = 6379) -> Any:
        """The reply, or the text of its error."""
        self._say(json.dumps([host, port, *command]))
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        return answer.get("reply", answer.get("error"))

    def close(self) -> None:
        self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


@contextmanager
def writing(host: str, password: str) -> Iterator[dict[str, Any]]:
    """Writes while the block runs; what came of it is in the dictionary afterwards."""
    result: dict[str, Any] = {}
    with subprocess.Popen(_client(host, "write"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(f"{password}\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "started\n"
        try:
            yield result
        finally:
            writer.stdin.close()
            result |= json.loads(writer.stdout.read())


def eventually(check: Callable[[], bool], what: str, seconds: float = 120, every: float = 0.3) -> None:
    """Waits for a condition, looking every so many seconds."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)


@contextmanager
def writers(connection: dict[str, Any], *kinds: str) -> Iterator[dict[str, Any]]:
    """Clients of these kinds (see writers.py) write while the block runs; what came of it is in the dictionary afterwards."""
    with reporting([NODE, "run", "--", sys.executable, WRITERS, *kinds], connection) as result:
        yield result


@contextmanager
def reporting(command: list[str | Path], given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A process that is told something, works while the block runs, and reports; its report is in the dictionary afterwards."""
    result: dict[str, Any] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "started\n"
        try:
            yield result
        finally:
            process.stdin.close()
            result |= json.loads(process.stdout.read())


def _client(host: str, *arguments: str, port: int = 6379) -> list[str | Path]:
    return [NODE, "run", "--", sys.executable, CLIENT, host, str(port), *arguments]
