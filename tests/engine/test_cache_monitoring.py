"""CacheMonitoring through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine.rendered import Rendered

pytestmark = pytest.mark.engine

GOLDEN = Path(__file__).parent / "golden" / "cache-monitoring"
PASSWORD = "the-password"
REDIS: dict[str, Any] = {
    "engine": "redis",
    "mode": "standalone",
    "host": "carts.shop.svc",
    "port": 6379,
    "password": PASSWORD,
    "tls": False,
    "provider": "kubernetes",
}
SENTINEL = {
    **REDIS,
    "mode": "sentinel",
    "nodes": [f"carts-{number}.shop.svc:6379" for number in range(3)],
    "sentinels": [f"carts-{number}.shop.svc:26379" for number in range(3)],
    "tls": True,
    "ca_pem": "the-authority",
}
MEMCACHED = {
    "engine": "memcached",
    "mode": "sharded",
    "host": "items-0.shop.svc",
    "port": 11211,
    "nodes": ["items-0.shop.svc:11211", "items-1.shop.svc:11211"],
    "auth": "none",
    "tls": False,
    "provider": "kubernetes",
}
LOGIN = {**{key: value for key, value in MEMCACHED.items() if key != "auth"}, "username": "cache", "password": PASSWORD}
PODS = {"app.kubernetes.io/instance": "carts", "app.kubernetes.io/name": "redis"}
CASES: dict[str, dict[str, Any]] = {
    "sentinel": {"connection": SENTINEL, "dashboards": False},
    "annotations": {"connection": REDIS, "scrape": "annotations", "clouds_dashboard": True},
    "memcached-files": {"connection": MEMCACHED, "scrape": "scrape_config", "rules": "config_map", "dashboards": False},
    "memcached-login": {"connection": {**LOGIN, "tls": True, "ca_pem": "the-authority"}, "dashboards": False},
    "sidecar": {"connection": {**SENTINEL, "exporter_pods": PODS}, "exporter": "sidecar", "dashboards": False},
    "sidecar-files": {
        "connection": {**LOGIN, "exporter_pods": PODS},
        "exporter": "sidecar",
        "scrape": "scrape_config",
        "rules": "config_map",
        "dashboards": False,
    },
    "everything": {
        "connection": {**REDIS, "mode": "cluster", "username": "app", "provider": "aws", "region": "eu-west-1", "tls": True},
        "scrape": "pod_monitor",
        "disabled_alerts": ["CacheEvictions"],
        "alert_labels": {"team": "shop"},
        "runbooks": "https://wiki.example/runbooks",
        "dashboards": False,
        "image": "mirror.example/redis_exporter:v1.86.0",
        "certificate_image": "mirror.example/blackbox-exporter:v0.26.0",
        "image_pull_secrets": ["registry"],
        "labels": {"release": "prometheus"},
        "memory_used_ratio": 0.8,
        "hit_ratio": 0.9,
        "slow_commands_per_minute": 1,
        "certificate_days": 7,
        "backup": "carts",
        "backup_age_hours": 2,
        "drill_age_days": 2,
    },
}


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    return Rendered(tmp_path, "CacheMonitoring")


@pytest.mark.parametrize("case", CASES)
def test_manifests_are_as_reviewed_and_valid_for_kubernetes(case: str, rendered: Rendered, monitoring_schemas: Path) -> None:
    rendered.arguments(**CASES[case])
    rendered.up()
    rendered.check(GOLDEN / f"{case}.yaml", monitoring_schemas)


def test_up_twice_changes_nothing_and_another_password_is_another_secret_that_the_pod_takes(rendered: Rendered) -> None:
    def secret_names() -> set[str]:
        return {document["metadata"]["name"] for document in rendered.documents().values() if document["kind"] == "Secret"}

    rendered.arguments(connection=REDIS)
    rendered.up()
    rendered.up("--expect-no-changes")
    before = secret_names()
    rendered.arguments(connection={**REDIS, "password": "another"})
    rendered.up()
    [name] = secret_names() - before
    [deployment] = [document for document in rendered.documents().values() if document["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"] == name
    rendered.destroy()
    assert rendered.documents() == {}


def test_a_cache_without_exporter_is_refused_in_the_preview(rendered: Rendered) -> None:
    rendered.arguments(connection={**REDIS, "password": None, "auth": "iam"})
    refused = rendered.preview(succeeds=False)
    assert "the exporter can't log in with auth iam" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
