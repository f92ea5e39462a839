"""What holds for every component."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_caches.provider import COMPONENTS
from unit import memorystore_answers, mocks

DOCS = Path(__file__).resolve().parents[2] / "docs"
# What a component can't be made without.
NEEDED: dict[str, dict[str, Any]] = {
    "AzureManagedRedis": {"region": "westeurope", "azure_public_access": True},
    "AzureCacheForRedis": {"region": "westeurope", "azure_public_access": True},
    "AzureNetwork": {"region": "westeurope"},
    "CacheBackup": {"connection": {"engine": "redis", "provider": "kubernetes", "password": "secret"}, "bucket": "s3://bucket"},
    "CacheMonitoring": {
        "connection": {
            "engine": "redis",
            "mode": "standalone",
            "host": "cache.shop.svc",
            "port": 6379,
            "tls": False,
            "auth": "none",
            "provider": "kubernetes",
        }
    },
    "Memorystore": {"region": "europe-west1", "gcp_network": "projects/shop/global/networks/main"},
    "GcpNetwork": {"region": "europe-west1"},
    "CacheWarmup": {
        "connection": {"engine": "redis", "host": "cache.shop.svc", "port": 6379, "auth": "none"},
        "source": "https://example.com/warm.csv",
    },
}
# What only the clouds know.
ANSWERS = {"AzureCacheForRedis": {"cache": {"sslPort": 6380}}, "Memorystore": {"cache": memorystore_answers.ANSWERS["valkey"]}}
EACH = pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__)


def arguments(component: type[pulumi.ComponentResource]) -> set[str]:
    return set(inspect.get_annotations(component.__init__)["args"].__annotations__)


@EACH
def test_every_argument_is_read(component: type[pulumi.ComponentResource]) -> None:
    """An argument that nothing reads would be accepted and ignored."""
    read: set[str] = set()

    class Recording(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

    args, answers = Recording(NEEDED.get(component.__name__, {})), ANSWERS.get(component.__name__)
    mocks.run(lambda: component("cache", args) and None, answers=answers)  # type: ignore[arg-type] # the arguments, which the base class has not
    assert read == arguments(component)


@EACH
def test_every_argument_is_documented(component: type[pulumi.ComponentResource]) -> None:
    page = re.sub(r"(?<!^)(?=[A-Z])", "-", component.__name__).lower()
    rows = (DOCS / f"{page}.md").read_text().splitlines()
    assert [name for name in sorted(arguments(component)) if not any(row.startswith(f"| `{name}` |") for row in rows)] == []
