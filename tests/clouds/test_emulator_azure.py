"""What the emulated Azure refuses, as Azure does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clouds.emulator.azure_kinds import INVOKES, KINDS
from clouds.emulator.cloud import Cloud, ConflictError

GROUP = {"resourceGroupName": "shop"}
PERSON = "0a1b2c3d-0000-4000-8000-00000000abcd"
CLUSTER: dict[str, Any] = {
    **GROUP,
    "clusterName": "sessions",
    "location": "eastus",
    "sku": {"name": "Balanced_B3"},
    "publicNetworkAccess": "Disabled",
}
DATABASE: dict[str, Any] = {**GROUP, "clusterName": "sessions", "databaseName": "default", "port": 10000}
GEO = {"groupNickname": "shop", "linkedDatabases": [{"id": "/subscriptions/1/x/databases/default"}]}
CLASSIC: dict[str, Any] = {**GROUP, "name": "carts", "location": "eastus", "sku": {"name": "Standard", "family": "C", "capacity": 1}}
PREMIUM = {"name": "Premium", "family": "P", "capacity": 1}
CACHE = {**GROUP, "cacheName": "carts"}
ASSIGNMENT = {**GROUP, "clusterName": "sessions", "databaseName": "default", "accessPolicyAssignmentName": "app"}
RULE = {**CACHE, "ruleName": "office", "startIP": "10.0.0.0", "endIP": "10.0.0.9"}

# The type without its package, inputs, the property, and a part of the reason.
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    # What Microsoft's models say
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "skus": []}, "skus", "no such property"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "hostName": "x"}, "hostName", "is read-only"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "sku": {"name": "Balanced_B6"}}, "sku.name", "'Balanced_B6' is none of"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "sku": {}}, "sku.name", "is required"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "highAvailability": True}, "highAvailability", "True is no str"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "zones": "1"}, "zones", "'1' is no list"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "clusterName": "my--cache"}, "clusterName", "does not match"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "clusterName": "a" * 61}, "clusterName", "does not match"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "minimumTlsVersion": "1.3"}, "minimumTlsVersion", "'1.3' is none of"),
    ("redisenterprise:Database", {**DATABASE, "clusteringPolicy": "NoEviction"}, "clusteringPolicy", "is none of EnterpriseCluster"),
    ("redisenterprise:Database", {**DATABASE, "evictionPolicy": "allkeys-lru"}, "evictionPolicy", "is none of AllKeysLFU"),
    ("redisenterprise:Database", {**DATABASE, "port": "10000"}, "port", "'10000' is no int"),
    ("redisenterprise:Database", {**DATABASE, "persistence": {"rdbFrequency": "2h"}}, "persistence.rdbFrequency", "'2h' is none of"),
    ("redisenterprise:Database", {**DATABASE, "modules": [{"args": ""}]}, "modules[0].name", "is required"),
    (
        "redisenterprise:AccessPolicyAssignment",
        {**ASSIGNMENT, "accessPolicyAssignmentName": "my-app"},
        "accessPolicyAssignmentName",
        "match",
    ),
    ("redis:Redis", {**CLASSIC, "subnetId": "/x"}, "subnetId", "does not match"),
    ("redis:Redis", {**CLASSIC, "redisConfiguration": {"maxmemory": "1"}}, "redisConfiguration.maxmemory", "no such property"),
    ("redis:PatchSchedule", {**GROUP, "name": "carts", "default": "default"}, "scheduleEntries", "is required"),
    ("redis:LinkedServer", {**GROUP, "name": "carts", "linkedServerName": "b"}, "serverRole", "is required"),
    # What its documentation says
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "minimumTlsVersion": "1.1"}, "minimumTlsVersion", "obsolete"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "sku": {"name": "Enterprise_E10"}}, "sku.name", "can't be created any more"),
    ("redisenterprise:RedisEnterprise", {**CLUSTER, "sku": {"name": "Balanced_B3", "capacity": 2}}, "sku.capacity", "Enterprise SKUs"),
    ("redisenterprise:Database", {**DATABASE, "databaseName": "other"}, "databaseName", "must be default"),
    ("redisenterprise:Database", {**DATABASE, "persistence": {"aofEnabled": True, "rdbEnabled": True}}, "persistence", "at most one"),
    ("redisenterprise:Database", {**DATABASE, "modules": [{"name": "RedisGraph"}]}, "modules", "there is no module RedisGraph"),
    ("redisenterprise:Database", {**DATABASE, "modules": [{"name": "RediSearch"}]}, "clusteringPolicy", "needs EnterpriseCluster"),
    ("redisenterprise:Database", {**DATABASE, "geoReplication": GEO, "persistence": {"aofEnabled": True}}, "persistence", "does not work"),
    ("redisenterprise:Database", {**DATABASE, "geoReplication": {"groupNickname": "x"}}, "geoReplication", "needs a nickname and"),
    ("redisenterprise:AccessPolicyAssignment", {**ASSIGNMENT, "user": {"objectId": "me@example.com"}}, "user.objectId", "is no object id"),
    ("redis:Redis", {**CLASSIC, "sku": {**PREMIUM, "family": "C"}}, "sku.family", "C is not of tier Premium"),
    ("redis:Redis", {**CLASSIC, "sku": {**PREMIUM, "capacity": 6}}, "sku.capacity", "6 must be from 1 to 5"),
    ("redis:Redis", {**CLASSIC, "shardCount": 2}, "shardCount", "is for tier Premium"),
    ("redis:Redis", {**CLASSIC, "redisConfiguration": {"rdbBackupEnabled": "true"}}, "redisConfiguration", "is for tier Premium"),
    ("redis:Redis", {**CLASSIC, "disableAccessKeyAuthentication": True}, "disableAccessKeyAuthentication", "nobody could log in"),
    ("redis:FirewallRule", {**RULE, "endIP": "10.0.0"}, "endIP", "is no IPv4 address"),
    ("redis:FirewallRule", {**RULE, "startIP": "10.0.1.0"}, "endIP", "comes before startIP"),
    # What is around caches
    (
        "network:VirtualNetwork",
        {**GROUP, "virtualNetworkName": "a", "addressSpace": {"addressPrefixes": ["10.0.0.1/8"]}},
        "addressSpace",
        "CIDR",
    ),
    ("network:Subnet", {**GROUP, "virtualNetworkName": "a", "subnetName": "b", "prefix": "x"}, "prefix", "no such property"),
    ("privatedns:PrivateZone", {**GROUP, "privateZoneName": "a", "location": "eastus"}, "location", "is global"),
    ("network:PrivateEndpoint", {"privateEndpointName": "a"}, "resourceGroupName", "is required"),
]


@pytest.mark.parametrize(("kind", "inputs", "key", "reason"), REFUSED, ids=[f"{kind} {key}" for kind, _, key, _ in REFUSED])
def test_wrong_inputs_are_refused(kind: str, inputs: dict[str, Any], key: str, reason: str) -> None:
    found = list(KINDS[f"azure-native:{kind}"].problems(inputs))
    assert [problem for problem in found if problem[0] == key and reason in problem[1]], found


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("redisenterprise:RedisEnterprise", CLUSTER),
        (
            "redisenterprise:Database",
            {**DATABASE, "persistence": {"aofEnabled": True, "aofFrequency": "1s"}, "modules": [{"name": "RedisJSON"}]},
        ),
        ("redisenterprise:AccessPolicyAssignment", {**ASSIGNMENT, "accessPolicyName": "default", "user": {"objectId": PERSON}}),
        ("redis:Redis", {**CLASSIC, "sku": PREMIUM, "shardCount": 2, "zones": ["1", "2"]}),
        ("redis:FirewallRule", RULE),
    ],
)
def test_right_inputs_are_not(kind: str, inputs: dict[str, Any]) -> None:
    assert list(KINDS[f"azure-native:{kind}"].problems(inputs)) == []
    # In a preview, what others make is not known yet.
    assert list(KINDS[f"azure-native:{kind}"].problems({**inputs, "resourceGroupName": None})) == []


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    cloud = Cloud(tmp_path, KINDS, INVOKES)
    cloud.create("azure-native:resources:ResourceGroup", {"resourceGroupName": "shop", "location": "eastus"})
    return cloud


def small(cloud: Cloud) -> None:
    cloud.create("azure-native:redisenterprise:RedisEnterprise", {**CLUSTER, "sku": {"name": "Balanced_B1"}})


def single(cloud: Cloud) -> None:
    cloud.create("azure-native:redisenterprise:RedisEnterprise", {**CLUSTER, "highAvailability": "Disabled"})


def large(cloud: Cloud) -> None:
    cloud.create("azure-native:redisenterprise:RedisEnterprise", {**CLUSTER, "sku": {"name": "Balanced_B50"}})


OWN = "/subscriptions/00000000-0000-4000-8000-000000000000/resourceGroups/shop/providers/Microsoft.Cache/redisEnterprise/sessions"
IN_GROUP = {**DATABASE, "geoReplication": {"groupNickname": "shop", "linkedDatabases": [{"id": f"{OWN}/databases/default"}]}}


@pytest.mark.parametrize(
    ("before", "inputs", "reason"),
    [
        (lambda _: None, DATABASE, "there is no cluster 'sessions'"),
        (large, {**DATABASE, "clusteringPolicy": "NoCluster"}, "NoCluster works up to 25 GB, and Balanced_B50 has more"),
        (small, IN_GROUP, "geoReplication: does not work with Balanced_B1"),
        (single, IN_GROUP, "geoReplication: needs high availability"),
        (large, {**IN_GROUP, "geoReplication": GEO}, "does not name the database itself"),
    ],
)
def test_a_database_fits_what_it_is_on(cloud: Cloud, before: Callable[[Cloud], None], inputs: dict[str, Any], reason: str) -> None:
    before(cloud)
    with pytest.raises(ConflictError) as refused:
        cloud.create("azure-native:redisenterprise:Database", inputs)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"highAvailability": "Disabled"}, "highAvailability: can't be turned off"),
        ({"sku": {"name": "FlashOptimized_A250"}}, "data can't move between memory and flash"),
    ],
)
def test_what_can_not_be_changed_stays(cloud: Cloud, change: dict[str, Any], reason: str) -> None:
    large(cloud)
    with pytest.raises(ConflictError, match=reason):
        cloud.update(OWN, {**CLUSTER, **change})
    found = cloud.read(OWN)
    assert found is not None
    assert found.inputs["sku"] == {"name": "Balanced_B50"}


def test_a_resource_is_made_once_and_its_group_must_be_there(cloud: Cloud) -> None:
    large(cloud)
    with pytest.raises(ConflictError, match="cannot create already existing resource"):
        large(cloud)
    network = {"resourceGroupName": "none", "virtualNetworkName": "a", "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}
    with pytest.raises(ConflictError, match="resource group 'none' could not be found"):
        cloud.create("azure-native:network:VirtualNetwork", network)


def test_what_is_not_emulated_says_so(cloud: Cloud) -> None:
    with pytest.raises(ConflictError, match="azure-native:compute:VirtualMachine is not emulated"):
        cloud.create("azure-native:compute:VirtualMachine", {})
