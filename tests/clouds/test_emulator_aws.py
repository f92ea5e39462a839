"""The emulated AWS refuses what the real one would: by its published models, and by its documented rules."""

from __future__ import annotations

from typing import Any

import pytest
from clouds.emulator.aws_caches import GLOBAL, GROUP, PARAMETERS, SERVERLESS, USER, USER_GROUP
from clouds.emulator.aws_kinds import KINDS

CLUSTER, SUBNETS = "aws:elasticache/cluster:Cluster", "aws:elasticache/subnetGroup:SubnetGroup"
ALARM, SUBNET = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:ec2/subnet:Subnet"
LOG = {"destination": "slow", "destinationType": "cloudwatch-logs", "logFormat": "json", "logType": "slow-log"}
GOOD: dict[str, dict[str, Any]] = {
    GROUP: {
        "region": "us-east-1",
        "replicationGroupId": "cache",
        "description": "cache",
        "engine": "valkey",
        "engineVersion": "8.0",
        "nodeType": "cache.m7g.large",
        "numCacheClusters": 2,
        "clusterMode": "disabled",
        "automaticFailoverEnabled": True,
        "multiAzEnabled": True,
        "transitEncryptionEnabled": True,
        "transitEncryptionMode": "required",
        "userGroupIds": ["cache"],
        "snapshotRetentionLimit": 7,
        "maintenanceWindow": "sun:05:00-sun:06:00",
        "logDeliveryConfigurations": [LOG],
        "tags": {"team": "shop"},
    },
    CLUSTER: {"region": "us-east-1", "clusterId": "cache", "engine": "memcached", "nodeType": "cache.t4g.small", "numCacheNodes": 2},
    SERVERLESS: {
        "region": "us-east-1",
        "name": "cache",
        "engine": "valkey",
        "subnetIds": ["subnet-1", "subnet-2"],
        "cacheUsageLimits": {"dataStorage": {"maximum": 2, "unit": "GB"}},
    },
    GLOBAL: {"region": "us-east-1", "globalReplicationGroupIdSuffix": "cache", "primaryReplicationGroupId": "cache"},
    USER: {
        "region": "us-east-1",
        "userId": "cache",
        "userName": "cache",
        "engine": "valkey",
        "accessString": "on ~* +@all",
        "authenticationMode": {"type": "iam"},
    },
    USER_GROUP: {"region": "us-east-1", "userGroupId": "cache", "engine": "valkey", "userIds": ["cache"]},
    SUBNETS: {"region": "us-east-1", "name": "cache", "description": "cache", "subnetIds": ["subnet-1"]},
    PARAMETERS: {"region": "us-east-1", "name": "cache", "family": "valkey8", "parameters": []},
    ALARM: {"region": "us-east-1", "name": "cache", "comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1},
    SUBNET: {"region": "us-east-1", "vpcId": "vpc-1", "cidrBlock": "10.0.0.0/24"},
}
PASSWORDS = {"type": "password", "passwords": ["x" * 16]}
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    # By botocore's shapes: names, types, enums, what is required
    (GROUP, {"nope": 1}, "nope", "no such property"),
    (GROUP, {"-": "description"}, "description", "is required"),
    (GROUP, {"numCacheClusters": "2"}, "numCacheClusters", "no integer"),
    (GROUP, {"numCacheClusters": True}, "numCacheClusters", "no integer"),
    (GROUP, {"multiAzEnabled": "yes"}, "multiAzEnabled", "no boolean"),
    (GROUP, {"userGroupIds": "cache"}, "userGroupIds", "no list"),
    (GROUP, {"securityGroupIds": [1]}, "securityGroupIds", "no string"),
    (GROUP, {"clusterMode": "on"}, "clusterMode", "none of enabled"),
    (GROUP, {"transitEncryptionMode": "optional"}, "transitEncryptionMode", "none of preferred"),
    (GROUP, {"networkType": "ipv5"}, "networkType", "none of"),
    (GROUP, {"ipDiscovery": "ipv5"}, "ipDiscovery", "none of"),
    (CLUSTER, {"azMode": "two"}, "azMode", "none of"),
    (CLUSTER, {"-": "clusterId"}, "clusterId", "is required"),
    (CLUSTER, {"numCacheNodes": 1.5}, "numCacheNodes", "no integer"),
    (CLUSTER, {"replicas": 1}, "replicas", "no such property"),
    (SERVERLESS, {"-": "engine"}, "engine", "is required"),
    (SERVERLESS, {"nodeType": "cache.t4g.small"}, "nodeType", "no such property"),
    (SERVERLESS, {"cacheUsageLimits": {"storage": {}}}, "cacheUsageLimits.storage", "no such property"),
    (SERVERLESS, {"cacheUsageLimits": {"dataStorage": {"maximum": 2, "unit": "MB"}}}, "dataStorage.unit", "none of GB"),
    (GLOBAL, {"-": "primaryReplicationGroupId"}, "primaryReplicationGroupId", "is required"),
    (USER, {"engine": "redis 7"}, "engine", "does not match"),
    (USER, {"userId": "1cache", "userName": "1cache"}, "userId", "does not match"),
    (USER, {"authenticationMode": {"type": "token"}}, "authenticationMode.type", "none of"),
    (USER, {"-": "accessString"}, "accessString", "is required"),
    (USER_GROUP, {"-": "userGroupId"}, "userGroupId", "is required"),
    (SUBNETS, {"subnetIds": "subnet-1"}, "subnetIds", "no list"),
    # By cfn-lint's kinds of nodes of each region, and versions of each engine
    (GROUP, {"nodeType": "cache.m7g.huge"}, "nodeType", "is not in us-east-1"),
    (GROUP, {"region": "eu-nowhere-1"}, "nodeType", "is not in eu-nowhere-1"),
    (GROUP, {"engineVersion": "6.2"}, "engineVersion", "none of valkey's"),
    (GROUP, {"engine": "redis", "engineVersion": "8.0"}, "engineVersion", "none of redis's"),
    (GROUP, {"engine": "dragonfly"}, "engine", "none of redis"),
    (CLUSTER, {"engineVersion": "1.7"}, "engineVersion", "none of memcached's"),
    # By AWS's rules
    (GROUP, {"replicationGroupId": "1cache"}, "replicationGroupId", "beginning with a letter"),
    (GROUP, {"replicationGroupId": "a--b"}, "replicationGroupId", "single hyphens"),
    (GROUP, {"replicationGroupId": "a" * 41}, "replicationGroupId", "at most 40"),
    (GROUP, {"-": "nodeType"}, "nodeType", "is required"),
    (GROUP, {"-": "transitEncryptionEnabled"}, "transitEncryptionEnabled", "has to be said"),
    (GROUP, {"transitEncryptionEnabled": False}, "userGroupIds", "needs transitEncryptionEnabled"),
    (GROUP, {"transitEncryptionEnabled": False, "authToken": "x" * 16, "-": "userGroupIds"}, "authToken", "needs transitEncryptionEnabled"),
    (GROUP, {"authToken": "x" * 16}, "authToken", "there is a user group already"),
    (GROUP, {"userGroupIds": ["a", "b"]}, "userGroupIds", "there can be one"),
    (GROUP, {"numNodeGroups": 2}, "numCacheClusters", "conflicts with numNodeGroups"),
    (GROUP, {"numCacheClusters": 7}, "numCacheClusters", "from 1 to 6"),
    (GROUP, {"replicasPerNodeGroup": 6}, "replicasPerNodeGroup", "from 0 to 5"),
    (GROUP, {"numNodeGroups": 501, "-": "numCacheClusters"}, "numNodeGroups", "from 1 to 500"),
    (GROUP, {"numCacheClusters": 1}, "automaticFailoverEnabled", "more than one node"),
    (GROUP, {"automaticFailoverEnabled": False}, "multiAzEnabled", "needs automaticFailoverEnabled"),
    (GROUP, {"automaticFailoverEnabled": False, "clusterMode": "enabled"}, "automaticFailoverEnabled", "has to be on"),
    (GROUP, {"dataTieringEnabled": True}, "dataTieringEnabled", "for r6gd nodes"),
    (GROUP, {"nodeType": "cache.r6gd.xlarge"}, "dataTieringEnabled", "needed there"),
    (GROUP, {"durability": "sync"}, "durability", "needs cluster mode"),
    (GROUP, {"globalReplicationGroupId": "emul-a"}, "nodeType", "can't be given with"),
    (GROUP, {"logDeliveryConfigurations": [{**LOG, "logType": "slow"}]}, "logDeliveryConfigurations", "no log"),
    (CLUSTER, {"azMode": "cross-az", "numCacheNodes": 1}, "azMode", "more than one node"),
    (SERVERLESS, {"subnetIds": ["subnet-1"]}, "subnetIds", "2 or 3"),
    (SERVERLESS, {"engine": "dragonfly"}, "engine", "none of redis"),
    (USER, {"engine": "memcached"}, "engine", "no other has users"),
    (USER, {"userName": "other"}, "userName", "has to be the userId"),
    (USER, {"authenticationMode": {**PASSWORDS, "passwords": []}}, "passwords", "1 or 2"),
    (USER, {"authenticationMode": {**PASSWORDS, "passwords": ["x" * 16] * 3}}, "passwords", "1 or 2"),
    (USER, {"authenticationMode": {**PASSWORDS, "passwords": ["short"]}}, "passwords", "16 to 128"),
    # Around the caches, by the SDK
    (PARAMETERS, {"-": "family"}, "family", "is required"),
    (PARAMETERS, {"parameters": {"maxmemory-policy": "noeviction"}}, "parameters", "no list"),
    (ALARM, {"-": "comparisonOperator"}, "comparisonOperator", "is required"),
    (SUBNET, {"zone": "us-east-1a"}, "zone", "no such property"),
]
CHANGES: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"engineVersion": "8.0"}, {"engineVersion": "7.2"}, "engineVersion", "can't go back"),
    (
        {"transitEncryptionEnabled": False, "transitEncryptionMode": None},
        {"transitEncryptionEnabled": True, "transitEncryptionMode": "required"},
        "transitEncryptionMode",
        "preferred first",
    ),
]


