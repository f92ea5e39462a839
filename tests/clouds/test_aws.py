"""The stack aws through the real engine, in the emulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clouds.emulated import Emulated
from clouds.emulator.aws_around import SECRET, SECRET_VERSION
from clouds.emulator.aws_caches import GLOBAL, GROUP
from clouds.emulator.aws_kinds import INVOKES, KINDS
from clouds.emulator.client import open_client
from clouds.emulator.cloud import Cloud

pytestmark = pytest.mark.engine

REGION = "us-east-1"
CACHE: dict[str, Any] = {"region": REGION, "aws_final_backup": False}
PLAIN = {**CACHE, "auth": "none", "tls": False, "purpose": "cache"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Emulated]:
    stack = Emulated(tmp_path, "aws")
    stack.configure(network={"shop": {"region": REGION}})
    yield stack
    stack.end()


def test_from_nothing_to_nothing(stack: Emulated) -> None:
    caches = {
        "sessions": {**CACHE, "purpose": "session"},
        "carts": {**CACHE, "engine": "redis", "auth": "password", "memory_gib": 0.3},
        "fragments": {"region": REGION, "engine": "memcached", "shards": 2, "tls": False},
    }
    stack.configure(elasticache=caches)
    stack.preview()
    assert stack.resources() == {}
    stack.up()
    assert all(stack.works(name) for name in caches)
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")

    password = stack.outputs()["connections"]["carts"]["password"]
    assert password not in json.dumps(stack.export())
    caches["carts"]["password_version"] = 2
    stack.configure(elasticache=caches)
    assert password not in stack.up().stdout
    assert stack.outputs()["connections"]["carts"]["password"] != password
    with stack.client("carts", budget=10) as before:
        before.set("cart", b"full")
    caches["carts"]["engine"] = "valkey"
    stack.configure(elasticache=caches)
    assert "ReplicationGroup carts updated" in stack.up().stdout
    with stack.client("carts", budget=10) as after:
        assert after.get("cart") == b"full"

    stack.destroy()
    assert stack.resources() == {}


def test_every_service_serves_what_a_client_writes(stack: Emulated) -> None:
    caches = {
        "catalogue": {**CACHE, "shards": 2, "aws_connection_secret": True, "purpose": "cache"},
        "sessions": {"region": REGION, "aws_serverless": True, "purpose": "session"},
        "pages": {"region": REGION, "aws_serverless": True, "engine": "memcached"},
        "fragments": {"region": REGION, "engine": "memcached", "shards": 2},
    }
    stack.configure(elasticache=caches)
    stack.up()
    assert [name for name in caches if not stack.works(name)] == []
    connections = stack.outputs()["connections"]
    assert {name: (each["mode"], each["tls"]) for name, each in connections.items()} == {
        "catalogue": ("cluster", True),
        "sessions": ("cluster", True),
        "pages": ("sharded", True),
        "fragments": ("sharded", True),
    }
    assert json.loads(stack.only(SECRET)["hidden"]["stages"]["AWSCURRENT"]) == connections["catalogue"]
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    stack.destroy()
    assert stack.resources() == {}


def test_a_password_that_secrets_manager_rotates_is_taken_by_the_next_up(stack: Emulated) -> None:
    cloud = Cloud(stack.cloud, KINDS, INVOKES)
    secret = cloud.create(SECRET, {"name": "shop/carts", "region": REGION})
    stack.configure(elasticache={"carts": {**CACHE, "auth": "password", "aws_password_secret": "shop/carts"}})
    assert "its versions have none" in stack.preview(succeeds=False).stdout

    version = cloud.create(SECRET_VERSION, {"secretId": secret.id, "secretString": "the-first-password"})
    stack.up()
    first = stack.outputs()["connections"]["carts"]
    assert first["password"] == "the-first-password"
    assert stack.works("carts")

    cloud.update(version.id, {"secretId": secret.id, "secretString": '{"password": "the-second-password"}'})
    said = stack.up().stdout
    assert stack.outputs()["connections"]["carts"]["password"] == "the-second-password"
    assert stack.works("carts")
    with open_client(cloud, first, budget=10) as late:
        assert late.ping()
    stack.preview("--expect-no-changes")
    everywhere = said + json.dumps(stack.export())
    assert "the-first-password" not in everywhere
    assert "the-second-password" not in everywhere

    stack.destroy()
    assert set(stack.resources()) == {secret.id, version.id}


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"memory_gib": 4}, "update"),
    ({"replicas_per_shard": 2}, "update"),
    ({"engine_version": "8.1"}, "update"),
    ({"maintenance_day": "monday"}, "update"),
    ({"tls": True, "aws_tls_optional": True}, "update"),
    ({"engine": "redis", "engine_version": "7.1"}, "replace"),
    ({"aws_kms_key": "arn:aws:kms:us-east-1:1:key/a"}, "replace"),
]


def test_what_is_changed_is_changed_or_replaced_and_what_failed_or_was_there_is_taken_over(stack: Emulated) -> None:
    cache = {**PLAIN, "engine_version": "8.0"}
    stack.configure(elasticache={"cache": cache})
    # Half made: it is there, and did not become ready.
    stack.fail(GROUP, "half-made")
    assert "did not become ready" in stack.up(succeeds=False).stdout
    first = stack.only(GROUP)
    stack.up()
    assert stack.only(GROUP)["hidden"]["processes"] == first["hidden"]["processes"]
    assert stack.works("cache")

    for change, step in CHANGES:
        stack.configure(elasticache={"cache": {**cache, **change}})
        assert stack.planned(GROUP) == step, change

    # TLS in one step is refused, in two it comes without another cache.
    stack.configure(elasticache={"cache": {**cache, "tls": True}})
    assert "must be preferred first" in stack.up(succeeds=False).stdout
    for change in ({"tls": True, "aws_tls_optional": True}, {"tls": True}):
        stack.configure(elasticache={"cache": {**cache, **change}})
        stack.up()
        assert stack.works("cache")

    # What the state has forgotten is imported, and is as it was.
    before = stack.only(GROUP)
    [urn] = [each["urn"] for each in stack.export() if each["type"] == GROUP]
    [parent] = [each["urn"] for each in stack.export() if each["type"] == "caches:index:ElastiCache"]
    stack.pulumi("state", "delete", urn, "--target-dependents", "--yes")
    options = ("--yes", "--skip-preview", "--protect=false", "--generate-code=false")
    stack.pulumi("import", GROUP, "cache", before["id"], "--parent", f"elasticache={parent}", *options)
    assert stack.only(GROUP) == before


def test_a_cache_of_another_region_follows_and_changes_with_its_primary(stack: Emulated) -> None:
    large = {"aws_node_type": "cache.m7g.large", "engine_version": "8.0", "auth": "none", "aws_final_backup": False, "purpose": "cache"}
    copy = {"region": "us-west-2", "auth": "none", "aws_final_backup": False, "purpose": "cache", "aws_primary": "primary"}
    stack.configure(
        network={"shop": {"region": REGION}, "shop-west": {"region": "us-west-2"}},
        elasticache={"primary": {**large, "region": REGION, "aws_global_datastore": True}, "copy": copy},
    )
    stack.up()
    assert stack.follows("copy", "primary")
    stack.preview("--expect-no-changes")

    # AWS scales and upgrades the datastore, not its members.
    larger = {**large, "aws_node_type": "cache.m7g.xlarge", "engine_version": "8.1"}
    stack.configure(
        elasticache={"primary": {**larger, "region": REGION, "aws_global_datastore": True, "maintenance_day": "monday"}, "copy": copy}
    )
    assert stack.planned(GLOBAL) == "update"
    stack.up()
    groups = [each["outputs"] for each in stack.resources().values() if each["token"] == GROUP]
    assert {(each["nodeType"], each["engineVersion"]) for each in groups} == {("cache.m7g.xlarge", "8.1")}
    assert stack.follows("copy", "primary")
    stack.preview("--expect-no-changes")
    stack.refresh()
    stack.preview("--expect-no-changes")
    stack.destroy()
    assert stack.resources() == {}


def test_a_copy_of_a_cluster_is_promoted_and_the_primary_follows_it(stack: Emulated) -> None:
    member = {"auth": "none", "aws_final_backup": False, "purpose": "cache", "shards": 2}
    primary = {**member, "region": REGION, "aws_node_type": "cache.m7g.large", "aws_global_datastore": True}
    copy = {**member, "region": "us-west-2", "aws_primary": "primary"}
    stack.configure(
        network={"shop": {"region": REGION}, "shop-west": {"region": "us-west-2"}},
        elasticache={"primary": primary, "copy": copy},
    )
    stack.up()
    assert stack.follows("copy", "primary")
    assert "us-west-2/replicationgroup/copy takes writes now" in stack.command("promote", "us-west-2/replicationgroup/copy")
    assert stack.follows("primary", "copy")
    # What has changed is noted, and undone by nothing.
    stack.preview("--expect-no-changes")
    stack.refresh()
    assert stack.only(GLOBAL)["outputs"]["primaryReplicationGroupId"] == "us-west-2/replicationgroup/copy"
    stack.preview("--expect-no-changes")
    stack.command("promote", "us-east-1/replicationgroup/primary")
    # Another primary is another datastore, with other copies.
    stack.configure(elasticache={"primary": {**primary, "aws_kms_key": "arn:aws:kms:us-east-1:1:key/a"}, "copy": copy})
    stack.up()
    assert stack.only(GLOBAL)["outputs"]["primaryReplicationGroupId"] == "us-east-1/replicationgroup/primary"
    assert stack.follows("copy", "primary")
    stack.destroy()
    assert stack.resources() == {}
