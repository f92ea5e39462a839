"""AWS's resources of ElastiCache, as far as the component uses them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from clouds.emulator import aws_around, aws_caches, aws_models, serving
from clouds.emulator.aws_around import id_of, noted, plain
from clouds.emulator.cloud import Cloud, Kind, Problems

# What the SDK for Pulumi adds, or says in another form.
_OWN = {"region", "tags", "applyImmediately", "finalSnapshotIdentifier", "logDeliveryConfigurations"}
_GROUP_NAMES = {
    "description": "ReplicationGroupDescription",
    "nodeType": "CacheNodeType",
    "multiAzEnabled": "MultiAZEnabled",
    "parameterGroupName": "CacheParameterGroupName",
    "subnetGroupName": "CacheSubnetGroupName",
    "maintenanceWindow": "PreferredMaintenanceWindow",
}
_CLUSTER_NAMES = {
    **{key: value for key, value in _GROUP_NAMES.items() if key not in ("description", "nodeType", "multiAzEnabled")},
    "clusterId": "CacheClusterId",
    "nodeType": "CacheNodeType",
    "azMode": "AZMode",
}
_GROUP_ID = re.compile(r"[a-z](-?[a-z0-9])*")


def _global_id(cloud: Cloud, inputs: dict[str, Any]) -> str:
    return f"{inputs.get('region')}/global/emul-{inputs['globalReplicationGroupIdSuffix']}"


def _checked(
    operation: str, names: dict[str, str], rules: Callable[[dict[str, Any]], Problems], own: frozenset[str] = frozenset()
) -> Callable[[dict[str, Any]], Problems]:
    """By the model of an operation, but for what the SDK's `own`, and by rules."""

    def problems(inputs: dict[str, Any]) -> Problems:
        told = {key: value for key, value in inputs.items() if key not in _OWN | own}
        yield from aws_models.problems("elasticache", operation, told, names)
        yield from rules(inputs)

    return problems


def _no_rules(inputs: dict[str, Any]) -> Problems:
    yield from ()


def _node(inputs: dict[str, Any]) -> Problems:
    region, node_type = inputs.get("region"), inputs.get("nodeType")
    if region and node_type and node_type not in aws_models.node_types(region):
        yield "nodeType", f"{node_type} is not in {region}"
    engine, version = inputs.get("engine"), inputs.get("engineVersion")
    if engine and version and version not in aws_models.versions(engine):
        yield "engineVersion", f"{version!r} is none of {engine}'s: {', '.join(aws_models.versions(engine))}"
    if engine and engine not in ("redis", "valkey", "memcached"):
        yield "engine", f"{engine!r} is none of redis, valkey, memcached"


def _shards(inputs: dict[str, Any]) -> Problems:
    if isinstance(shards := inputs.get("numNodeGroups"), int) and not 1 <= shards <= 500:
        yield "numNodeGroups", f"{shards} must be from 1 to 500"


