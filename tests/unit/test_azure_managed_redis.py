"""What AzureManagedRedis asks Azure for, and what it refuses."""

from __future__ import annotations

import re
from typing import Any, cast

import pulumi
import pytest
from azure.mgmt.redisenterprise.models import SkuName
from pulumi_caches import ArgumentError
from pulumi_caches.azure import AzureManagedRedis, AzureManagedRedisArgs
from pulumi_caches.azure.skus import SKUS
from unit import mocks, wiring
from unit.refusal import refused

SUBNET = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Network/virtualNetworks/shop/subnets/caches"
ZONE = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Network/privateDnsZones/privatelink.redis.azure.net"
CLUSTER = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Cache/redisEnterprise/cache"
FOREIGN = "/subscriptions/2/resourceGroups/x/providers/Microsoft.Cache/redisEnterprise/other/databases/default"
PERSON = "0a1b2c3d-0000-4000-8000-00000000abcd"
KEY = "https://shop.vault.azure.net/keys/caches/0123456789abcdef"
IDENTITY = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/caches"
NEEDED: dict[str, Any] = {"region": "westeurope", "azure_subnet_id": SUBNET}
KEYS = {"azure-native:redisenterprise:listDatabaseKeys": {"primaryKey": "key"}}
GEO: dict[str, Any] = {"azure_geo_group": "shop", "memory_gib": 2}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"memory": 2}, "memory: there is no such argument; did you mean 'memory_gib'?"),
    ({"azure_minimum_tls_version": "1.0"}, "azure_minimum_tls_version: there is no such argument"),
    # What other clouds have
    ({"shards": 2}, "shards = 2: Azure chooses them with the size"),
    ({"replicas_per_shard": 1}, "replicas_per_shard = 1: there is one with high_availability, else none"),
    ({"engine_version": "7.2"}, "engine_version = '7.2': the cloud chooses that of Azure Managed Redis"),
    ({"backup_retention_days": 7}, "backup_retention_days = 7: Azure Managed Redis makes no backups each day"),
    ({"maintenance_day": "monday"}, "maintenance_day = 'monday': Azure chooses when it maintains"),
    ({"auth": "none"}, "auth = 'none': Azure Managed Redis has only cloud, password"),
    ({"tls": False, "auth": "password"}, "logins would cross the network in plain text"),
    # Where
    ({"region": "West Europe"}, "region = 'West Europe': must be Azure's name of a region, such as westeurope; did you mean 'westeurope'?"),
    ({"region": "eu-west-1"}, "region = 'eu-west-1': must be Azure's name of a region"),
    ({"region": None}, "region = None: must be Azure's name of a region"),
    ({"azure_name": "a--b"}, "azure_name = 'a--b': must be 1 to 60 letters, digits and single hyphens"),
    ({"azure_name": "a" * 61}, "must be 1 to 60 letters"),
    ({"azure_name": "sessions_eu"}, "azure_name = 'sessions_eu': must be 1 to 60"),
    ({"azure_zones": ["4"]}, "azure_zones = ['4']: must be different ones of 1, 2, 3"),
    ({"azure_zones": ["1"]}, "azure_zones = ['1']: with one zone, both servers would be lost with it"),
    ({"azure_zones": ["1", "1"]}, "must be different ones"),
    ({"tags": {"a/b": "c"}}, "'a/b': Azure has no <>%&\\?/ in names"),
    ({"tags": {"a": "b" * 257}}, "at most 256 characters in values"),
    ({"tags": {str(number): "" for number in range(51)}}, "tags: has 51, at most 50 are possible"),
    # How large
    ({"memory_gib": 0}, "memory_gib = 0: must be from 0.1"),
    ({"memory_gib": 800}, "memory_gib = 800: tier balanced has at most 715 GiB for data: give less, or another azure_tier"),
    ({"memory_gib": "2"}, "memory_gib = '2': must be a number"),
    ({"azure_tier": "memroy"}, "azure_tier = 'memroy': must be one of balanced, memory, compute, flash; did you mean 'memory'?"),
    ({"azure_sku": "Balanced_B6"}, "azure_sku = 'Balanced_B6': is no size of Azure Managed Redis; did you mean 'Balanced_B"),
    ({"azure_sku": "Memory-Optimized_M10"}, "did you mean 'MemoryOptimized_M10'?"),
    ({"azure_sku": "Enterprise_E10"}, "azure_sku = 'Enterprise_E10': is no size of Azure Managed Redis"),
    ({"azure_sku": "Balanced_B1", "memory_gib": 1}, "azure_sku = 'Balanced_B1': has 1 GB, of which Azure keeps 20%, less than memory_gib"),
    (
        {"azure_sku": "Balanced_B5", "azure_tier": "compute"},
        "azure_tier = 'compute': Balanced_B5 is of tier balanced",
    ),
    # How it serves
    ({"tls": False}, "logins would cross the network in plain text"),
    ({"azure_clustering": "oss"}, "azure_clustering = 'oss': must be one of OSSCluster, EnterpriseCluster, NoCluster"),
    ({"azure_clustering": "NoCluster", "memory_gib": 30}, "azure_clustering = 'NoCluster': works up to 25 GB, and Balanced_B50 has 60"),
    ({"persistence": "aof+rdb"}, "persistence = 'aof+rdb': Azure Managed Redis has only aof, rdb, none"),
    ({"azure_snapshot_hours": 3, "persistence": "rdb"}, "azure_snapshot_hours = 3: must be one of 1, 6, 12"),
    ({"azure_snapshot_hours": 6}, "azure_snapshot_hours = 6: there are snapshots with persistence rdb only"),
    ({"azure_modules": ["RedisSearch"]}, "'RedisSearch' is none of RediSearch, RedisBloom"),
    ({"azure_modules": ["RedisJSON", "RedisJSON"]}, "names one of them twice"),
    ({"azure_modules": ["RediSearch"], "maxmemory_policy": "allkeys-lru"}, "RediSearch works with maxmemory_policy noeviction only"),
    (
        {"azure_modules": ["RediSearch"], "azure_clustering": "OSSCluster", "maxmemory_policy": "noeviction"},
        "azure_clustering = 'OSSCluster': RediSearch works with EnterpriseCluster only",
    ),
    ({"azure_modules": ["RedisBloom"], "azure_tier": "flash"}, "RedisBloom is not there in tier flash"),
    # Who gets in
    ({"azure_subnet_id": None}, "azure_subnet_id = None: nobody could reach the cache: give a subnet for a private endpoint"),
    ({"azure_subnet_id": None, "azure_private_dns_zone_id": ZONE}, "azure_private_dns_zone_id: is for the endpoint that azure_subnet_id"),
    ({"azure_principals": {"my-app": PERSON}}, "'my-app' must be 1 to 60 letters and digits"),
    ({"azure_principals": {"app": "shop@example.com"}}, "'shop@example.com' is not the object id of a user"),
    ({"azure_principals": [PERSON]}, "must be a mapping of names to object ids"),
    ({"azure_principals": {"app": PERSON}, "auth": "password"}, "log in by Entra: leave out auth, or these"),
    ({"azure_encryption_key_url": KEY}, "azure_encryption_identity_id = None: a key of one's own needs both"),
    ({"azure_encryption_key_url": KEY.rpartition("/")[0], "azure_encryption_identity_id": IDENTITY}, "the URL of a key with its version"),
    ({"azure_encryption_key_url": KEY, "azure_encryption_identity_id": "system"}, "the resource id of a user-assigned identity"),
    # Across regions
    ({"azure_geo_members": ["cache", "other"]}, "needs azure_geo_group"),
    ({**GEO, "azure_geo_members": ["a", "b", "c", "d", "e"]}, "must be different caches, with this one at most 5"),
    ({**GEO, "azure_geo_members": ["a", "a"]}, "must be different caches"),
    ({**GEO, "azure_geo_members": ["/subscriptions/x"]}, "'/subscriptions/x' is neither a cache's name nor the resource id"),
    ({**GEO, "memory_gib": None, "azure_sku": "Balanced_B1"}, "azure_geo_group = 'shop': geo-replication does not work with Balanced_B1"),
    ({**GEO, "memory_gib": 200, "azure_tier": "flash"}, "geo-replication does not work with FlashOptimized_A500"),
    ({**GEO, "high_availability": False}, "azure_geo_group = 'shop': geo-replication needs high_availability: true"),
    ({**GEO, "persistence": "aof"}, "azure_geo_group = 'shop': geo-replication works with persistence none only"),
    ({**GEO, "azure_modules": ["RedisBloom"]}, "RedisBloom does not work with geo-replication: only RediSearch and RedisJSON do"),
    ({**GEO, "azure_geo_group": "a b"}, "azure_geo_group = 'a b': must be 1 to 63"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(AzureManagedRedis, {**NEEDED, **args})


def made(**args: Any) -> mocks.Registered:
    # Azure answers with a mapping where it takes a list.
    identity = {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    answers: dict[str, dict[str, Any]] = {"cache": {"id": CLUSTER, "identity": identity}, **KEYS}
    given = cast(AzureManagedRedisArgs, {**NEEDED, **args})
    return mocks.run(lambda: AzureManagedRedis("cache", given) and None, answers=answers)


def test_every_default_is_the_private_one_that_keeps_data() -> None:
    registered = made()
    cluster, database = registered.only("RedisEnterprise"), registered.only("Database")
    assert cluster["sku"] == {"name": "Balanced_B3"}
    assert cluster["publicNetworkAccess"] == "Disabled"
    assert (cluster["highAvailability"], cluster["minimumTlsVersion"]) == ("Enabled", "1.2")
    assert (database["clientProtocol"], database["accessKeysAuthentication"], database["port"]) == ("Encrypted", "Disabled", 10000)
    assert (database["clusteringPolicy"], database["evictionPolicy"]) == ("OSSCluster", "NoEviction")
    assert database["persistence"] == {"aofEnabled": True, "aofFrequency": "1s", "rdbEnabled": False}
    assert "geoReplication" not in database


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"region": "eastus"}, "about 94.90 USD a month"),
        ({"region": "eastus", "high_availability": False}, "about 47.45 USD a month"),
        ({"region": "westeurope"}, "not known: the list price of this size in this region is not in the table"),
    ],
)
def test_says_what_a_month_costs(args: dict[str, Any], said: str) -> None:
    found: list[str] = []
    given = cast(AzureManagedRedisArgs, {**NEEDED, **args})
    mocks.run(lambda: AzureManagedRedis("cache", given).monthly_cost.apply(found.append))
    assert found[0].startswith(said)


