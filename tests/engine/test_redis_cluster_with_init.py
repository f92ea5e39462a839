"""RedisClusterWithInit through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, dict[str, Any]] = {
    "cluster": {},
    "cluster-tls": {"tls_secret_name": "certificate", "tls_secret_read": False},
    "cluster-everything": {
        "exporter_sidecar": True,
        "engine": "valkey",
        "shards": 3,
        "replicas_per_shard": 2,
        "memory_gib": 4,
        "node_timeout_ms": 5000,
        "failover_seconds": 60,
        "require_full_coverage": True,
        "preferred_endpoint": "hostname",
        "min_replicas_to_write": 1,
        "repair_timeout_minutes": 600,
        "runtime_image": "mirror.example/caches-runtime:0.1.0",
        "image_pull_secrets": ["registry"],
        "persistence": "aof+rdb",
        "node_spread": "required",
        "zone_spread": "required",
        "evictable": False,
        "password_version": 2,
        "labels": {"team": "shop"},
        "pod_annotations": {"example.com/note": "any text"},
    },
}


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    return Rendered(tmp_path, "RedisClusterWithInit")


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_reviewed_and_valid_for_kubernetes(case: str, rendered: Rendered, kubernetes_schemas: Path) -> None:
    rendered.arguments(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"{case}.yaml", kubernetes_schemas)
    rendered.preview("--expect-no-changes")


def test_a_changed_number_replaces_the_job_and_leaves_the_other_shards_as_they_are(rendered: Rendered) -> None:
    rendered.arguments()
    rendered.up()
    rendered.arguments(shards=4)
    steps = json.loads(rendered.preview("--json").stdout)["steps"]
    changed = {(step["op"], step["urn"].rpartition("::")[2]) for step in steps if step["op"] != "same"}
    assert changed == {("replace", "cache-repair"), ("create", "cache-3")}
