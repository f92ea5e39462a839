"""CacheWarmup through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden" / "cache-warmup"
OTHER = {"engine": "redis", "mode": "standalone", "host": "other.shop.svc", "port": 6379, "tls": False, "auth": "none", "provider": "aws"}

CASES: dict[str, dict[str, Any]] = {
    "url": {"source": "https://data.example.com/sessions/warm.jsonl.gz"},
    "volume": {"source": "pvc://exports/sessions/warm.csv"},
    "cache": {"from_connection": OTHER},
    "everything": {
        "source": "secret://shop-database/url",
        "query": "SELECT 'product:' || id AS key, about::text AS value, 3600 AS ttl\nFROM product WHERE sold > now() - interval '1 day'",
        "keys_per_second": 20_000,
        "jitter": 0.25,
        "default_ttl_seconds": 86_400,
        "overwrite": True,
        "bad_maximum": 0,
        "version": 3,
        "wait": False,
        "timeout_minutes": 120,
        "memory_gib": 1,
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
    rendered.warm_up(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"{case}.yaml", kubernetes_schemas, only="warmup")
    rendered.preview("--expect-no-changes")


def test_it_runs_again_when_an_argument_changes_and_only_then(rendered: Rendered) -> None:
    rendered.warm_up(source="configmap://warm/warm.csv")
    rendered.up()
    rendered.preview("--expect-no-changes")
    for changed in ({"version": 2}, {"jitter": 0.5}, {"source": "configmap://warm-2/warm.csv"}):
        rendered.warm_up(**{"source": "configmap://warm/warm.csv", **changed})
        assert "kubernetes:batch/v1:Job cache-warmup replace" in " ".join(rendered.preview().stdout.split())


def test_what_waits_for_it_gets_the_caches_connection(rendered: Rendered) -> None:
    rendered.warm_up(source="configmap://warm/warm.csv")
    rendered.up()
    outputs = rendered.outputs()
    assert outputs["warm"] == outputs["connection"]
    assert outputs["connection"]["password"] not in rendered.pulumi("stack", "export").stdout


def test_what_is_refused_is_refused_in_the_preview(rendered: Rendered) -> None:
    rendered.warm_up(source="https://data.example.com/warm.csv", jitter=1.5)
    refused = rendered.preview(succeeds=False)
    assert "jitter = 1.5: must be from 0 to 1" in refused.stdout + refused.stderr
