"""What is in an emulated cloud's caches: it stays when a cache is changed in place, and comes to copies in other regions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis
from clouds.emulator import aws_kinds, azure_kinds, gcp_kinds, servers
from clouds.emulator.aws_caches import GLOBAL, promote
from clouds.emulator.aws_caches import GROUP as AWS_GROUP
from clouds.emulator.cloud import Cloud, ConflictError, Resource
from clouds.emulator.serving import place_of
from common.waiting import until

VALKEY, REDIS_CLUSTER = "gcp:memorystore/instance:Instance", "gcp:redis/cluster:Cluster"
AZURE, LINK = "azure-native:redis:Redis", "azure-native:redis:LinkedServer"
NETWORK = "projects/shop/global/networks/main"
GROUP: dict[str, Any] = {"region": "us-east-1", "replicationGroupId": "cache", "engine": "valkey", "transitEncryptionEnabled": False}
MEMORYSTORE: dict[str, Any] = {"instanceId": "cache", "location": "europe-west1", "replicaCount": 0}
CLUSTER: dict[str, Any] = {"name": "cache", "region": "europe-west1", "pscConfigs": [{"network": NETWORK}]}
PREMIUM: dict[str, Any] = {"resourceGroupName": "shop", "name": "carts", "sku": {"name": "Premium", "family": "P", "capacity": 1}}
AOF = {"persistenceConfig": {"mode": "AOF"}}

CLOUDS: dict[str, ModuleType] = {"aws": aws_kinds, "azure": azure_kinds, "gcp": gcp_kinds}
OpenCloud = Callable[[str], Cloud]


@pytest.fixture
def open_cloud(tmp_path: Path) -> Iterator[OpenCloud]:
    opened: list[Cloud] = []

    def make(name: str) -> Cloud:
        opened.append(Cloud(tmp_path / name, CLOUDS[name].KINDS, CLOUDS[name].INVOKES))
        return opened[-1]

    yield make
    for cloud in opened:
        cloud.remove()


def client(cloud: Cloud, cache: Resource) -> Any:
    """Of anybody whom the cache lets in."""
    place = place_of(cloud, cache)
    given: dict[str, Any] = {"decode_responses": True, "password": cache.hidden.get("keys", {}).get("primaryKey")}
    if place.tls:
        given |= {"ssl": True, "ssl_ca_certs": str(cloud.folder / "authorities.pem")}
    kind: Any = redis.RedisCluster if place.shards else redis.Redis
    return kind(host=place.address, port=place.port, **given)


CHANGES: list[tuple[str, str, dict[str, Any], list[dict[str, Any]]]] = [
    ("aws", AWS_GROUP, {**GROUP, "numNodeGroups": 2}, [{"numNodeGroups": 3}, {"numNodeGroups": 2, "replicasPerNodeGroup": 1}]),
    ("aws", AWS_GROUP, GROUP, [{"transitEncryptionEnabled": True, "transitEncryptionMode": "preferred", "numCacheClusters": 2}]),
    ("aws", AWS_GROUP, {**GROUP, "engine": "redis"}, [{"engine": "valkey", "engineVersion": "8.0"}]),
]


@pytest.mark.parametrize(("vendor", "token", "first", "changes"), CHANGES)
def test_what_is_in_a_cache_stays_when_it_gets_another_shape(
    open_cloud: OpenCloud, vendor: str, token: str, first: dict[str, Any], changes: list[dict[str, Any]]
) -> None:
    cloud = open_cloud(vendor)
    cache = cloud.create(token, first)
    numbers = {f"number:{number}": str(number) for number in range(200)}
    with client(cloud, cache) as before:
        for key, value in numbers.items():
            before.set(key, value)
        before.rpush("list", *"abc")
        before.hset("hash", mapping={"field": "value"})
        before.zadd("board", {"one": 1, "two": 2})
        before.set("short", "lived", px=3_600_000)
    shape: dict[str, Any] = {}
    for change in changes:
        known = shape
        cache = cloud.update(cache.id, {**first, **change})
        shape = cache.hidden["shape"]
        assert shape != known
        with client(cloud, cache) as after:
            assert {key: after.get(key) for key in numbers} == numbers
            assert after.lrange("list", 0, -1) == ["a", "b", "c"]
            assert after.hgetall("hash") == {"field": "value"}
            assert after.zrange("board", 0, -1, withscores=True) == [("one", 1.0), ("two", 2.0)]
            assert 0 < after.pttl("short") <= 3_600_000
            # Whoever was let in before is again.
            after.set("number:0", "0")


def test_a_change_that_would_lose_keys_is_refused_and_leaves_the_cache_as_it_was(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("aws")
    cache = cloud.create(AWS_GROUP, {**GROUP, "engine": "redis"})
    place = place_of(cloud, cache)
    with redis.Redis(place.address, place.port, db=3, decode_responses=True) as other:
        other.set("key", "value")
        with pytest.raises(ConflictError, match="has keys in db3: the emulator moves those of db0 only"):
            cloud.update(cache.id, {**GROUP, "engine": "valkey"})
        assert other.get("key") == "value"


def test_what_a_cloud_replaces_begins_empty(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("gcp")
    cluster = {**MEMORYSTORE, "shardCount": 2}
    cache = cloud.create(VALKEY, {**cluster, **AOF})
    with client(cloud, cache) as before:
        before.set("key", "value")
    cloud.delete(cache.id)
    cache = cloud.create(VALKEY, {**cluster, **AOF, "shardCount": 1, "mode": "CLUSTER_DISABLED"})
    with client(cloud, cache) as after:
        assert after.dbsize() == 0


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [("redis", "valkey", False), ("valkey", "redis", True)],
)
def test_only_redis_becomes_valkey_in_place(open_cloud: OpenCloud, old: str, new: str, replaced: bool) -> None:
    found = open_cloud("aws").replaced(AWS_GROUP, {**GROUP, "engine": old}, {**GROUP, "engine": new})
    assert ("engine" in found) == replaced


def aws_copy(cloud: Cloud) -> tuple[Resource, Resource, Callable[[], object]]:
    primary = cloud.create(AWS_GROUP, {**GROUP, "nodeType": "cache.m7g.large", "numNodeGroups": 2})
    there = {"region": "us-east-1", "globalReplicationGroupIdSuffix": "all", "primaryReplicationGroupId": primary.id}
    joined = cloud.create(GLOBAL, there).outputs["globalReplicationGroupId"]
    copy = cloud.create(AWS_GROUP, {"region": "us-west-2", "replicationGroupId": "copy", "globalReplicationGroupId": joined})
    return primary, copy, lambda: promote(cloud, copy.id)


def server_copy(cloud: Cloud) -> tuple[Resource, Resource, Callable[[], object]]:
    """Without shards: a replica of the engine's own."""
    alone = {**MEMORYSTORE, "shardCount": 1, "mode": "CLUSTER_DISABLED", "transitEncryptionMode": "SERVER_AUTHENTICATION"}
    primary = cloud.create(VALKEY, alone)
    role = {"instanceRole": "SECONDARY", "primaryInstance": {"instance": primary.id}}
    copy = cloud.create(VALKEY, {**alone, "location": "us-central1", "crossInstanceReplicationConfig": role})
    return primary, copy, lambda: cloud.update(copy.id, {**alone, "location": "us-central1"})


