"""CacheWarmup on the real cluster: traffic waits for it, whatever ends its pod, and one cache is filled from another."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.client.rendezvous import Rendezvous
from cluster.deployed import Client, Deployed, eventually
from cluster.faults.observed import processes
from cluster.test_memcached_shards import call as ask_shard

pytestmark = pytest.mark.cluster

KEYS = 8000
SLOWLY = 400
GATE = {"name": "cache-warmup", "key": "warm"}


def application(name: str, **container: Any) -> list[dict[str, Any]]:
    """A Deployment of one pod that does nothing, and its Service."""
    labels = {"app": name}
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {"name": "app", "image": "docker.io/library/redis:8.0.2", "command": ["sleep", "infinity"], "securityContext": security}
        ],
    }
    pod["containers"][0] |= {key: value for key, value in container.items() if key != "volumes"}  # type: ignore[index]
    pod |= {"volumes": container.get("volumes", [])}
    template = {"metadata": {"labels": labels}, "spec": pod}
    deployment = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": labels, "ports": [{"port": 80}]}},
    ]


# As docs/cache-warmup.md has them.
STARTS_LATER = application("starts-later", env=[{"name": "CACHE_IS_WARM", "valueFrom": {"configMapKeyRef": GATE}}])
READY_LATER = application(
    "ready-later",
    readinessProbe={"exec": {"command": ["test", "-e", "/gate/warm"]}, "periodSeconds": 2},
    volumeMounts=[{"name": "gate", "mountPath": "/gate"}],
    volumes=[{"name": "gate", "configMap": {"name": GATE["name"], "optional": True}}],
)
ENTRIES = "".join(json.dumps({"key": f"product:{number}", "value": f"value{number}"}) + "\n" for number in range(KEYS))
PRODUCTS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "products"}, "data": {"warm.jsonl": ENTRIES}}


def apply(deployed: Deployed, *objects: dict[str, Any]) -> None:
    file = deployed.folder / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    deployed.kubectl("apply", "--server-side", f"--filename={file}")


def warm_up(deployed: Deployed, **args: Any) -> None:
    deployed.pulumi("config", "set", "warmup", json.dumps(args))
    deployed.up()


def serving(deployed: Deployed, service: str) -> bool:
    """Whether the Service has an endpoint that takes traffic."""
    slices = deployed.get("endpointslices", f"--selector=kubernetes.io/service-name={service}")["items"]
    return any(endpoint["conditions"].get("ready") for each in slices for endpoint in each.get("endpoints") or [])


def job_pods(deployed: Deployed) -> list[dict[str, Any]]:
    items = deployed.get("pods", "--selector=batch.kubernetes.io/job-name=cache-warmup")["items"]
    return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))


def values(deployed: Deployed, number: int) -> list[Any]:
    known = deployed.connection()
    client = Client(known["password"])
    try:
        return [client.call(known["host"], "GET", f"product:{each}") for each in range(0, number, 100)]
    finally:
        client.close()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A cache that nothing has filled yet, and two applications that wait for it."""
    cache = Deployed(tmp_path_factory.mktemp("warmup"), "warmup")
    with cache.deployed(persistence="none", storage_retained=None):
        apply(cache, PRODUCTS, *STARTS_LATER, *READY_LATER)
        yield cache


