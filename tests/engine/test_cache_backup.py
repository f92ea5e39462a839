"""CacheBackup through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden" / "cache-backup"

CASES: dict[str, dict[str, Any]] = {
    "default": {"bucket": "s3://backups/cache"},
    "volume": {"bucket": "pvc://backups/cache"},
    "everything": {
        "bucket": "az://backups/cache",
        "bucket_settings": {"AZURE_STORAGE_ACCOUNT_NAME": "shop"},
        "credentials_secret_name": "azure",
        "service_account_annotations": {"azure.workload.identity/client-id": "00000000-0000-0000-0000-000000000000"},
        "schedule": "17 */6 * * *",
        "drill_schedule": "0 3 * * sun",
        "time_zone": "Europe/Berlin",
        "keep_count": 100,
        "keep_days": 14,
        "key_secret_name": "backup-key",
        "key_secret_key": "age.key",
        "memory_gib": 4,
        "timeout_minutes": 120,
        "restore_backup": "20261127T220000Z-0a1b2c3d",
        "runtime_image": "mirror.example/caches-runtime:0.1.0",
        "image_pull_secrets": ["registry"],
        "labels": {"team": "shop"},
        "pod_annotations": {"example.com/note": "any text"},
    },
}


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    return Rendered(tmp_path, "RedisStatefulSet")


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_reviewed_and_valid_for_kubernetes(case: str, rendered: Rendered, kubernetes_schemas: Path) -> None:
    rendered.back_up(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"{case}.yaml", kubernetes_schemas, only="backup")
    rendered.preview("--expect-no-changes")


def test_memcached_is_refused_in_the_first_preview(tmp_path: Path) -> None:
    rendered = Rendered(tmp_path, "MemcachedShards")
    rendered.back_up(bucket="s3://backups/cache")
    refused = rendered.preview(succeeds=False)
    assert "memcached has no way to read all that it holds" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_what_is_refused_is_refused_in_the_preview(rendered: Rendered) -> None:
    rendered.back_up(bucket="s3://backups/cache", keep_count=0)
    refused = rendered.preview(succeeds=False)
    assert "keep_count = 0: must be from 1 to 10000" in refused.stdout + refused.stderr