def test_the_smallest_size_that_holds_it_is_chosen() -> None:
    for memory_gib, sku in [(0.3, "B0"), (0.5, "B1"), (2, "B3"), (2.3, "B5"), (8.9, "B10"), (9, "B20"), (600, "B1000")]:
        assert made(memory_gib=memory_gib).only("RedisEnterprise")["sku"] == {"name": f"Balanced_{sku}"}
    assert made(memory_gib=0.3, azure_geo_group="shop").only("RedisEnterprise")["sku"] == {"name": "Balanced_B3"}
    assert made(memory_gib=1, azure_tier="memory").only("RedisEnterprise")["sku"] == {"name": "MemoryOptimized_M10"}
    assert made(azure_sku="ComputeOptimized_X3").only("RedisEnterprise")["sku"] == {"name": "ComputeOptimized_X3"}


def test_sizes_are_those_of_azures_own_model() -> None:
    assert set(SKUS) == {name.value for name in SkuName if not name.value.startswith("Enterprise")}
    assert all(sku.usable_gb < sku.size_gb for sku in SKUS.values())


def test_everything_is_in_the_given_group_or_in_one_of_its_own() -> None:
    own = made(azure_principals={"app": PERSON}, azure_private_dns_zone_id=ZONE)
    assert own.only("ResourceGroup") == {"resourceGroupName": "cache", "location": "westeurope"}
    given = made(azure_resource_group_name="shop", azure_principals={"app": PERSON}, azure_private_dns_zone_id=ZONE)
    assert given.named("ResourceGroup") == {}
    kinds = ("RedisEnterprise", "Database", "AccessPolicyAssignment", "PrivateEndpoint", "PrivateDnsZoneGroup")
    assert {given.only(kind)["resourceGroupName"] for kind in kinds} == {"shop"}


