"""RedisClusterWithInit on the real cluster, when nothing breaks; what does and changes is in faults/test_redis_cluster.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from cluster.faults.cluster import KINDS, PLAIN, Cluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three shards with a replica each."""
    with Cluster(tmp_path_factory.mktemp("cluster"), "cluster").deployed() as cluster:
        yield cluster


def test_up_again_and_refresh_change_nothing(cluster: Cluster) -> None:
    cluster.preview("--expect-no-changes")
    cluster.refresh("--expect-no-changes")
    cluster.up("--expect-no-changes")


def test_the_exported_connection_leads_to_every_slot(cluster: Cluster) -> None:
    assert cluster.known["mode"] == "cluster"
    with cluster.writing(*KINDS) as result:
        cluster.await_writes()
    assert [said["lost"] for said in result.values()] == [0] * len(result)
    assert [result[kind]["errors"] for kind in PLAIN] == [{}] * len(PLAIN)
    assert cluster.slots() == {"cache-0": 5462, "cache-1": 5461, "cache-2": 5461}


def test_the_repair_run_again_has_nothing_to_do(cluster: Cluster) -> None:
    assert "cache-0-0 gets slots 0-5461" in cluster.kubectl("logs", "job/cache-repair")
    before = cluster.pods()
    cluster.kubectl("delete", "job", "cache-repair")
    cluster.refresh()
    cluster.up()
    assert cluster.kubectl("logs", "job/cache-repair") == "the cluster is whole: 3 masters with 1 replicas each; nothing to do\n"
    assert cluster.pods() == before


def test_no_password_is_in_a_config_map_a_pod_or_a_log(cluster: Cluster) -> None:
    encoded = cluster.get("secret", "cache-auth")["data"].values()
    passwords = [subprocess.run(["base64", "-d"], input=value, capture_output=True, text=True).stdout for value in encoded]
    assert len(passwords) == 2
    shown = [json.dumps(cluster.get(kind)) for kind in ("configmaps", "pods", "statefulsets", "events", "jobs")]
    shown += [cluster.kubectl("logs", pod) for pod in cluster.pods()]
    shown += [cluster.kubectl("exec", pod, "--", "sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '") for pod in cluster.pods()]
    assert not [text for text in shown for password in passwords if password in text]
