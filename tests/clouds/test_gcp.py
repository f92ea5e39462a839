"""The stack gcp through the real engine, in the emulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clouds.emulated import Emulated

pytestmark = pytest.mark.engine

VALKEY = "gcp:memorystore/instance:Instance"
REGION = "europe-west1"
CACHE: dict[str, Any] = {"region": REGION, "gcp_deletion_protection": False}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Emulated]:
    stack = Emulated(tmp_path, "gcp")
    stack.configure(network={"shop": {"region": REGION}})
    yield stack
    stack.end()


def test_from_nothing_to_nothing(stack: Emulated) -> None:
    caches = {
        "sessions": {**CACHE, "purpose": "session"},
        "catalogue": {**CACHE, "engine": "redis", "shards": 3, "memory_gib": 4, "purpose": "cache"},
        "legacy": {**CACHE, "engine": "redis", "memory_gib": 4, "replicas_per_shard": 2},
    }
    stack.configure(memorystore=caches)
    stack.preview()
    assert stack.resources() == {}
    stack.up()
    assert all(stack.works(name) for name in caches)
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")

    password = stack.outputs()["connections"]["legacy"]["password"]
    assert password not in json.dumps(stack.export())
    assert password not in stack.up().stdout

    stack.destroy()
    assert stack.resources() == {}


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"memory_gib": 4}, "update"),
    ({"replicas_per_shard": 2}, "update"),
    ({"engine_version": "9.0"}, "update"),
    ({"maintenance_day": "monday"}, "update"),
    ({"auth": "none", "tls": False}, "replace"),
    ({"shards": 3}, "replace"),
    ({"region": "europe-west4"}, "replace"),
    ({"gcp_deletion_protection": True}, "update"),
]


def test_what_is_changed_is_changed_or_replaced_and_what_failed_or_was_there_is_taken_over(stack: Emulated) -> None:
    stack.configure(memorystore={"cache": CACHE})
    # Half made: it is there, and did not become ready.
    stack.fail(VALKEY, "half-made")
    assert "did not become ready" in stack.up(succeeds=False).stdout
    first = stack.only(VALKEY)
    stack.up()
    second = stack.only(VALKEY)
    assert second["hidden"]["processes"] == first["hidden"]["processes"]
    assert stack.works("cache")

    for change, step in CHANGES:
        stack.configure(memorystore={"cache": {**CACHE, **change}})
        assert stack.planned(VALKEY) == step, change
    stack.up()
    assert "is protected from deletion" in stack.destroy(succeeds=False).stdout
    assert stack.works("cache")

    # What the state has forgotten is imported, and is as it was.
    [urn] = [each["urn"] for each in stack.export() if each["type"] == VALKEY]
    [parent] = [each["urn"] for each in stack.export() if each["type"] == "caches:index:Memorystore"]
    stack.pulumi("state", "delete", urn, "--yes")
    stack.pulumi(
        "import",
        VALKEY,
        "cache",
        second["id"],
        "--parent",
        f"memorystore={parent}",
        "--yes",
        "--skip-preview",
        "--protect=false",
        "--generate-code=false",
    )
    stack.configure(memorystore={"cache": CACHE})
    stack.up()
    stack.destroy()
    assert stack.resources() == {}


INSTANCE, CLUSTER, MEMCACHED = "gcp:redis/instance:Instance", "gcp:redis/cluster:Cluster", "gcp:memcache/instance:Instance"
OTHERS: dict[str, dict[str, Any]] = {
    "carts": {**CACHE, "engine": "redis", "memory_gib": 4, "engine_version": "7.0", "auth": "none", "tls": False},
    "catalogue": {**CACHE, "engine": "redis", "shards": 2, "purpose": "cache"},
    "pages": {**CACHE, "engine": "memcached", "shards": 2},
}
CHANGES_OF_OTHERS: list[tuple[str, dict[str, Any], str, str]] = [
    ("carts", {"memory_gib": 8}, INSTANCE, "update"),
    ("carts", {"replicas_per_shard": 2}, INSTANCE, "update"),
    ("carts", {"engine_version": "7.2"}, INSTANCE, "update"),
    ("carts", {"auth": "password", "tls": True}, INSTANCE, "replace"),
    ("carts", {"region": "europe-west4"}, INSTANCE, "replace"),
    ("catalogue", {"shards": 3}, CLUSTER, "update"),
    ("catalogue", {"replicas_per_shard": 2}, CLUSTER, "update"),
    ("catalogue", {"auth": "none", "tls": False}, CLUSTER, "replace"),
    ("pages", {"shards": 3}, MEMCACHED, "update"),
    ("pages", {"memory_gib": 4}, MEMCACHED, "replace"),
]


def test_what_is_changed_of_googles_other_services_is_changed_or_replaced(stack: Emulated) -> None:
    stack.configure(memorystore=OTHERS)
    stack.up()
    assert [name for name in OTHERS if not stack.works(name)] == []
    planned = {}
    for cache, change, token, _ in CHANGES_OF_OTHERS:
        stack.configure(memorystore={**OTHERS, cache: {**OTHERS[cache], **change}})
        planned[f"{cache} {change}"] = stack.planned(token)
    assert planned == {f"{cache} {change}": step for cache, change, _, step in CHANGES_OF_OTHERS}


def test_a_clusters_copy_in_another_region_follows_until_it_is_detached(stack: Emulated) -> None:
    plain = {"auth": "none", "purpose": "cache", "shards": 2, "gcp_deletion_protection": False}
    primary = {**plain, "region": REGION}
    stack.configure(memorystore={"primary": primary})
    stack.up()
    copy = {**plain, "region": "us-central1", "gcp_replication_role": "secondary", "gcp_primary": stack.only(VALKEY)["id"]}
    stack.configure(memorystore={"primary": primary, "copy": copy})
    stack.up()
    assert stack.follows("copy", "primary")
    detached = {**plain, "region": "us-central1", "shards": 3, "gcp_replication_role": "detached"}
    stack.configure(memorystore={"primary": primary, "copy": detached})
    stack.up()
    with stack.client("copy", budget=10) as alone:
        assert alone.get("copied") is not None
    assert stack.works("copy")
    stack.destroy()
    assert stack.resources() == {}
