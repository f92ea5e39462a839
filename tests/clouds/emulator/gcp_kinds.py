"""Google's resources of Memorystore and of the networks it is reached in, as far as the components use them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from clouds.emulator import gcp_caches, gcp_models
from clouds.emulator.cloud import Cloud, Kind, Problems, Resource
from google.cloud import memcache_v1, memorystore_v1, redis_cluster_v1, redis_v1

PROJECT = "emulated-project"
# What the SDK for Pulumi adds: addresses and its own protection; and what Google's package of Redis Cluster does not know yet.
_ADDRESS = {"project", "location", "region", "name", "instanceId"}
_OWN = {"deletionPolicy", "deletionProtection"}
_NEWER = {redis_cluster_v1.Cluster: {"labels", "maintenanceVersion"}}
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_NETWORK = re.compile(r"(https://.*/)?projects/[^/]+/global/networks/[^/]+")


def _id(collection: str, key: str, place: str) -> Callable[[Cloud, dict[str, Any]], str]:
    """A resource's full name; `place`: the property that says where it is, none for what is everywhere."""

    def made(cloud: Cloud, inputs: dict[str, Any]) -> str:
        project = inputs.get("project") or cloud.config.get("project") or PROJECT
        if not place:
            return f"projects/{project}/global/{collection}/{inputs[key]}"
        where = inputs.get(place) or cloud.config.get("region") or "us-central1"
        word = "regions" if collection == "subnetworks" else "locations"
        return f"projects/{project}/{word}/{where}/{collection}/{inputs[key]}"

    return made


def _named(inputs: dict[str, Any], key: str, minimum: int, maximum: int) -> Problems:
    name = inputs.get(key)
    if name is not None and not re.fullmatch(rf"[a-z][-a-z0-9]{{{minimum - 2},{maximum - 2}}}[a-z0-9]", str(name)):
        yield key, f"{name!r} must be {minimum} to {maximum} lower-case letters, digits and hyphens, beginning with a letter"


def _checked(
    message: Any,
    key: str,
    rules: Callable[[dict[str, Any]], Problems],
    *,
    minimum: int = 2,
    maximum: int = 40,
    names: dict[str, str] | None = None,
) -> Callable[[dict[str, Any]], Problems]:
    def problems(inputs: dict[str, Any]) -> Problems:
        if key not in inputs:
            yield key, "is required"
        yield from _named(inputs, key, minimum, maximum)
        for place in ("location", "region"):
            if inputs.get(place) is not None and not _REGION.fullmatch(str(inputs[place])):
                yield place, f"{inputs[place]!r} is no region of Google's"
        told = {name: value for name, value in inputs.items() if name not in _ADDRESS | _OWN | _NEWER.get(message, set())}
        yield from gcp_models.problems(message, told, names)
        yield from rules(inputs)

    return problems


def _nodes(inputs: dict[str, Any], *, custom: bool) -> Problems:
    """What Valkey and Redis Cluster have in common."""
    for key, maximum in (("shardCount", 250), ("replicaCount", 5)):
        value = inputs.get(key)
        if isinstance(value, int) and not (0 if key == "replicaCount" else 1) <= value <= maximum:
            yield key, f"{value} must be at most {maximum}"
    if not custom and str(inputs.get("nodeType", "")).startswith("CUSTOM_"):
        yield "nodeType", f"{inputs['nodeType']} needs cluster mode disabled"
    zones = inputs.get("zoneDistributionConfig") or {}
    if zones.get("mode") == "SINGLE_ZONE" and not zones.get("zone"):
        yield "zoneDistributionConfig.zone", "is required with SINGLE_ZONE"
    backups = inputs.get("automatedBackupConfig") or {}
    if retention := backups.get("retention"):
        seconds = float(str(retention).removesuffix("s") or 0) if re.fullmatch(r"[0-9.]+s", str(retention)) else 0
        if not 86_400 <= seconds <= 365 * 86_400:
            yield "automatedBackupConfig.retention", f"{retention!r} must be from 1 to 365 days"
    windows = (inputs.get("maintenancePolicy") or {}).get("weeklyMaintenanceWindows") or []
    if len(windows) > 1:
        yield "maintenancePolicy.weeklyMaintenanceWindows", "there can be one"


def _replication(config: dict[str, Any], role: str, primary: str) -> Problems:
    if (config.get(role) == "SECONDARY") != bool(config.get(primary)):
        yield primary, "a secondary has one, and nobody else"


