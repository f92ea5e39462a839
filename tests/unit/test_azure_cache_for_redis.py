"""What AzureCacheForRedis asks Azure for, and what it refuses."""

from __future__ import annotations

import re
from typing import Any, cast

import pulumi
import pytest
from pulumi_caches import ArgumentError
from pulumi_caches.azure import AzureCacheForRedis, AzureCacheForRedisArgs
from unit import mocks, wiring
from unit.refusal import refused

SUBNET = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Network/virtualNetworks/shop/subnets/caches"
OTHER = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Cache/redis/other"
PERSON = "0a1b2c3d-0000-4000-8000-00000000abcd"
STORAGE = "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=the-account-key"
NEEDED: dict[str, Any] = {"region": "westeurope", "azure_subnet_id": SUBNET}
PREMIUM: dict[str, Any] = {"azure_cache_tier": "premium"}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"azure_sku": "C1"}, "azure_sku: there is no such argument"),
    ({"azure_name": "-a"}, "azure_name = '-a': must be 1 to 63 letters, digits and single hyphens"),
    ({"azure_cache_tier": "gold"}, "azure_cache_tier = 'gold': must be one of basic, standard, premium"),
    ({"azure_cache_tier": "basic"}, "azure_cache_tier = 'basic': is one server: give standard or premium, or high_availability: false"),
    ({**PREMIUM, "high_availability": False}, "azure_cache_tier = 'premium': has a second server: give high_availability: true, or basic"),
    ({"memory_gib": 50}, "memory_gib = 50: tier standard has at most 39 GiB for data"),
    ({**PREMIUM, "memory_gib": 90, "shards": 10}, "memory_gib = 90: tier premium has at most 89 GiB for data"),
    ({**PREMIUM, "shards": 11}, "shards = 11: must be from 1 to 10"),
    ({**PREMIUM, "replicas_per_shard": 4}, "replicas_per_shard = 4: must be from 0 to 3"),
    ({"shards": 2}, "shards: is for azure_cache_tier premium, not standard"),
    ({"replicas_per_shard": 2}, "replicas_per_shard: is for azure_cache_tier premium, not standard"),
    ({"azure_zones": ["1", "2"]}, "azure_zones: is for azure_cache_tier premium, not standard"),
    ({"azure_secondary_id": OTHER, "azure_secondary_region": "uksouth"}, "azure_secondary_id: is for azure_cache_tier premium"),
    ({"tls": False}, "logins would cross the network in plain text"),
    ({"azure_notify_keyspace_events": "Q"}, "azure_notify_keyspace_events = 'Q': must be letters of KEg$lshztxedmnA"),
    ({"engine_version": "7.2"}, "engine_version = '7.2': Azure Cache for Redis has 6.0"),
    ({"backup_retention_days": 3}, "backup_retention_days = 3: Azure Cache for Redis makes no backups each day"),
    ({"maintenance_time": "02:30"}, "maintenance_time = '02:30': "),
    ({"maintenance_day": "caturday"}, "maintenance_day = 'caturday': must be one of monday"),
    ({"auth": "none"}, "auth = 'none': Azure Cache for Redis has only cloud, password"),
    # Persistence
    ({"persistence": "rdb", "azure_storage_connection_string": STORAGE}, "persistence: is for azure_cache_tier premium, not standard"),
    ({**PREMIUM, "persistence": "rdb"}, "persistence rdb needs a storage account to write to"),
    ({**PREMIUM, "azure_storage_connection_string": STORAGE}, "azure_storage_connection_string: nothing is stored with persistence none"),
    (
        {**PREMIUM, "persistence": "aof+rdb", "azure_storage_connection_string": STORAGE},
        "persistence = 'aof+rdb': Azure Cache for Redis has only",
    ),
    (
        {**PREMIUM, "persistence": "rdb", "azure_storage_connection_string": STORAGE, "azure_snapshot_minutes": 45},
        "azure_snapshot_minutes = 45: must be one of 15, 30, 60, 360, 720, 1440",
    ),
    # A secondary
    ({**PREMIUM, "azure_secondary_id": OTHER}, "azure_secondary_region = None: a secondary needs its id and its region"),
    (
        {**PREMIUM, "azure_secondary_id": "other", "azure_secondary_region": "uksouth"},
        "must be the resource id of an Azure Cache for Redis",
    ),
    (
        {**PREMIUM, "azure_secondary_id": OTHER, "azure_secondary_region": "uksouth", "replicas_per_shard": 2},
        "has one replica in each shard: leave out replicas_per_shard",
    ),
    (
        {
            **PREMIUM,
            "azure_secondary_id": OTHER,
            "azure_secondary_region": "uksouth",
            "persistence": "rdb",
            "azure_storage_connection_string": STORAGE,
        },
        "a cache with a secondary can't have persistence: give none",
    ),
    # Who gets in
    ({"azure_subnet_id": None}, "azure_subnet_id = None: nobody could reach the cache"),
    ({"azure_firewall_rules": {"office": "203.0.113.0-203.0.113.9"}}, "are for access from the internet: give azure_public_access: true"),
    ({"azure_public_access": True, "azure_firewall_rules": {"office": "203.0.113.0/24"}}, "'203.0.113.0/24' must be two IPv4 addresses"),
    ({"azure_public_access": True, "azure_firewall_rules": {"a": "203.0.113.9-203.0.113.0"}}, "ends before it begins"),
    ({"azure_public_access": True, "azure_firewall_rules": {"the office": "203.0.113.0-203.0.113.9"}}, "'the office' must be letters"),
    ({"azure_access_policies": {"Data Owner": "+@all ~*"}}, "'Data Owner' is Azure's own"),
    ({"azure_principal_policies": {"app": "Data Reader"}}, "'app' is none of azure_principals"),
    (
        {"azure_principals": {"app": PERSON}, "azure_principal_policies": {"app": "Data Readers"}},
        "'Data Readers' is none of Data Owner, Data Contributor, Data Reader; did you mean 'Data Reader'?",
    ),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    said = refused(AzureCacheForRedis, {**NEEDED, **args})
    assert message in said
    assert "the-account-key" not in said


