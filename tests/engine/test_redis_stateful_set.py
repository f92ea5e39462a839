"""RedisStatefulSet through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    return Rendered(tmp_path, "RedisStatefulSet")


def test_up_twice_changes_nothing_and_destroy_leaves_nothing(rendered: Rendered) -> None:
    rendered.arguments(replicas=1)
    rendered.up()
    rendered.preview("--expect-no-changes")
    password = rendered.outputs()["connection"]["password"]
    rendered.up("--expect-no-changes")
    assert rendered.outputs()["connection"]["password"] == password
    rendered.destroy()
    assert rendered.documents() == {}
    assert rendered.export() == []


def test_a_changed_argument_replaces_the_config_map_and_updates_the_pods_in_place(rendered: Rendered) -> None:
    rendered.arguments(hz=10)
    rendered.up()
    before = set(rendered.documents())
    rendered.arguments(hz=20)
    planned = {
        (step["op"], step["urn"].rpartition("::")[2])
        for step in json.loads(rendered.preview("--json").stdout)["steps"]
        if step["op"] != "same"
    }
    assert planned == {
        ("replace", "cache-config"),
        ("update", "cache"),
    }
    rendered.up()
    assert len(set(rendered.documents()) - before) == 1


CASES: dict[str, dict[str, Any]] = {
    "standalone": {},
    "replicated": {"replicas": 2, "engine": "valkey", "min_replicas_to_write": 1, "labels": {"team": "shop"}},
    "rotating": {"password_version": 2},
    "existing-secret": {"existing_secret_name": "mine", "existing_secret_key": "pw", "existing_secret_read": False},
    "everything": {
        "exporter_sidecar": True,
        "exporter_image": "mirror.example/redis_exporter:v1.86.0",
        "engine": "valkey",
        "memory_gib": 4,
        "cpu_request": 1,
        "cpu_limit": 4,
        "io_threads": 4,
        "persistence": "aof+rdb",
        "storage_gib": 20,
        "storage_class": "fast",
        "storage_retained": False,
        "maxmemory_policy": "allkeys-lfu",
        "node_spread": "required",
        "zone_spread": "none",
        "dedicated_nodes": "dedicated=caches",
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "priority_class_name": "caches",
        "image_pull_secrets": ["registry"],
        "pod_annotations": {"example.com/note": "any text"},
        "evictable": False,
        "extra_config": ["client-output-buffer-limit replica 256mb 64mb 60"],
    },
    "memory-only": {"persistence": "none"},
    "purpose-cache": {"purpose": "cache"},
    "tls": {"tls_secret_name": "certificate", "tls_secret_read": False, "replicas": 1, "password_version": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_reviewed_and_valid_for_kubernetes(case: str, rendered: Rendered, kubernetes_schemas: Path) -> None:
    rendered.arguments(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"{case}.yaml", kubernetes_schemas)


def test_no_password_is_in_plain_text_in_the_state(rendered: Rendered) -> None:
    rendered.arguments(password_version=2)
    rendered.up()
    password = rendered.outputs()["connection"]["password"]
    secret = next(document for document in rendered.documents().values() if document["kind"] == "Secret")
    passwords = [base64.b64decode(value).decode() for value in secret["data"].values()]
    assert password in passwords
    state = rendered.pulumi("stack", "export").stdout
    for word in [*passwords, *secret["data"].values()]:
        assert word not in state


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"memory_gib": 0.01}, "memory_gib = 0.01: must be from 0.0625"),
    ({"storage_gib": 2}, "storage_gib: 3 can't become 2: a volume can't shrink"),
    # Whether its class lets a volume grow is asked of the cluster, which a rendering has not.
    ({"storage_gib": 9}, "unreachable cluster"),
    ({"persistence": "rdb"}, "persistence: 'appendonlydir' can't become 'dump.rdb'"),
    ({"engine": "valkey"}, "engine: 'redis' can't become 'valkey'"),
]


def test_a_change_that_can_not_work_is_refused_in_the_preview_and_by_up_and_nothing_is_touched(rendered: Rendered) -> None:
    rendered.up()
    before = rendered.documents()
    for args, message in REFUSED:
        rendered.arguments(**args)
        for refused in (rendered.preview(succeeds=False), rendered.up(succeeds=False)):
            assert message in refused.stdout + refused.stderr
            assert "Traceback" not in refused.stdout + refused.stderr
        assert rendered.documents() == before
    rendered.arguments()
    rendered.preview("--expect-no-changes")