def test_traffic_waits_until_a_warm_up_that_is_killed_in_the_middle_is_done(cache: Deployed) -> None:
    known = cache.connection()
    client = Client(known["password"])
    eventually(lambda: bool(cache.get("pods", "--selector=app=ready-later")["items"]), "the applications' pods")
    # Not waited for: what is seen next is seen while it works.
    warm_up(cache, source="configmap://products/warm.jsonl", keys_per_second=SLOWLY, wait=False)
    eventually(lambda: int(client.call(known["host"], "DBSIZE")) > KEYS / 4, "a quarter of the keys")
    [process] = processes(job_pods(cache)[0]["metadata"]["uid"], "/usr/bin/python3 ")
    os.kill(process, signal.SIGKILL)
    eventually(lambda: len(job_pods(cache)) == 2, "another pod of the Job")
    assert not serving(cache, "starts-later")
    assert not serving(cache, "ready-later")
    [waiting] = cache.get("pods", "--selector=app=starts-later")["items"]
    assert waiting["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    cache.kubectl("wait", "job/cache-warmup", "--for=condition=Complete", "--timeout=120s")
    log = cache.kubectl("logs", job_pods(cache)[-1]["metadata"]["name"])
    found = re.search(r"going on after (\d+) records", log)
    assert found, log
    assert int(found[1]) > KEYS / 8
    assert f"holds {KEYS} keys" in log
    assert values(cache, KEYS) == [f"value{number}" for number in range(0, KEYS, 100)]
    eventually(lambda: serving(cache, "starts-later") and serving(cache, "ready-later"), "traffic")
    client.close()


def test_nothing_is_changed_by_another_up_and_the_gate_stays_open(cache: Deployed) -> None:
    assert cache.get("configmap", "cache-warmup")["data"].keys() == {"warm"}
    cache.refresh()
    cache.up()
    assert cache.get("configmap", "cache-warmup")["data"].keys() == {"warm"}
    assert len(job_pods(cache)) == 2


def test_a_cache_that_restarts_takes_no_traffic_away_and_is_filled_again_on_demand(cache: Deployed) -> None:
    cache.kubectl("delete", "pod", "cache-0")
    cache.await_ready()
    assert serving(cache, "starts-later")
    # Also of pods that come later.
    cache.kubectl("delete", "pod", "--selector=app=starts-later")
    cache.kubectl("rollout", "status", "deployment/starts-later", "--timeout=60s")
    assert values(cache, 100) == [None]
    warm_up(cache, source="configmap://products/warm.jsonl", version=2)
    assert values(cache, KEYS) == [f"value{number}" for number in range(0, KEYS, 100)]
    assert serving(cache, "starts-later")


def test_no_password_is_in_a_pod_a_log_or_a_config_map(cache: Deployed) -> None:
    shown = json.dumps([cache.get(kind) for kind in ("pods", "jobs", "configmaps", "events")]) + cache.kubectl("logs", "job/cache-warmup")
    [encoded] = cache.get("secret", "cache-warmup")["data"].values()
    assert json.loads(base64.b64decode(encoded))["password"] == cache.connection()["password"]
    assert cache.connection()["password"] not in shown


def test_a_cluster_is_filled_from_another_cache_and_pulumi_waits_for_it(cache: Deployed, tmp_path: Path) -> None:
    cluster = Deployed(tmp_path, "warmup-cluster", "RedisClusterWithInit")
    cluster.pulumi("config", "set", "warmup", json.dumps({"from_connection": cache.connection(), "jitter": 0}))
    with cluster.deployed(memory_gib=0.0625, replicas_per_shard=0, data_loss_accepted=True):
        outputs = cluster.outputs()
        assert outputs["warm"] == outputs["connection"]
        client = Client(outputs["connection"]["password"])
        sizes = [int(client.call(node.partition(":")[0], "DBSIZE")) for node in outputs["connection"]["nodes"]]
        client.close()
        assert sum(sizes) == KEYS
        assert min(sizes) > KEYS / 5


def test_memcached_is_filled_where_clients_look(cache: Deployed, tmp_path: Path) -> None:
    shards = Deployed(tmp_path, "warmup-shards", "MemcachedShards")
    shards.pulumi("config", "set", "args", json.dumps({"memory_gib": 0.0625, "cpu_request": 0.02}))
    shards.pulumi("config", "set", "warmup", json.dumps({"from_connection": cache.connection(), "keys_per_second": 5000}))
    try:
        shards.up()
        known = shards.connection()
        placed = Rendezvous(known["nodes"])
        for number in range(0, KEYS, 1000):
            key = f"product:{number}"
            assert ask_shard(known, placed.node_of(key.encode()), f"get {key}") == [f"value{number}"]
    finally:
        shards.destroy()