def valkey_copy(cloud: Cloud) -> tuple[Resource, Resource, Callable[[], object]]:
    tls = {**MEMORYSTORE, **AOF, "shardCount": 2, "transitEncryptionMode": "SERVER_AUTHENTICATION"}
    primary = cloud.create(VALKEY, tls)
    role = {"instanceRole": "SECONDARY", "primaryInstance": {"instance": primary.id}}
    other = {**tls, "location": "us-central1"}
    copy = cloud.create(VALKEY, {**other, "crossInstanceReplicationConfig": role})
    detached = {**other, "crossInstanceReplicationConfig": {"instanceRole": "NONE"}}
    return primary, copy, lambda: cloud.update(copy.id, detached)


def redis_cluster_copy(cloud: Cloud) -> tuple[Resource, Resource, Callable[[], object]]:
    primary = cloud.create(REDIS_CLUSTER, {**CLUSTER, "shardCount": 1})
    role = {"clusterRole": "SECONDARY", "primaryCluster": {"cluster": primary.id}}
    other = {**CLUSTER, "region": "us-central1", "shardCount": 1, "replicaCount": 1}
    copy = cloud.create(REDIS_CLUSTER, {**other, "crossClusterReplicationConfig": role})
    detached = {**other, "crossClusterReplicationConfig": {"clusterRole": "NONE"}}
    return primary, copy, lambda: cloud.update(copy.id, detached)