def made(**args: Any) -> mocks.Registered:
    given = cast(AzureCacheForRedisArgs, {**NEEDED, **args})
    answers: dict[str, dict[str, Any]] = {"cache": {"sslPort": 6380}, "azure-native:redis:listRedisKeys": {"primaryKey": "key"}}
    return mocks.run(lambda: AzureCacheForRedis("cache", given) and None, answers=answers)


def test_each_preview_says_until_when_the_service_is_there() -> None:
    warned: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pulumi.log, "warn", lambda text, *_: warned.append(text))
        made()
    [text] = warned
    assert "2026-04-01" in text
    assert "2028-09-30" in text
    assert "AzureManagedRedis" in text


def test_every_default_is_the_private_one() -> None:
    cache = made().only("Redis")
    assert cache["sku"] == {"name": "Standard", "family": "C", "capacity": 2}
    assert (cache["publicNetworkAccess"], cache["minimumTlsVersion"], cache["enableNonSslPort"]) == ("Disabled", "1.2", False)
    assert cache["disableAccessKeyAuthentication"] is True
    assert cache["redisConfiguration"] == {"aadEnabled": "true", "maxmemoryPolicy": "noeviction"}


@pytest.mark.parametrize(
    ("args", "sku"),
    [
        ({"memory_gib": 0.15, "high_availability": False}, {"name": "Basic", "family": "C", "capacity": 0}),
        ({"memory_gib": 2}, {"name": "Standard", "family": "C", "capacity": 3}),
        ({"memory_gib": 2, **PREMIUM}, {"name": "Premium", "family": "P", "capacity": 1}),
        ({"memory_gib": 19, **PREMIUM}, {"name": "Premium", "family": "P", "capacity": 3}),
        ({"memory_gib": 4, "shards": 5, **PREMIUM}, {"name": "Premium", "family": "P", "capacity": 1}),
    ],
    ids=str,
)
def test_the_smallest_size_that_holds_it_is_chosen(args: dict[str, Any], sku: dict[str, Any]) -> None:
    assert made(**args).only("Redis")["sku"] == sku


def test_persistence_writes_to_the_storage_account_and_keeps_its_key_secret() -> None:
    registered = made(**PREMIUM, persistence="rdb", azure_storage_connection_string=STORAGE, azure_snapshot_minutes=15)
    configuration = registered.only("Redis")["redisConfiguration"]
    assert (configuration["rdbBackupEnabled"], configuration["rdbBackupFrequency"]) == ("true", "15")
    assert configuration["rdbStorageConnectionString"] == STORAGE
    asked = wiring.request(registered, "Redis").object["redisConfiguration"]["rdbStorageConnectionString"]
    assert asked["value"] == STORAGE
    appended = made(**PREMIUM, persistence="aof", azure_storage_connection_string=STORAGE).only("Redis")["redisConfiguration"]
    assert (appended["aofBackupEnabled"], appended["aofStorageConnectionString0"]) == ("true", STORAGE)


