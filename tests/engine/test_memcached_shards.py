"""MemcachedShards through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden" / "memcached"

CASES: dict[str, dict[str, Any]] = {
    "shards": {},
    "deployment": {"workload": "deployment", "auth": "none", "evictable": False},
    "existing-secret": {"existing_secret_name": "mine", "existing_secret_key": "pw", "existing_secret_read": False},
    "tls": {"tls_secret_name": "certificate", "tls_secret_read": False, "password_version": 2},
    "proxy": {"proxy": True, "auth": "none", "warm_restart": True, "max_item_size_mib": 4},
    "exporter": {"exporter_sidecar": True, "tls_secret_name": "certificate", "tls_secret_read": False},
    "everything": {
        "extstore_gib": 100,
        "storage_class": "fast",
        "shards": 5,
        "image": "mirror.example/memcached:1.6.45",
        "image_pull_secrets": ["registry"],
        "memory_gib": 4,
        "cpu_request": 1,
        "cpu_limit": 8,
        "item_memory_mib": 3500,
        "max_item_size_mib": 2,
        "threads": 8,
        "max_connections": 20_000,
        "growth_factor": 1.1,
        "min_chunk_bytes": 64,
        "evictions": False,
        "extra_options": ["idle_timeout=600", "hash_algorithm=xxh3"],
        "password_version": 2,
        "node_spread": "required",
        "zone_spread": "none",
        "dedicated_nodes": "dedicated=caches",
        "priority_class_name": "caches",
        "labels": {"team": "shop"},
        "pod_annotations": {"example.com/note": "any text"},
    },
}


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    return Rendered(tmp_path, "MemcachedShards")


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_reviewed_and_valid_for_kubernetes(case: str, rendered: Rendered, kubernetes_schemas: Path) -> None:
    rendered.arguments(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"{case}.yaml", kubernetes_schemas)


def test_up_twice_changes_nothing_one_shard_more_changes_a_number_and_destroy_leaves_nothing(rendered: Rendered) -> None:
    rendered.arguments(shards=4)
    rendered.up()
    password = rendered.outputs()["connection"]["password"]
    assert password not in rendered.pulumi("stack", "export").stdout
    rendered.up("--expect-no-changes")
    rendered.arguments(shards=5)
    steps = json.loads(rendered.preview("--json").stdout)["steps"]
    assert [(step["op"], step["urn"].rpartition("::")[2]) for step in steps if step["op"] != "same"] == [("update", "cache")]
    rendered.up()
    connection = rendered.outputs()["connection"]
    assert (connection["password"], len(connection["nodes"])) == (password, 5)
    rendered.destroy()
    assert rendered.documents() == {}
    assert rendered.export() == []