def _group(inputs: dict[str, Any]) -> Problems:
    yield from _node(inputs)
    name = inputs.get("replicationGroupId") or ""
    if len(name) > 40 or not _GROUP_ID.fullmatch(name):
        yield "replicationGroupId", f"{name!r} must be at most 40 letters, digits and single hyphens, beginning with a letter"
    joined, tls = inputs.get("globalReplicationGroupId"), inputs.get("transitEncryptionEnabled")
    if "globalReplicationGroupId" in inputs:
        for key in ("nodeType", "numNodeGroups", "engine", "engineVersion"):
            if inputs.get(key) is not None:
                yield key, f"can't be given with globalReplicationGroupId {joined}"
    elif "nodeType" not in inputs:
        yield "nodeType", "is required"
    if inputs.get("engine") == "valkey" and tls is None:
        yield "transitEncryptionEnabled", "has to be said for valkey"
    if ("authToken" in inputs or inputs.get("userGroupIds")) and not tls and "globalReplicationGroupId" not in inputs:
        yield "userGroupIds" if inputs.get("userGroupIds") else "authToken", "needs transitEncryptionEnabled"
    if "authToken" in inputs and inputs.get("userGroupIds"):
        yield "authToken", "there is a user group already"
    if len(inputs.get("userGroupIds") or []) > 1:
        yield "userGroupIds", "there can be one"
    if "numCacheClusters" in inputs and "numNodeGroups" in inputs:
        yield "numCacheClusters", "conflicts with numNodeGroups"
    nodes = inputs.get("numCacheClusters")
    if isinstance(nodes, int) and not 1 <= nodes <= 6:
        yield "numCacheClusters", f"{nodes} must be from 1 to 6"
    if isinstance(replicas := inputs.get("replicasPerNodeGroup"), int) and not 0 <= replicas <= 5:
        yield "replicasPerNodeGroup", f"{replicas} must be from 0 to 5"
    yield from _shards(inputs)
    failover = inputs.get("automaticFailoverEnabled")
    if failover and nodes == 1:
        yield "automaticFailoverEnabled", "needs more than one node"
    if inputs.get("clusterMode") == "enabled" and not failover:
        yield "automaticFailoverEnabled", "has to be on in cluster mode"
    if inputs.get("multiAzEnabled") and not failover:
        yield "multiAzEnabled", "needs automaticFailoverEnabled"
    tiered = ".r6gd." in str(inputs.get("nodeType"))
    if tiered != bool(inputs.get("dataTieringEnabled")):
        yield "dataTieringEnabled", "is for r6gd nodes, and needed there"
    if inputs.get("durability") and (inputs.get("clusterMode") != "enabled" or not str(inputs.get("engineVersion")).startswith("9.")):
        yield "durability", "needs cluster mode and Valkey 9.0"
    for each in inputs.get("logDeliveryConfigurations") or []:
        if each.get("logType") not in ("slow-log", "engine-log") or each.get("logFormat") not in ("json", "text"):
            yield "logDeliveryConfigurations", f"{each!r} is no log that can be delivered"


def _group_change(old: dict[str, Any], new: dict[str, Any]) -> Problems:
    before, after = (
        (each.get("transitEncryptionMode") if each.get("transitEncryptionEnabled") else "off" for each in (old, new))
        if old.get("transitEncryptionEnabled") != new.get("transitEncryptionEnabled")
        else ("", "")
    )
    if {before, after} == {"off", "required"}:
        yield "transitEncryptionMode", "must be preferred first, and required in a change of its own"
    versions = [[int(part) for part in str(each.get("engineVersion") or "0").split(".")] for each in (old, new)]
    if versions[1] < versions[0]:
        yield "engineVersion", "can't go back"


def _cluster(inputs: dict[str, Any]) -> Problems:
    yield from _node(inputs)
    if inputs.get("azMode") == "cross-az" and inputs.get("numCacheNodes") == 1:
        yield "azMode", "cross-az needs more than one node"


def _serverless(inputs: dict[str, Any]) -> Problems:
    subnets = inputs.get("subnetIds")
    if subnets is not None and not 2 <= len(subnets) <= 3:
        yield "subnetIds", "2 or 3 are needed, in as many zones"
    if inputs.get("engine") not in ("redis", "valkey", "memcached"):
        yield "engine", f"{inputs.get('engine')!r} is none of redis, valkey, memcached"


def _user(inputs: dict[str, Any]) -> Problems:
    if inputs.get("engine") not in ("redis", "valkey", None):
        yield "engine", f"{inputs['engine']!r} is none of redis, valkey: no other has users"
    mode = inputs.get("authenticationMode") or {}
    if mode.get("type") == "iam" and inputs.get("userName") and inputs.get("userId") != inputs["userName"]:
        yield "userName", "has to be the userId for logins by IAM"
    passwords = mode.get("passwords")
    if mode.get("type") == "password" and passwords is not None and not 1 <= len(passwords) <= 2:
        yield "authenticationMode.passwords", "1 or 2 are possible"
    for password in passwords or []:
        if password is not None and not 16 <= len(password) <= 128:
            yield "authenticationMode.passwords", "has 16 to 128 characters"


