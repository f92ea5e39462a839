"""The emulated Google Cloud refuses what the real one would: by its published messages, and by its documented rules."""

from __future__ import annotations

from typing import Any

import pytest
from clouds.emulator.gcp_kinds import KINDS

VALKEY, CLUSTER = "gcp:memorystore/instance:Instance", "gcp:redis/cluster:Cluster"
REDIS, MEMCACHED = "gcp:redis/instance:Instance", "gcp:memcache/instance:Instance"
NETWORK, POLICY = "gcp:compute/network:Network", "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy"
WHERE = "projects/shop/global/networks/main"
GOOD: dict[str, dict[str, Any]] = {
    VALKEY: {
        "instanceId": "cache",
        "location": "europe-west1",
        "shardCount": 3,
        "replicaCount": 1,
        "mode": "CLUSTER",
        "nodeType": "HIGHMEM_MEDIUM",
        "authorizationMode": "IAM_AUTH",
        "transitEncryptionMode": "SERVER_AUTHENTICATION",
        "engineVersion": "VALKEY_8_0",
        "engineConfigs": {"maxmemory-policy": "volatile-lru"},
        "persistenceConfig": {"mode": "AOF", "aofConfig": {"appendFsync": "EVERY_SEC"}},
        "automatedBackupConfig": {"retention": "604800s", "fixedFrequencySchedule": {"startTime": {"hours": 3}}},
        "maintenancePolicy": {"weeklyMaintenanceWindows": [{"day": "SUNDAY", "startTime": {"hours": 5}}]},
        "desiredAutoCreatedEndpoints": [{"network": WHERE, "projectId": "shop"}],
        "labels": {"team": "shop"},
    },
    CLUSTER: {
        "name": "cache",
        "region": "europe-west1",
        "shardCount": 3,
        "nodeType": "REDIS_STANDARD_SMALL",
        "authorizationMode": "AUTH_MODE_IAM_AUTH",
        "transitEncryptionMode": "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION",
        "pscConfigs": [{"network": WHERE}],
        "persistenceConfig": {"mode": "AOF", "aofConfig": {"appendFsync": "EVERYSEC"}},
    },
    REDIS: {"name": "cache", "region": "europe-west1", "memorySizeGb": 5, "tier": "STANDARD_HA", "replicaCount": 1},
    MEMCACHED: {"name": "cache", "region": "europe-west1", "nodeCount": 2, "nodeConfig": {"cpuCount": 1, "memorySizeMb": 1024}},
    NETWORK: {"name": "main", "autoCreateSubnetworks": False},
    POLICY: {"name": "main", "location": "europe-west1", "network": WHERE, "serviceClass": "gcp-memorystore"},
}
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    # By the messages: names, types, enums, what only comes back
    (VALKEY, {"nope": 1}, "nope", "no such field"),
    (VALKEY, {"state": "ACTIVE"}, "state", "output only"),
    (VALKEY, {"nodeType": "HIGHMEM_LARGE"}, "nodeType", "none of SHARED_CORE_NANO"),
    (VALKEY, {"nodeType": "NODE_TYPE_UNSPECIFIED"}, "nodeType", "none of"),
    (VALKEY, {"mode": "STANDALONE_CLUSTER"}, "mode", "none of"),
    (VALKEY, {"authorizationMode": "PASSWORD"}, "authorizationMode", "none of"),
    (VALKEY, {"transitEncryptionMode": True}, "transitEncryptionMode", "none of"),
    (VALKEY, {"replicaCount": "1"}, "replicaCount", "no whole number"),
    (VALKEY, {"deletionProtectionEnabled": "yes"}, "deletionProtectionEnabled", "neither true nor false"),
    (VALKEY, {"labels": ["team"]}, "labels", "no mapping of texts"),
    (VALKEY, {"labels": {"team": 1}}, "labels", "no mapping of texts"),
    (
        VALKEY,
        {"persistenceConfig": {"mode": "AOF", "aofConfig": {"appendFsync": "EVERYSEC"}}},
        "persistenceConfig.aofConfig.appendFsync",
        "none of",
    ),
    (VALKEY, {"persistenceConfig": {"fsync": "ALWAYS"}}, "persistenceConfig.fsync", "no such field"),
    (VALKEY, {"maintenancePolicy": {"weeklyMaintenanceWindows": [{"day": "Sunday", "startTime": {}}]}}, "day", "none of MONDAY"),
    (
        VALKEY,
        {"maintenancePolicy": {"weeklyMaintenanceWindows": [{"day": "SUNDAY", "startTime": {"hour": 1}}]}},
        "startTime.hour",
        "no such field",
    ),
    (VALKEY, {"automatedBackupConfig": {"retention": "7d"}}, "retention", "no duration"),
    (CLUSTER, {"nodeType": "STANDARD_SMALL"}, "nodeType", "none of REDIS_SHARED_CORE_NANO"),
    (CLUSTER, {"sizeGb": 3}, "sizeGb", "output only"),
    (REDIS, {"tier": "GOLD"}, "tier", "none of BASIC"),
    (REDIS, {"host": "10.0.0.1"}, "host", "output only"),
    (REDIS, {"memorySizeGb": None, "-": "memorySizeGb"}, "memorySizeGb", "is required"),
    (MEMCACHED, {"nodeConfig": {"cpus": 1}}, "nodeConfig.cpus", "no such field"),
    (MEMCACHED, {"memcacheVersion": "1.6"}, "memcacheVersion", "none of"),
    # By Google's rules
    (VALKEY, {"-": "instanceId"}, "instanceId", "is required"),
    (VALKEY, {"instanceId": "abc"}, "instanceId", "4 to 63"),
    (VALKEY, {"instanceId": "Cache"}, "instanceId", "lower-case"),
    (VALKEY, {"location": "eu-west-1"}, "location", "no region"),
    (VALKEY, {"-": "shardCount"}, "shardCount", "is required"),
    (VALKEY, {"shardCount": 251}, "shardCount", "at most 250"),
    (VALKEY, {"replicaCount": 6}, "replicaCount", "at most 5"),
    (VALKEY, {"mode": "CLUSTER_DISABLED"}, "shardCount", "has one shard"),
    (VALKEY, {"nodeType": "CUSTOM_PICO"}, "nodeType", "needs cluster mode disabled"),
    (VALKEY, {"engineVersion": "8.0"}, "engineVersion", "none of VALKEY_7_2"),
    (VALKEY, {"authorizationMode": "TOKEN_AUTH"}, "authorizationMode", "beta only"),
    (VALKEY, {"desiredAutoCreatedEndpoints": [{"network": "main", "projectId": "shop"}]}, "network", "is no network"),
    (VALKEY, {"desiredAutoCreatedEndpoints": [{"network": WHERE}]}, "projectId", "is required"),
    (VALKEY, {"zoneDistributionConfig": {"mode": "SINGLE_ZONE"}}, "zoneDistributionConfig.zone", "is required"),
    (VALKEY, {"automatedBackupConfig": {"retention": "60s"}}, "retention", "from 1 to 365 days"),
    (VALKEY, {"engineConfigs": {"maxmemory-policy": "lru"}}, "maxmemory-policy", "none of noeviction"),
    (VALKEY, {"crossInstanceReplicationConfig": {"instanceRole": "SECONDARY"}}, "primaryInstance", "a secondary has one"),
    (CLUSTER, {"-": "pscConfigs"}, "pscConfigs", "is required"),
    (CLUSTER, {"pscConfigs": [{"network": "x"}]}, "pscConfigs.network", "is no network"),
    (REDIS, {"memorySizeGb": 301}, "memorySizeGb", "from 1 to 300"),
    (REDIS, {"tier": "BASIC"}, "replicaCount", "must be 0"),
    (REDIS, {"replicaCount": 2}, "replicaCount", "must be 1"),
    (REDIS, {"readReplicasMode": "READ_REPLICAS_ENABLED", "memorySizeGb": 4}, "readReplicasMode", "needs 5 GB"),
    (REDIS, {"redisVersion": "REDIS_3_2"}, "redisVersion", "no version that can be made"),
    (MEMCACHED, {"nodeCount": 21}, "nodeCount", "from 1 to 20"),
    (MEMCACHED, {"nodeConfig": {"cpuCount": 1, "memorySizeMb": 1000}}, "memorySizeMb", "whole GB"),
    (NETWORK, {"name": "Main"}, "name", "lower-case"),
    (NETWORK, {"subnets": []}, "subnets", "no such property"),
    (POLICY, {"-": "network"}, "network", "is required"),
]


@pytest.mark.parametrize("token", GOOD)
def test_what_is_right_is_accepted(token: str) -> None:
    assert list(KINDS[token].problems(GOOD[token])) == []


@pytest.mark.parametrize(("token", "changed", "key", "reason"), REFUSED)
def test_what_is_wrong_is_refused(token: str, changed: dict[str, Any], key: str, reason: str) -> None:
    inputs = {**GOOD[token], **changed}
    gone = inputs.pop("-", None)
    inputs.pop(gone, None)
    found = list(KINDS[token].problems(inputs))
    assert any(key in where and reason in why for where, why in found), found


def test_what_is_not_known_yet_is_let_pass() -> None:
    for token, inputs in GOOD.items():
        names = [key for key in ("instanceId", "name", "location", "region") if key in inputs]
        unknown = {key: inputs[key] if key in names else None for key in inputs}
        assert list(KINDS[token].problems(unknown)) == []