def test_who_may_do_what_is_assigned_once_the_policies_are_there() -> None:
    registered = made(
        azure_access_policies={"orders": "+@read ~orders:*"},
        azure_principals={"app": PERSON, "reports": PERSON},
        azure_principal_policies={"reports": "orders"},
    )
    assert registered.only("AccessPolicy")["permissions"] == "+@read ~orders:*"
    assigned = registered.named("AccessPolicyAssignment")
    assert {name: each["accessPolicyName"] for name, each in assigned.items()} == {"cache-app": "Data Owner", "cache-reports": "orders"}


def test_the_internet_is_let_in_by_rules() -> None:
    registered = made(azure_subnet_id=None, azure_public_access=True, azure_firewall_rules={"office": "203.0.113.0 - 203.0.113.9"})
    assert registered.only("Redis")["publicNetworkAccess"] == "Enabled"
    rule = registered.only("FirewallRule")
    assert (rule["ruleName"], rule["startIP"], rule["endIP"]) == ("office", "203.0.113.0", "203.0.113.9")


def test_it_is_maintained_when_that_suits() -> None:
    [entry] = made().only("PatchSchedule")["scheduleEntries"]
    assert entry == {"dayOfWeek": "Sunday", "startHourUtc": 5}
    [entry] = made(maintenance_day="tuesday", maintenance_time="23:00").only("PatchSchedule")["scheduleEntries"]
    assert entry == {"dayOfWeek": "Tuesday", "startHourUtc": 23}


def test_shards_and_replicas_are_asked_for() -> None:
    cache = made(**PREMIUM, shards=3, replicas_per_shard=2).only("Redis")
    assert (cache["shardCount"], cache["replicasPerPrimary"]) == (3, 2)


def test_a_secondary_is_linked() -> None:
    link = made(**PREMIUM, azure_secondary_id=OTHER, azure_secondary_region="uksouth").only("LinkedServer")
    assert (link["linkedRedisCacheId"], link["linkedRedisCacheLocation"]) == (OTHER, "uksouth")
    assert (link["linkedServerName"], link["serverRole"]) == ("other", "Secondary")


def test_the_private_endpoint_is_for_the_cache() -> None:
    [link] = made().only("PrivateEndpoint")["privateLinkServiceConnections"]
    assert link["groupIds"] == ["redisCache"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({}, {"mode": "standalone", "auth": "entra", "cache_name": "cache"}),
        ({**PREMIUM, "shards": 2}, {"mode": "cluster", "auth": "entra", "cache_name": "cache"}),
        ({"auth": "password", "purpose": "queue"}, {"mode": "standalone", "password": "key", "purpose": "queue"}),
    ],
    ids=str,
)
def test_the_connection_says_how_to_get_in(args: dict[str, Any], said: dict[str, Any]) -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = AzureCacheForRedis("cache", cast(AzureCacheForRedisArgs, {**NEEDED, **args}))
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    answers: dict[str, dict[str, Any]] = {"cache": {"hostName": "cache.redis.cache.windows.net", "sslPort": 6380}}
    mocks.run(program, answers={**answers, "azure-native:redis:listRedisKeys": {"primaryKey": "key"}})
    always = {"engine": "redis", "host": "cache.redis.cache.windows.net", "port": 6380, "tls": True, "provider": "azure"}
    assert found == [{**always, "region": "westeurope", **said}]


def test_a_lower_tier_is_refused_and_a_higher_one_is_not() -> None:
    def changed(tier: str) -> mocks.Registered:
        args = cast(AzureCacheForRedisArgs, {**NEEDED, "azure_cache_tier": tier})
        answers: dict[str, dict[str, Any]] = {"cache": {"sslPort": 6380}, "cache-made-as": {"output": {"azure_cache_tier": "standard"}}}
        return mocks.run(lambda: AzureCacheForRedis("cache", args) and None, answers=answers)

    assert changed("premium").named("Redis")
    with pytest.raises(ArgumentError, match=re.escape("azure_cache_tier: 'premium' can't become 'standard'")):
        mocks.run(
            lambda: AzureCacheForRedis("cache", cast(AzureCacheForRedisArgs, NEEDED)) and None,
            answers={"cache-made-as": {"output": {"azure_cache_tier": "premium"}}},
        )