def _datastore(inputs: dict[str, Any]) -> Problems:
    for key, reason in (*_node({**inputs, "nodeType": inputs.get("cacheNodeType")}), *_shards(inputs)):
        yield "cacheNodeType" if key == "nodeType" else key, reason


def _datastore_conflicts(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
    node_type = next(
        (
            aws_caches.own(each).get("nodeType")
            for each in cloud.all(aws_caches.GROUP)
            if each.id.rpartition("/")[2] == str(inputs.get("primaryReplicationGroupId")).rpartition("/")[2]
        ),
        None,
    )
    if node_type is None:
        yield "primaryReplicationGroupId", "ReplicationGroupNotFound"
    elif node_type.split(".")[1].startswith("t"):
        yield "primaryReplicationGroupId", f"{node_type} is too small for a global datastore"


KINDS: dict[str, Kind] = {
    aws_caches.GROUP: Kind(
        id_of("replicationgroup", "replicationGroupId"),
        frozenset(
            {"region", "replicationGroupId", "engine", "subnetGroupName", "kmsKeyId", "atRestEncryptionEnabled", "snapshotName", "port"}
            | {"dataTieringEnabled", "globalReplicationGroupId"}
        ),
        _checked("CreateReplicationGroup", {**_GROUP_NAMES, "kmsKeyId": "KmsKeyId"}, _group),
        in_place=lambda old, new: {"engine"} if (old.get("engine"), new.get("engine")) == ("redis", "valkey") else set(),
        conflicts=aws_caches.group_conflicts,
        change_problems=_group_change,
        make=aws_caches.make_group,
        end=aws_caches.end_group,
    ),
    aws_caches.SERVERLESS: Kind(
        id_of("serverless", "name"),
        frozenset({"region", "name", "engine", "subnetIds", "kmsKeyId", "snapshotArnsToRestores"}),
        _checked(
            "CreateServerlessCache",
            {"name": "ServerlessCacheName", "snapshotArnsToRestores": "SnapshotArnsToRestore"},
            _serverless,
        ),
        make=aws_caches.make_serverless,
        end=serving.end,
    ),
    "aws:elasticache/cluster:Cluster": Kind(
        id_of("cluster", "clusterId"),
        frozenset({"region", "clusterId", "engine", "nodeType", "subnetGroupName", "port", "transitEncryptionEnabled"}),
        _checked("CreateCacheCluster", _CLUSTER_NAMES, _cluster),
        make=aws_caches.make_memcached,
        end=serving.end,
    ),
    aws_caches.GLOBAL: Kind(
        _global_id,
        frozenset({"region", "globalReplicationGroupIdSuffix", "primaryReplicationGroupId"}),
        # Its members are changed to the others in a call of its own.
        _checked("CreateGlobalReplicationGroup", {}, _datastore, frozenset({"cacheNodeType", "engine", "engineVersion", "numNodeGroups"})),
        conflicts=_datastore_conflicts,
        make=aws_caches.make_global,
        end=aws_caches.end_global,
    ),
    aws_caches.USER: Kind(
        id_of("user", "userId"),
        frozenset({"region", "userId", "userName"}),
        _checked("CreateUser", {}, _user),
        make=aws_caches.make_login,
    ),
    aws_caches.USER_GROUP: Kind(
        id_of("usergroup", "userGroupId"),
        frozenset({"region", "userGroupId"}),
        _checked("CreateUserGroup", {}, _no_rules),
        make=aws_caches.make_login,
    ),
    "aws:elasticache/subnetGroup:SubnetGroup": Kind(
        id_of("subnetgroup", "name"),
        frozenset({"region", "name"}),
        _checked("CreateCacheSubnetGroup", {"name": "CacheSubnetGroupName", "description": "CacheSubnetGroupDescription"}, _no_rules),
        make=noted,
    ),
    aws_caches.PARAMETERS: Kind(
        id_of("parametergroup", "name"),
        frozenset({"region", "name", "family"}),
        plain({"name": str, "family": str, "parameters": list, "description": str}, "family"),
        make=noted,
    ),
    **aws_around.KINDS,
}
INVOKES = aws_around.INVOKES