def _valkey(inputs: dict[str, Any]) -> Problems:
    clustered = inputs.get("mode", "CLUSTER") == "CLUSTER"
    yield from _nodes(inputs, custom=not clustered)
    if "shardCount" not in inputs:
        yield "shardCount", "is required"
    if not clustered and inputs.get("shardCount") not in (None, 1):
        yield "shardCount", "cluster mode disabled has one shard"
    if (version := inputs.get("engineVersion")) not in (None, "VALKEY_7_2", "VALKEY_8_0", "VALKEY_9_0"):
        yield "engineVersion", f"{version!r} is none of VALKEY_7_2, VALKEY_8_0, VALKEY_9_0"
    if inputs.get("authorizationMode") == "TOKEN_AUTH":
        yield "authorizationMode", "TOKEN_AUTH is in the beta only"
    for endpoint in inputs.get("desiredAutoCreatedEndpoints") or []:
        for key in ("network", "projectId"):
            if key not in endpoint:
                yield f"desiredAutoCreatedEndpoints.{key}", "is required"
        if endpoint.get("network") is not None and not _NETWORK.fullmatch(endpoint["network"]):
            yield "desiredAutoCreatedEndpoints.network", f"{endpoint['network']!r} is no network"
    yield from _policy(inputs, "engineConfigs")
    yield from _replication(inputs.get("crossInstanceReplicationConfig") or {}, "instanceRole", "primaryInstance")


def _redis_cluster(inputs: dict[str, Any]) -> Problems:
    yield from _nodes(inputs, custom=False)
    if not inputs.get("pscConfigs") and "pscConfigs" not in inputs:
        yield "pscConfigs", "is required"
    for config in inputs.get("pscConfigs") or []:
        if config.get("network") is not None and not _NETWORK.fullmatch(config["network"]):
            yield "pscConfigs.network", f"{config['network']!r} is no network"
    yield from _policy(inputs, "redisConfigs")
    yield from _replication(inputs.get("crossClusterReplicationConfig") or {}, "clusterRole", "primaryCluster")


def _policy(inputs: dict[str, Any], key: str) -> Problems:
    policies = ["noeviction", *(f"{what}-{how}" for what in ("allkeys", "volatile") for how in ("lru", "lfu", "random")), "volatile-ttl"]
    policy = (inputs.get(key) or {}).get("maxmemory-policy")
    if policy is not None and policy not in policies:
        yield f"{key}.maxmemory-policy", f"{policy!r} is none of {', '.join(policies)}"


def _redis(inputs: dict[str, Any]) -> Problems:
    highly = inputs.get("tier", "BASIC") == "STANDARD_HA"
    size, replicas = inputs.get("memorySizeGb"), inputs.get("replicaCount")
    if isinstance(size, int) and not 1 <= size <= 300:
        yield "memorySizeGb", f"{size} must be from 1 to 300"
    if inputs.get("readReplicasMode") == "READ_REPLICAS_ENABLED":
        if not highly:
            yield "readReplicasMode", "needs tier STANDARD_HA"
        if isinstance(size, int) and size < 5:
            yield "readReplicasMode", "needs 5 GB"
        if isinstance(replicas, int) and not 1 <= replicas <= 5:
            yield "replicaCount", f"{replicas} must be from 1 to 5"
    elif replicas is not None and replicas != (1 if highly else 0):
        yield "replicaCount", f"{replicas} must be {1 if highly else 0} without read replicas in tier {inputs.get('tier', 'BASIC')}"
    if (version := inputs.get("redisVersion")) not in (None, "REDIS_5_0", "REDIS_6_X", "REDIS_7_0", "REDIS_7_2"):
        yield "redisVersion", f"{version!r} is no version that can be made"
    yield from _policy(inputs, "redisConfigs")


def _memcached(inputs: dict[str, Any]) -> Problems:
    if isinstance(count := inputs.get("nodeCount"), int) and not 1 <= count <= 20:
        yield "nodeCount", f"{count} must be from 1 to 20"
    node = inputs.get("nodeConfig") or {}
    if isinstance(memory := node.get("memorySizeMb"), int) and (memory % 1024 or not 1024 <= memory <= 256 * 1024):
        yield "nodeConfig.memorySizeMb", f"{memory} must be whole GB from 1024 to 262144"


def _is_plain(inputs: dict[str, Any], known: dict[str, type], required: tuple[str, ...]) -> Problems:
    for key, value in inputs.items():
        if key not in known:
            yield key, "there is no such property"
        elif value is not None and not isinstance(value, known[key]):
            yield key, f"{value!r} is no {known[key].__name__}"
    yield from ((key, "is required") for key in required if key not in inputs)


