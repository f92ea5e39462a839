"""RedisOperatorCluster through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine import schemas
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    return Rendered(tmp_path, "RedisOperatorCluster")


EVERYTHING: dict[str, Any] = {
    "image": "quay.io/opstree/redis:v7.2.7",
    "image_pull_secrets": ["registry"],
    "memory_gib": 4,
    "cpu_request": 1,
    "cpu_limit": 4,
    "io_threads": 4,
    "persistence": "aof+rdb",
    "storage_gib": 20,
    "storage_class": "fast",
    "storage_retained": False,
    "maxmemory_policy": "allkeys-lfu",
    "min_replicas_to_write": 1,
    "node_spread": "required",
    "zone_spread": "none",
    "dedicated_nodes": "dedicated=caches",
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "priority_class_name": "caches",
    "evictable": False,
    "await_ready": False,
    "labels": {"team": "shop"},
    "extra_config": ["client-output-buffer-limit replica 256mb 64mb 60"],
    "existing_secret_name": "mine",
    "existing_secret_key": "pw",
    "existing_secret_read": False,
}
CASES: dict[str, dict[str, Any]] = {
    "cluster": {},
    "cluster-everything": {**EVERYTHING, "shards": 5, "replicas": 2},
    "sentinel": {"mode": "sentinel"},
    "sentinel-everything": {
        **EVERYTHING,
        "mode": "sentinel",
        "replicas": 4,
        "sentinels": 5,
        "sentinel_image": "quay.io/opstree/redis-sentinel:v7.2.7",
    },
}


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_reviewed_and_valid_for_the_ot_operator(case: str, rendered: Rendered, operator_schemas: Path) -> None:
    rendered.arguments(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"ot-{case}.yaml", operator_schemas)


def test_a_misspelt_field_would_be_found(rendered: Rendered, operator_schemas: Path) -> None:
    rendered.up()
    [manifest] = rendered.manifests.rglob("*rediscluster*.yaml")
    document = yaml.safe_load(manifest.read_text())
    document["spec"]["redisLeader"]["pdb"]["maxUnavailabel"] = 1
    manifest.write_text(yaml.safe_dump(document))
    checked = schemas.validate(rendered.manifests, operator_schemas)
    assert checked.returncode != 0
    assert "maxUnavailabel" in checked.stdout


def test_no_password_is_in_plain_text_in_the_state_or_outside_the_secret(rendered: Rendered) -> None:
    rendered.up()
    password = rendered.outputs()["connection"]["password"]
    documents = {file: file.read_text() for file in rendered.manifests.rglob("*.yaml")}
    encoded = base64.b64encode(password.encode()).decode()
    assert [file.name for file, text in documents.items() if password in text or encoded in text] == ["v1-secret-shop-cache-auth.yaml"]
    state = rendered.pulumi("stack", "export").stdout
    assert password not in state
    assert encoded not in state


def test_up_twice_changes_nothing_and_destroy_leaves_nothing(rendered: Rendered) -> None:
    rendered.arguments(mode="sentinel")
    rendered.up()
    rendered.preview("--expect-no-changes")
    rendered.destroy()
    assert rendered.documents() == {}
    assert rendered.export() == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"mode": "sentinel"}, "mode: 'cluster' can't become 'sentinel': each mode has volumes of its own"),
        ({"storage_class": "fast"}, "storage_class: '' can't become 'fast'"),
        ({"labels": {"team": "shop"}}, "labels: {} can't become {'team': 'shop'}: the operator's Services select by them"),
        ({"existing_secret_name": "mine", "existing_secret_read": False}, "password_from: '' can't become 'mine/password'"),
    ],
)
def test_a_change_that_can_not_work_is_refused_in_the_preview(args: dict[str, Any], message: str, rendered: Rendered) -> None:
    rendered.up()
    rendered.arguments(**args)
    refused = rendered.preview(succeeds=False)
    assert message in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