def azure_copy(cloud: Cloud) -> tuple[Resource, Resource, Callable[[], object]]:
    primary, copy = (cloud.create(AZURE, {**PREMIUM, "name": name, "location": name, "shardCount": 2}) for name in ("eastus", "westus"))
    with client(cloud, copy) as own:
        own.set("of its own", "until it is linked")
    where = {"resourceGroupName": "shop", "name": "eastus", "linkedServerName": "westus"}
    linked = cloud.create(LINK, {**where, "linkedRedisCacheId": copy.id, "linkedRedisCacheLocation": "westus", "serverRole": "Secondary"})
    return primary, copy, lambda: cloud.delete(linked.id)


@pytest.mark.parametrize(
    ("vendor", "make"),
    [("gcp", server_copy), ("gcp", valkey_copy), ("gcp", redis_cluster_copy), ("azure", azure_copy)],
)
def test_a_copy_has_what_is_written_in_its_primary_and_is_only_read_until_it_is_on_its_own(
    open_cloud: OpenCloud, vendor: str, make: Callable[[Cloud], tuple[Resource, Resource, Callable[[], object]]]
) -> None:
    cloud = open_cloud(vendor)
    primary, copy, let_go = make(cloud)
    numbers = {f"number:{number}": str(number) for number in range(100)}
    with client(cloud, primary) as written, client(cloud, copy) as read:
        for key, value in numbers.items():
            written.set(key, value)
        assert until(lambda: {key: read.get(key) for key in numbers} == numbers, 60)
        assert read.get("of its own") is None
        written.delete("number:0")
        assert until(lambda: read.get("number:0") is None, 60)
        with pytest.raises((redis.exceptions.NoPermissionError, redis.ReadOnlyError)):
            read.set("number:1", "other")
        replicators = [process for each in cloud.everything() for process in each.hidden.get("replicator", [])]
        let_go()
        assert not any(servers.run([replicator]) for replicator in replicators)
        assert read.get("number:2") == "2"
        assert read.set("number:2", "other")


