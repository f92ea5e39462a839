"""The embedded cluster, run for real. What breaks or deletes a cluster is done to a second one beside the first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

NODE = Path(__file__).resolve().parents[2] / "tools" / "node"
SECOND = "second"

# As caches are run: no root, nothing writable but the volume.
WRITER = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: writer}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: writer}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: writer}}
  template:
    metadata: {labels: {app: writer}}
    spec:
      securityContext: {runAsUser: 999, runAsGroup: 999, runAsNonRoot: true, fsGroup: 999}
      containers:
        - name: writer
          image: redis:8.0.2
          command: [sh, -c, "echo started >>/data/starts; trap 'exit 0' TERM; sleep infinity & wait"]
          securityContext: {readOnlyRootFilesystem: true}
          readinessProbe: {exec: {command: [test, -s, /data/starts]}, periodSeconds: 1}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: writer}}]
"""

# One web server on each node, behind a service.
SERVERS = """
apiVersion: v1
kind: Service
metadata: {name: servers}
spec: {selector: {app: servers}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: servers}
spec:
  selector: {matchLabels: {app: servers}}
  template:
    metadata: {labels: {app: servers}}
    spec:
      containers:
        - name: server
          image: caches.test/busybox:1
          command: [sh, -c, "hostname >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
"""


@dataclass(frozen=True)
class Cluster:
    instance: str

    def node(self, *arguments: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CACHES_NODE_INSTANCE": self.instance}
        environment.pop("NODES", None)
        done = subprocess.run([NODE, *arguments], env=environment, input=input, capture_output=True, text=True, timeout=600)
        assert not check or done.returncode == 0, done.stderr
        return done

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.node("kubectl", *arguments, input=input).stdout

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.node("status", "--json").stdout))

    def process(self, space: str, name: str) -> int:
        found = [process["pid"] for process in self.status()["processes"] if (process["space"], process["name"]) == (space, name)]
        return int(found[0])

    def await_writer(self) -> str:
        """What the writer has written."""
        self.kubectl("rollout", "status", "deployment/writer", "--timeout=90s")
        return self.kubectl("exec", "deployment/writer", "--", "cat", "/data/starts")


@pytest.fixture(scope="module")
def first() -> Cluster:
    return Cluster(os.environ["CACHES_NODE_INSTANCE"])