def _plain(known: dict[str, type], *required: str, key: str = "name") -> Callable[[dict[str, Any]], Problems]:
    """Of resources whose messages no installed package has: names and types by the SDK for Pulumi."""

    def problems(inputs: dict[str, Any]) -> Problems:
        yield from _is_plain(inputs, known, required)
        yield from _named(inputs, key, 1 + 1, 63)

    return problems


def _noted(cloud: Cloud, resource: Resource) -> None:
    resource.outputs |= resource.inputs


def _after_note(make: Callable[[Cloud, Resource], None]) -> Callable[[Cloud, Resource], None]:
    def made(cloud: Cloud, resource: Resource) -> None:
        _noted(cloud, resource)
        make(cloud, resource)

    return made


def _immutable(message: Any) -> frozenset[str]:
    return frozenset(key for key, each in gcp_models.properties(message).items() if each.immutable)


def _policy_conflicts(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
    same = [other.inputs for other in cloud.all(POLICY) if all(other.inputs.get(key) == inputs.get(key) for key in ("network", "location"))]
    if any(other.get("name") != inputs.get("name") for other in same):
        yield "network", f"has a service connection policy for {inputs.get('serviceClass')} in {inputs.get('location')} already"


POLICY = "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy"
_REPLACED = frozenset({"project", "region", "location", "name", "instanceId"})
KINDS: dict[str, Kind] = {
    "gcp:memorystore/instance:Instance": Kind(
        _id("instances", "instanceId", "location"),
        _REPLACED | _immutable(memorystore_v1.Instance) | {"kmsKey", "desiredAutoCreatedEndpoints"},
        _checked(
            memorystore_v1.Instance,
            "instanceId",
            _valkey,
            minimum=4,
            maximum=63,
            names={"desiredAutoCreatedEndpoints": "pscAutoConnections"},
        ),
        make=_after_note(gcp_caches.make_valkey),
        end=gcp_caches.end,
    ),
    "gcp:redis/cluster:Cluster": Kind(
        _id("clusters", "name", "region"),
        _REPLACED | {"authorizationMode", "transitEncryptionMode", "kmsKey", "pscConfigs", "zoneDistributionConfig"},
        _checked(redis_cluster_v1.Cluster, "name", _redis_cluster, maximum=63),
        make=_after_note(gcp_caches.make_redis_cluster),
        end=gcp_caches.end,
    ),
    "gcp:redis/instance:Instance": Kind(
        _id("instances", "name", "region"),
        _REPLACED
        | {"tier", "authorizedNetwork", "connectMode", "locationId", "alternativeLocationId", "customerManagedKey"}
        | {"transitEncryptionMode", "reservedIpRange"},
        _checked(redis_v1.Instance, "name", _redis),
        make=_after_note(gcp_caches.make_redis_instance),
        end=gcp_caches.end,
    ),
    "gcp:memcache/instance:Instance": Kind(
        _id("instances", "name", "region"),
        _REPLACED | {"authorizedNetwork", "nodeConfig", "zones"},
        _checked(memcache_v1.Instance, "name", _memcached, names={"memcacheParameters": "parameters"}),
        make=_after_note(gcp_caches.make_memcached),
        end=gcp_caches.end,
    ),
    "gcp:compute/network:Network": Kind(
        _id("networks", "name", ""),
        _REPLACED | {"autoCreateSubnetworks"},
        _plain({"name": str, "project": str, "description": str, "autoCreateSubnetworks": bool, "routingMode": str, "mtu": int}, "name"),
        make=_noted,
    ),
    "gcp:compute/subnetwork:Subnetwork": Kind(
        _id("subnetworks", "name", "region"),
        _REPLACED | {"network"},
        _plain(
            {
                "name": str,
                "project": str,
                "network": str,
                "region": str,
                "ipCidrRange": str,
                "privateIpGoogleAccess": bool,
                "description": str,
            },
            "name",
            "network",
            "ipCidrRange",
        ),
        make=_noted,
    ),
    POLICY: Kind(
        _id("serviceConnectionPolicies", "name", "location"),
        _REPLACED | {"network", "serviceClass"},
        _plain(
            {
                "name": str,
                "project": str,
                "location": str,
                "network": str,
                "serviceClass": str,
                "pscConfig": dict,
                "labels": dict,
                "description": str,
            },
            "name",
            "location",
            "network",
            "serviceClass",
        ),
        conflicts=_policy_conflicts,
        make=_noted,
    ),
}
INVOKES: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]] = {}