@pytest.mark.parametrize("token", GOOD)
def test_what_is_right_is_accepted(token: str) -> None:
    assert list(KINDS[token].problems(GOOD[token])) == []


@pytest.mark.parametrize(("token", "changed", "key", "reason"), REFUSED)
def test_what_is_wrong_is_refused(token: str, changed: dict[str, Any], key: str, reason: str) -> None:
    inputs = {**GOOD[token], **changed}
    inputs.pop(inputs.pop("-", None), None)
    found = list(KINDS[token].problems(inputs))
    assert any(key in where and reason in why for where, why in found), found


@pytest.mark.parametrize(("old", "new", "key", "reason"), CHANGES)
def test_what_can_not_be_changed_at_once_is_refused(old: dict[str, Any], new: dict[str, Any], key: str, reason: str) -> None:
    found = list(KINDS[GROUP].change_problems(old, new))
    assert any(key == where and reason in why for where, why in found), found
    assert list(KINDS[GROUP].change_problems(old, old)) == []


def test_what_is_not_known_yet_is_let_pass() -> None:
    for token, inputs in GOOD.items():
        # What decides between the rules is known; what is made by others is not.
        names = ("region", "replicationGroupId", "engine", "automaticFailoverEnabled", "transitEncryptionEnabled")
        unknown = {key: value if key in names else None for key, value in inputs.items()}
        assert list(KINDS[token].problems(unknown)) == []