def traces() -> dict[str, str]:
    """What a cluster could leave on the machine outside of its own control groups."""

    def output(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return {
        "mounts": Path("/proc/self/mounts").read_text(),
        "links": "\n".join(sorted(link["ifname"] for link in json.loads(output("ip", "-json", "link")))),
        "routes": output("ip", "route", "show", "table", "all"),
        "rules": output("nft", "list", "ruleset"),
        "network namespaces": output("ip", "netns"),
    }


def processes_of(instance: str) -> list[str]:
    """Those that have ended, but that the machine's init hasn't noticed yet, have no command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_text(errors="replace")
                words = (folder / "cgroup").read_text() + command
            except (FileNotFoundError, ProcessLookupError):
                continue
            if command and (f"/{instance}-" in words or f"pulumi-caches/{instance}/" in words or f"node-{instance}/" in words):
                found.append(f"{folder.name}: {words}")
    return found


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    Cluster(SECOND).node("down")
    return traces()


@pytest.fixture(scope="module")
def second(before: dict[str, str]) -> Iterator[Cluster]:
    cluster = Cluster(SECOND)
    cluster.node("up", "--nodes", "3")
    cluster.kubectl("apply", "--filename=-", input=WRITER + "---" + SERVERS)
    cluster.kubectl("rollout", "status", "daemonset/servers", "--timeout=90s")
    cluster.await_writer()
    yield cluster
    cluster.node("down")


def test_up_again_is_quick_and_changes_nothing(first: Cluster) -> None:
    before = first.status()["processes"]
    started = time.monotonic()
    first.node("up")
    assert time.monotonic() - started < 2
    assert first.status()["processes"] == before


def test_another_number_of_nodes_is_refused(first: Cluster) -> None:
    other = str(len(first.status()["nodes"]) % 5 + 1)
    done = first.node("up", "--nodes", other, check=False)
    assert done.returncode == 1
    assert "tools/node down" in done.stderr


def test_status(first: Cluster) -> None:
    status = first.status()
    assert status["state"] == "up"
    assert all(node["ready"] and not node["cut"] for node in status["nodes"])
    assert status["nodes"][0]["zone"] == "zone-1"
    assert status["nodes"][0]["kubernetes"] == "v1.34.4"
    assert all(process["alive"] for process in status["processes"])
    assert Path(status["kubeconfig"]).stat().st_mode & 0o777 == 0o600
    assert status["memory_bytes"] > 0


def test_secrets_are_not_in_logs_or_command_lines(first: Cluster) -> None:
    status = first.status()
    rows = (Path(status["data"]) / "secrets" / "tokens.csv").read_text().splitlines()
    tokens = [row.split(",")[0] for row in rows]
    assert len(set(tokens)) == len(rows) > 5
    texts = [file.read_text(errors="replace") for file in Path(status["logs"]).iterdir()]
    texts += [Path(f"/proc/{process['pid']}/cmdline").read_text() for process in status["processes"]]
    assert not [token for token in tokens for text in texts if token in text]


def test_run_passes_on_exit_code_output_and_input(first: Cluster) -> None:
    done = first.node("run", "--", "sh", "-c", "cat; echo err >&2; exit 7", input="given", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "given", "err\n")


def test_run_resolves_names_and_has_a_loopback(first: Cluster) -> None:
    resolved = first.node("run", "getent", "hosts", "kubernetes.default.svc.cluster.local").stdout
    assert resolved.split()[0] == "10.96.0.1"
    assert first.node("run", "getent", "hosts", "no.such.name", check=False).returncode != 0
    first.node("run", "busybox", "ping", "-c", "1", "-W", "1", "127.0.0.1")


def test_run_leaves_the_resolver_of_the_machine_alone(first: Cluster) -> None:
    machine = Path("/etc/resolv.conf").read_text()
    assert first.node("run", "cat", "/etc/resolv.conf").stdout != machine
    assert Path("/etc/resolv.conf").read_text() == machine


def test_images_get_further_names(first: Cluster) -> None:
    first.node("images", "example.com/renamed:1")
    first.kubectl("delete", "pod", "renamed", "--ignore-not-found", "--now")
    first.kubectl("run", "renamed", "--image=example.com/renamed:1", "--restart=Never", "--command", "--", "valkey-server", "--version")
    first.kubectl("wait", "pod/renamed", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert "Valkey" in first.kubectl("logs", "renamed") or "v=8" in first.kubectl("logs", "renamed")
    first.kubectl("delete", "pod", "renamed", "--now")


def test_a_node_per_zone(second: Cluster) -> None:
    assert [(node["zone"], node["ready"]) for node in second.status()["nodes"]] == [(f"zone-{n}", True) for n in (1, 2, 3)]
    labels = second.kubectl("get", "nodes", "--output=jsonpath={.items[*].metadata.labels.topology\\.kubernetes\\.io/zone}")
    assert labels.split() == ["zone-1", "zone-2", "zone-3"]


def test_every_pod_reaches_services_and_pods_of_all_nodes(second: Cluster) -> None:
    addresses = second.kubectl("get", "pods", "--selector=app=servers", "--output=jsonpath={.items[*].status.podIP}").split()
    names = second.kubectl("get", "pods", "--selector=app=servers", "--output=jsonpath={.items[*].metadata.name}").split()
    assert len(addresses) == 3
    for name in names:
        answers = {second.kubectl("exec", name, "--", "wget", "-q", "-O-", f"http://{address}:8080").strip() for address in addresses}
        assert answers == set(names)
        assert second.kubectl("exec", name, "--", "wget", "-q", "-O-", "http://servers.default.svc.cluster.local").strip() in names
    assert second.node("run", "busybox", "wget", "-q", "-O-", "http://servers.default.svc.cluster.local").stdout.strip() in names


def test_a_cut_node_is_not_reached_until_healed(second: Cluster) -> None:
    ping = ("run", "busybox", "ping", "-c", "1", "-W", "1", "10.123.0.12")
    second.node(*ping)
    second.node("cut", "2")
    assert second.node(*ping, check=False).returncode != 0
    assert [node["cut"] for node in second.status()["nodes"]] == [False, True, False]
    refused = second.node("up", check=False)
    assert refused.returncode == 1
    assert "tools/node heal" in refused.stderr
    second.node("heal", "2")
    second.node(*ping)


def test_a_volume_survives_the_restart_of_its_node(second: Cluster) -> None:
    written = second.await_writer()
    pod = json.loads(second.kubectl("get", "pods", "--selector=app=writer", "--output=json"))["items"][0]
    second.node("restart", pod["spec"]["nodeName"].removeprefix("node-"))
    assert second.await_writer() == written + "started\n"


def test_restart_repairs_a_node(second: Cluster) -> None:
    for name in ("containerd", "kubelet", "holder"):
        os.kill(second.process("node-3", name), signal.SIGKILL)
    assert second.status()["state"] == "broken"
    second.node("restart", "3")
    assert second.status()["state"] == "up"
    second.kubectl("rollout", "status", "daemonset/servers", "--timeout=60s")


def test_up_recovers_from_a_killed_api_server(second: Cluster) -> None:
    second.kubectl("create", "configmap", "kept", "--from-literal=key=value")
    os.kill(second.process("control", "kube-apiserver"), signal.SIGKILL)
    assert second.status()["state"] == "broken"
    second.node("up")
    assert second.kubectl("get", "configmap", "kept", "--output=jsonpath={.data.key}") == "value"


def test_up_recovers_when_everything_was_killed(second: Cluster) -> None:
    written = second.await_writer()
    for process in second.status()["processes"]:
        os.kill(process["pid"], signal.SIGKILL)
    second.node("up")
    assert second.await_writer() == written + "started\n"


def test_stop_keeps_data_and_credentials(second: Cluster) -> None:
    written = second.await_writer()
    kubeconfig = Path(second.status()["kubeconfig"])
    credentials = kubeconfig.read_text()
    second.node("stop")
    assert second.status()["state"] == "down"
    assert not processes_of(SECOND)
    second.node("stop")
    second.node("up")
    assert len(second.status()["nodes"]) == 3
    assert kubeconfig.read_text() == credentials
    assert second.await_writer() == written + "started\n"


def test_a_deleted_claim_deletes_its_files(second: Cluster) -> None:
    volumes = Path(second.status()["volumes"])
    assert [folder.name.endswith("default_writer") for folder in volumes.iterdir()] == [True]
    second.kubectl("delete", "deployment,persistentvolumeclaim", "writer", "--timeout=60s")
    second.kubectl("wait", "persistentvolume", "--all", "--for=delete", "--timeout=60s")
    assert not list(volumes.iterdir())


def test_down_leaves_nothing(second: Cluster, before: dict[str, str]) -> None:
    data = Path(second.status()["data"])
    second.node("down")
    assert traces() == before
    assert not processes_of(SECOND)
    assert not list(Path("/sys/fs/cgroup").glob(f"{SECOND}-*")) + list(Path("/sys/fs/cgroup").glob(f"*/{SECOND}-*"))
    assert not data.exists()
    assert second.status()["state"] == "down"
    second.node("down")


def test_commands_explain_themselves_and_what_is_missing(second: Cluster) -> None:
    second.node("down")
    for command in ("up", "stop", "down", "status", "run", "kubectl", "images", "cut", "heal", "restart"):
        assert command in second.node(command, "--help").stdout
    for arguments in (("run", "true"), ("kubectl", "version"), ("images",), ("cut", "1"), ("restart", "1")):
        refused = second.node(*arguments, check=False)
        assert refused.returncode == 1
        assert "tools/node up" in refused.stderr
    assert "1 to 5" in second.node("up", "--nodes", "6", check=False).stderr
