"""SentinelGroup through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden" / "sentinel-group"


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    return Rendered(tmp_path, "SentinelGroup")


def test_up_twice_changes_nothing_and_destroy_leaves_nothing(rendered: Rendered) -> None:
    rendered.arguments()
    rendered.up()
    rendered.preview("--expect-no-changes")
    password = rendered.outputs()["connection"]["password"]
    rendered.up("--expect-no-changes")
    assert rendered.outputs()["connection"]["password"] == password
    rendered.destroy()
    assert rendered.documents() == {}
    assert rendered.export() == []


CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": {
        "engine": "valkey",
        "members": 5,
        "sentinel_quorum": 2,
        "down_after_milliseconds": 3_000,
        "termination_grace_seconds": 600,
        "runtime_image": "mirror.example/caches-runtime:0.1.0",
        "min_replicas_to_write": 2,
        "min_replicas_max_lag_seconds": 5,
        "replica_max_stale_seconds": 30,
        "memory_gib": 4,
        "cpu_request": 1,
        "cpu_limit": 4,
        "persistence": "aof+rdb",
        "storage_gib": 20,
        "storage_class": "fast",
        "storage_retained": False,
        "password_version": 2,
        "migrate_from": "redis.old.svc:6379",
        "migrate_cut_over": True,
        "migrate_secret_name": "old",
        "migrate_password_key": "pw",
        "migrate_username": "copier",
        "migrate_tls": True,
        "migrate_timeout_minutes": 90,
        "node_spread": "required",
        "zone_spread": "none",
        "dedicated_nodes": "dedicated=caches",
        "priority_class_name": "caches",
        "image_pull_secrets": ["registry"],
        "labels": {"team": "shop"},
        "pod_annotations": {"example.com/note": "any text"},
        "evictable": False,
    },
    "memory-only": {"persistence": "none"},
    "tls": {"tls_secret_name": "certificate", "tls_secret_read": False, "exporter_sidecar": True},
    "front": {"front_replicas": 2, "max_clients": 2_000, "announce": "hostname", "ip_families": ["IPv6", "IPv4"]},
}


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_reviewed_and_valid_for_kubernetes(case: str, rendered: Rendered, kubernetes_schemas: Path) -> None:
    rendered.arguments(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"{case}.yaml", kubernetes_schemas)