def test_a_promoted_group_is_followed_by_the_one_before_which_can_be_promoted_again(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("aws")
    primary, copy, promote_copy = aws_copy(cloud)
    [datastore] = cloud.all(GLOBAL)
    with client(cloud, primary) as first, client(cloud, copy) as second:
        first.set("key", "first")
        assert until(lambda: second.get("key") == "first", 60)
        promote_copy()
        second.set("key", "second")
        assert until(lambda: first.get("key") == "second", 60)
        with pytest.raises(redis.exceptions.NoPermissionError):
            first.set("key", "first")
        # What a refresh finds, and what a change that has nothing to do with it leaves alone.
        assert cloud.read(datastore.id).outputs["primaryReplicationGroupId"] == copy.id  # type: ignore[union-attr]
        for group in (primary, copy):
            cloud.update(group.id, {**group.inputs, "description": "changed"})
        second.set("key", "third")
        assert until(lambda: first.get("key") == "third", 60)
        with pytest.raises(ConflictError, match="is the primary of"):
            cloud.delete(copy.id)
        with pytest.raises(ConflictError, match=f"{copy.id} follows none, only {primary.id} does"):
            promote_copy()
        # A region that is lost is no reason to wait; it follows when it is back.
        servers.stop(cloud.read(copy.id).processes)  # type: ignore[union-attr]
        promote(cloud, primary.id)
        first.set("key", "fourth")
        assert cloud.revive() == [copy.id]
    with client(cloud, copy) as second:
        assert until(lambda: second.get("key") == "fourth", 60)


@pytest.mark.long
def test_a_datastore_is_given_other_shards_for_all_its_members_and_none_of_these_alone(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("aws")
    primary, copy, _ = aws_copy(cloud)
    [datastore] = cloud.all(GLOBAL)
    for group in (primary, copy):
        with pytest.raises(ConflictError, match="numNodeGroups: can't be changed of a member of a global datastore"):
            cloud.update(group.id, {**group.inputs, "numNodeGroups": 3})
    with client(cloud, primary) as written:
        written.set("key", "before")
    cloud.update(datastore.id, {**datastore.inputs, "numNodeGroups": 3})
    primary, copy = (cloud.read(group.id) or group for group in (primary, copy))
    assert [group.hidden["shape"]["shards"] for group in (primary, copy)] == [3, 3]
    with client(cloud, primary) as written, client(cloud, copy) as read:
        assert written.get("key") == "before"
        written.set("other", "after")
        assert until(lambda: (read.get("key"), read.get("other")) == ("before", "after"), 60)


def test_a_primary_that_is_given_other_shards_keeps_its_copy_and_what_was_deleted_stays_deleted(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("gcp")
    primary, copy, _ = valkey_copy(cloud)
    with client(cloud, primary) as written, client(cloud, copy) as read:
        written.mset_nonatomic({f"number:{number}": number for number in range(100)})
        assert until(lambda: read.get("number:99") == "99", 60)
        primary = cloud.update(primary.id, {**primary.inputs, "shardCount": 3})
        assert read.get("number:99") == "99"
        with client(cloud, primary) as changed:
            assert changed.get("number:0") == "0"
            changed.delete("number:99")
            changed.set("number:100", "100")
        assert until(lambda: (read.get("number:99"), read.get("number:100")) == (None, "100"), 60)
    # Servers that are lost come back, and follow again.
    servers.stop(process for each in (primary, copy) for process in cloud.read(each.id).processes)  # type: ignore[union-attr]
    assert cloud.revive() == [primary.id, copy.id]
    with client(cloud, primary) as written, client(cloud, copy) as read:
        written.set("key", "after")
        assert until(lambda: read.get("key") == "after", 60)
    cloud.delete(copy.id)
    assert not any(each.hidden.get("replicator") for each in cloud.everything())


@pytest.mark.long
def test_roles_are_switched_by_two_changes_in_either_order(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("gcp")
    primary, copy, _ = redis_cluster_copy(cloud)
    with client(cloud, primary) as first, client(cloud, copy) as second:
        for follower, leader, has, gets in ((primary, copy, second, first), (copy, primary, first, second)):
            gets.set("key", leader.id)
            assert until(lambda has=has, leader=leader: has.get("key") == leader.id, 60)  # type: ignore[misc]
            changes = [
                (follower, {"clusterRole": "SECONDARY", "primaryCluster": {"cluster": leader.id}}),
                (leader, {"clusterRole": "PRIMARY", "secondaryClusters": [{"cluster": follower.id}]}),
            ]
            for changed, role in changes if leader is copy else reversed(changes):
                cloud.update(changed.id, {**changed.inputs, "crossClusterReplicationConfig": role})
            assert has.get("key") == leader.id
            has.set("back", leader.id)
            assert until(lambda gets=gets, leader=leader: gets.get("back") == leader.id, 60)  # type: ignore[misc]


def test_caches_of_other_shards_are_not_linked(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("azure")
    cloud.create(AZURE, {**PREMIUM, "name": "eastus", "shardCount": 2})
    other = cloud.create(AZURE, {**PREMIUM, "name": "westus"})
    where = {"resourceGroupName": "shop", "name": "eastus", "linkedServerName": "westus"}
    with pytest.raises(ConflictError, match="it has 0 shards, and its primary 2"):
        cloud.create(LINK, {**where, "linkedRedisCacheId": other.id, "linkedRedisCacheLocation": "westus", "serverRole": "Secondary"})


def test_caches_that_are_linked_are_neither_scaled_nor_deleted_until_they_are_unlinked(open_cloud: OpenCloud) -> None:
    cloud = open_cloud("azure")
    primary, copy, unlink = azure_copy(cloud)
    for cache in (primary, copy):
        with pytest.raises(ConflictError, match="shardCount: can't be changed while the cache is linked: unlink it first"):
            cloud.update(cache.id, {**cache.inputs, "shardCount": 3})
        cloud.update(cache.id, {**cache.inputs, "minimumTlsVersion": "1.2"})
        with pytest.raises(ConflictError, match="can't be deleted"):
            cloud.delete(cache.id)
    with client(cloud, primary) as written, client(cloud, copy) as read:
        written.set("key", "value")
        assert until(lambda: read.get("key") == "value", 60)
    unlink()
    copy = cloud.update(copy.id, {**copy.inputs, "shardCount": 3})
    with client(cloud, copy) as kept:
        assert kept.get("key") == "value"
    cloud.delete(copy.id)