def test_the_private_endpoint_is_for_the_cache_and_the_zone_knows_it() -> None:
    registered = made(azure_private_dns_zone_id=ZONE)
    endpoint = registered.only("PrivateEndpoint")
    assert endpoint["subnet"] == {"id": SUBNET}
    [link] = endpoint["privateLinkServiceConnections"]
    assert (link["groupIds"], link["privateLinkServiceId"]) == (["redisEnterprise"], CLUSTER)
    [zone] = registered.only("PrivateDnsZoneGroup")["privateDnsZoneConfigs"]
    assert zone["privateDnsZoneId"] == ZONE


def test_public_access_needs_no_subnet() -> None:
    registered = made(azure_subnet_id=None, azure_public_access=True)
    assert registered.only("RedisEnterprise")["publicNetworkAccess"] == "Enabled"
    assert registered.named("PrivateEndpoint") == {}


def test_who_may_log_in_is_assigned_by_name() -> None:
    registered = made(azure_principals={"app": PERSON, "worker": pulumi.Output.from_input(PERSON)})
    assignments = registered.named("AccessPolicyAssignment")
    assert set(assignments) == {"cache-app", "cache-worker"}
    assert {each["accessPolicyName"] for each in assignments.values()} == {"default"}
    assert {each["user"]["objectId"] for each in assignments.values()} == {PERSON}


