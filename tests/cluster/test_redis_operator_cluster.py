"""RedisOperatorCluster with the OT operator's real custom resource definitions on the real API server, then with the real operator.

Without an operator it is proved that the API server accepts every field as the definitions have it, and that `up` waits for
what an operator would say. With it, that it understands them. Its images can't be had: Debian's Redis stands in for them.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import NODE, Deployed, call, eventually
from common import go_build

pytestmark = pytest.mark.cluster

IMAGE = "docker.io/library/redis:8.0.2"


@pytest.fixture(scope="module", autouse=True)
def definitions() -> Iterator[None]:
    files = go_build.build(["operator-crds"])["operator-crds"] / "*.yaml"
    # On the server's side: they are too large for the annotation that the other way leaves.
    for command in (["apply", "--server-side"], ["wait", "--for=condition=Established"]):
        subprocess.run([NODE, "kubectl", *command, "--filename", files], check=True, capture_output=True)
    yield
    subprocess.run([NODE, "kubectl", "delete", "--filename", files], check=True, capture_output=True)


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployed]:
    deployed = Deployed(tmp_path, "operated", "RedisOperatorCluster")
    try:
        yield deployed
    finally:
        deployed.destroy()


EVERYTHING: dict[str, Any] = {
    "image_pull_secrets": ["registry"],
    "cpu_limit": 1,
    "persistence": "aof+rdb",
    "storage_class": "fast",
    "node_spread": "required",
    "zone_spread": "required",
    "dedicated_nodes": "dedicated=caches",
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "priority_class_name": "caches",
    "evictable": False,
    "labels": {"team": "shop"},
    "replicas": 2,
    "await_ready": False,
}


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [("cluster", ["RedisCluster"]), ("sentinel", ["RedisReplication", "RedisSentinel"])],
)
def test_the_api_server_accepts_every_field_and_would_refuse_a_misspelt_one(deployed: Deployed, mode: str, kinds: list[str]) -> None:
    deployed.arguments(mode=mode, **EVERYTHING)
    deployed.up()
    deployed.preview("--expect-no-changes")
    deployed.refresh("--expect-no-changes")
    state = {resource["type"].rpartition(":")[2]: resource for resource in deployed.export()}
    for kind in kinds:
        sent = {key: state[kind]["inputs"][key] for key in ("apiVersion", "kind", "metadata", "spec")}
        strictly(deployed, sent)
        # The server drops silently what it does not know, when it is not asked to be strict.
        assert lost(sent["spec"], deployed.get(kind.lower(), "cache")["spec"]) == []
        sent["spec"]["kubernetesConfig"]["imagePullPolicies"] = "Always"
        assert 'unknown field "spec.kubernetesConfig.imagePullPolicies"' in strictly(deployed, sent, succeeds=False)


@pytest.mark.parametrize(
    ("mode", "kind", "status"),
    [
        ("cluster", "rediscluster", {"state": "Ready"}),
        ("sentinel", "redisreplication", {"masterNode": "cache-0"}),
    ],
)
def test_up_waits_for_what_the_operator_says(deployed: Deployed, mode: str, kind: str, status: dict[str, str]) -> None:
    deployed.arguments(mode=mode)
    up = threading.Thread(target=deployed.up)
    up.start()
    eventually(lambda: kind in deployed.kubectl("get", kind, "--output=name"), "the custom resource is there")
    up.join(timeout=10)
    assert up.is_alive()
    # In the operator's place.
    deployed.kubectl("patch", kind, "cache", "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status}))
    up.join(timeout=60)
    assert not up.is_alive()
    assert deployed.connection()["mode"] == mode


@pytest.fixture(scope="module")
def operator() -> Iterator[None]:
    subprocess.run([NODE, "redis-operator"], check=True)
    yield
    subprocess.run([NODE, "kubectl", "delete", "namespace", "redis-operator"], check=True, capture_output=True)


@pytest.mark.usefixtures("operator")
def test_the_operator_makes_a_cluster_of_it_and_takes_it_away(deployed: Deployed) -> None:
    deployed.arguments(image=IMAGE, persistence="rdb", rdb_save_points=["777 7"])
    deployed.up()
    connection = deployed.connection()
    host, password = connection["host"], connection["password"]
    assert "AuthenticationError" in call(host, "", "PING")
    info = call(host, password, "CLUSTER", "INFO").split()
    assert {"cluster_state:ok", "cluster_known_nodes:6", "cluster_size:3"} <= set(info)
    for node in connection["nodes"]:
        assert call(node.partition(":")[0], password, "PING") == "PONG"
        # Ours wins over the operator's own.
        assert call(node.partition(":")[0], password, "CONFIG", "GET", "save") == ["save", "777 7"]
        assert call(node.partition(":")[0], password, "CONFIG", "GET", "maxmemory") == ["maxmemory", str(96 * 2**20)]
    assert {budget["metadata"]["name"] for budget in deployed.get("poddisruptionbudgets")["items"]} == {"cache-leader", "cache-follower"}
    # The operator has written the resource back in the meantime.
    deployed.preview("--expect-no-changes")
    deployed.refresh("--expect-no-changes")
    deployed.destroy()
    namespaces = deployed.kubectl("get", "persistentvolumeclaims", "--all-namespaces", "--output=name")
    assert "cache" not in namespaces, "storage_retained was false"


def strictly(deployed: Deployed, resource: dict[str, Any], *, succeeds: bool = True) -> str:
    """What the API server says of the resource when unknown fields are errors; nothing is changed."""
    words = [str(NODE), "kubectl", "-n", deployed.namespace, "replace", "--validate=strict", "--dry-run=server", "--filename=-"]
    done = subprocess.run(words, input=json.dumps(resource), capture_output=True, text=True)
    assert (done.returncode == 0) is succeeds, done.stderr
    return done.stdout + done.stderr


def lost(sent: Any, kept: Any, path: str = "spec") -> list[str]:
    """The fields that were sent and are not there."""
    if isinstance(sent, dict):
        missing = [f"{path}.{key}" for key in sent if key not in kept]
        return missing + [field for key in sent if key in kept for field in lost(sent[key], kept[key], f"{path}.{key}")]
    if isinstance(sent, list):
        return [field for index, (one, other) in enumerate(zip(sent, kept, strict=True)) for field in lost(one, other, f"{path}[{index}]")]
    return [] if sent == kept else [f"{path}: {sent!r} became {kept!r}"]