def test_members_of_a_group_name_those_before_them_and_themselves() -> None:
    def linked(*members: str) -> list[str]:
        geo = made(memory_gib=2, azure_geo_group="shop", azure_geo_members=list(members)).only("Database")["geoReplication"]
        assert geo["groupNickname"] == "shop"
        return [each["id"] for each in geo["linkedDatabases"]]

    own, other = f"{CLUSTER}/databases/default", f"{CLUSTER.removesuffix('cache')}other/databases/default"
    assert linked() == [own]
    assert linked("cache", "other") == [own]
    assert linked("other", "cache") == [other, own]
    assert linked(FOREIGN, "cache") == [FOREIGN, own]


def test_a_group_keeps_nothing_on_disk_and_its_growth_is_no_change() -> None:
    registered = made(memory_gib=2, azure_geo_group="shop")
    assert registered.only("Database")["persistence"] == {"aofEnabled": False, "rdbEnabled": False}
    assert wiring.request(registered, "Database").ignoreChanges == ["geoReplication"]


def test_a_key_of_ones_own_is_used_by_the_identity_that_the_cache_gets() -> None:
    cluster = made(azure_encryption_key_url=KEY, azure_encryption_identity_id=IDENTITY).only("RedisEnterprise")
    key = cluster["encryption"]["customerManagedKeyEncryption"]
    assert key["keyEncryptionKeyUrl"] == KEY
    identity = {"identityType": "userAssignedIdentity", "userAssignedIdentityResourceId": IDENTITY}
    assert key["keyEncryptionKeyIdentity"] == identity
    assert cluster["identity"] == {"type": "UserAssigned", "userAssignedIdentities": [IDENTITY]}


def test_modules_choose_the_clustering_that_they_need() -> None:
    database = made(azure_modules=["RediSearch", "RedisJSON"], maxmemory_policy="noeviction").only("Database")
    assert database["clusteringPolicy"] == "EnterpriseCluster"
    assert database["modules"] == [{"name": "RediSearch"}, {"name": "RedisJSON"}]


def test_snapshots_are_made_as_often_as_asked() -> None:
    persistence = made(persistence="rdb", azure_snapshot_hours=6).only("Database")["persistence"]
    assert persistence == {"aofEnabled": False, "rdbEnabled": True, "rdbFrequency": "6h"}


ANSWERS = {"cache": {"hostName": "cache.westeurope.redis.azure.net"}, **KEYS}
SAID = {"engine": "redis", "host": "cache.westeurope.redis.azure.net", "port": 10000, "provider": "azure", "region": "westeurope"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, {"mode": "cluster", "tls": True, "auth": "entra", "cache_name": "cache"}),
        ({"azure_name": "sessions"}, {"mode": "cluster", "tls": True, "auth": "entra", "cache_name": "sessions"}),
        ({"azure_clustering": "EnterpriseCluster"}, {"mode": "standalone", "tls": True, "auth": "entra", "cache_name": "cache"}),
        ({"auth": "password"}, {"mode": "cluster", "tls": True, "password": "key"}),
        ({"auth": "password", "azure_clustering": "NoCluster"}, {"mode": "standalone", "tls": True, "password": "key"}),
        ({"purpose": "session"}, {"mode": "cluster", "tls": True, "auth": "entra", "cache_name": "cache", "purpose": "session"}),
    ],
    ids=str,
)
def test_the_connection_says_how_to_get_in(args: dict[str, Any], said: dict[str, Any]) -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = AzureManagedRedis("cache", cast(AzureManagedRedisArgs, {**NEEDED, **args}))
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    mocks.run(program, answers=ANSWERS)
    assert found == [{**SAID, **said}]


MADE_AS = {"high_availability": True, "azure_clustering": "OSSCluster", "azure_modules": [], "azure_geo_group": "", "flash": False}


@pytest.mark.parametrize(
    ("first", "now", "message"),
    [
        (
            {"high_availability": True},
            {"high_availability": False},
            "high_availability: True can't become False",
        ),
        ({"azure_clustering": "OSSCluster"}, {"azure_clustering": "NoCluster"}, "azure_clustering: 'OSSCluster' can't become 'NoCluster'"),
        ({"azure_modules": []}, {"azure_modules": ["RedisJSON"]}, "azure_modules: [] can't become ['RedisJSON']"),
        ({"azure_geo_group": ""}, {"azure_geo_group": "shop", "memory_gib": 2}, "azure_geo_group: '' can't become 'shop'"),
        ({"flash": False}, {"azure_tier": "flash"}, "flash: False can't become True: Azure can't move data"),
    ],
)
def test_what_azure_can_not_change_is_refused_in_the_preview(first: dict[str, Any], now: dict[str, Any], message: str) -> None:
    kept = {
        "high_availability": True,
        "azure_clustering": "OSSCluster",
        "azure_modules": [],
        "azure_geo_group": "",
        "flash": False,
        **first,
    }
    args = cast(AzureManagedRedisArgs, {**NEEDED, **now})
    answers = {"cache-made-as": {"output": kept}}
    registered: list[Any] = []
    with pytest.raises(ArgumentError, match=re.escape(message)):
        registered.append(mocks.run(lambda: AzureManagedRedis("cache", args) and None, answers=answers))
    assert registered == []


@pytest.mark.parametrize(
    ("first", "now"),
    [
        ({"high_availability": False}, {"high_availability": True}),
        ({"azure_clustering": "NoCluster"}, {"azure_clustering": "OSSCluster"}),
        ({}, {"memory_gib": 40, "auth": "password", "maxmemory_policy": "allkeys-lru"}),
    ],
    ids=str,
)
def test_what_azure_can_change_is_changed(first: dict[str, Any], now: dict[str, Any]) -> None:
    kept = {
        "high_availability": True,
        "azure_clustering": "OSSCluster",
        "azure_modules": [],
        "azure_geo_group": "",
        "flash": False,
        **first,
    }
    args = cast(AzureManagedRedisArgs, {**NEEDED, **now})
    registered = mocks.run(lambda: AzureManagedRedis("cache", args) and None, answers={**KEYS, "cache-made-as": {"output": kept}})
    assert registered.named("Database")


def test_a_region_that_is_not_known_here_is_only_warned_of() -> None:
    assert made(region="westeurope9").only("RedisEnterprise")["location"] == "westeurope9"
