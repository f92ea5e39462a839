"""What the OT-CONTAINER-KIT redis operator takes, and the names it gives: api/ and internal/k8sutils of its version 0.23.0."""

import math
from typing import Any

from pulumi_caches.kubernetes import custom_resource, labels, pod
from pulumi_caches.kubernetes.custom_resource import (
    WAIT_FOR,
    Asked,
    CustomResource,
    Endpoints,
    container_security,
    placement,
    pod_security,
    priority,
    pull_secrets,
)
from pulumi_caches.kubernetes.server import PORT

API_VERSION = "redis.redis.opstreelabs.in/v1beta2"
DEFAULT_IMAGE = "quay.io/opstree/redis:v7.0.15"
DEFAULT_SENTINEL_IMAGE = "quay.io/opstree/redis-sentinel:v7.0.15"
# The operator's images look for their additional configuration under this name.
CONFIG_KEY = "redis-additional.conf"
# Labels that the operator selects by: one of the person's would replace its own.
OPERATORS_LABELS = ("app", "role", "cluster", "redis_setup_type", "redis-role")
MASTER_NAME = "mymaster"
SENTINEL_PORT = 26379
APPLICATION, SERVER, SENTINEL = "redis", "server", "sentinel"

# redis in the operator's images, which write their configuration below /etc.
_USER = 1000
_CONTAINER_SECURITY = container_security(read_only=False)
# What a slow disk loads at least. The operator's own probe ends a server that loads for longer than 30 s.
_LOADING_MIB_PER_SECOND = 20
_PROBE_SECONDS = 10


def config(rendered: str) -> str:
    """The additional configuration. The first line takes back the save points that the operator's images have set before it."""
    return f'save ""\n{rendered}'


def resources(asked: Asked) -> list[CustomResource]:
    """The custom resources, in the order in which they are made."""
    if asked.shards:
        return [CustomResource(API_VERSION, "RedisCluster", _cluster(asked), SERVER, "jsonpath={.status.state}=Ready")]
    return [
        CustomResource(API_VERSION, "RedisReplication", _replication(asked), SERVER, "jsonpath={.status.masterNode}"),
        CustomResource(API_VERSION, "RedisSentinel", _sentinel(asked), SENTINEL, None),
    ]


def endpoints(asked: Asked) -> Endpoints:
    """Where clients connect."""
    name = asked.name
    if asked.shards:
        leaders = _pods(f"{name}-leader", f"{name}-leader-headless", asked.shards, PORT)
        followers = _pods(f"{name}-follower", f"{name}-follower-headless", asked.shards * asked.replicas, PORT)
        return Endpoints(f"{name}-leader", None, [*leaders, *followers], [], None)
    return Endpoints(
        host=f"{name}-master",
        reader_host=f"{name}-replica",
        nodes=_pods(name, f"{name}-headless", 1 + asked.replicas, PORT),
        sentinels=_pods(f"{name}-sentinel", f"{name}-sentinel-headless", asked.sentinels, SENTINEL_PORT),
        master_name=MASTER_NAME,
    )


def _pods(stateful_set: str, service: str, count: int, port: int) -> list[str]:
    return [f"{stateful_set}-{ordinal}.{service}:{port}" for ordinal in range(count)]


def _cluster(asked: Asked) -> dict[str, Any]:
    servers = {
        "redisConfig": {"additionalRedisConfig": asked.config_map},
        "securityContext": _CONTAINER_SECURITY,
        "terminationGracePeriodSeconds": pod.shutdown_seconds(asked.server),
        "livenessProbe": _liveness_probe(asked),
        "pdb": _disruption_budget(asked),
        **_placement(asked, SERVER),
    }
    return {
        "clusterSize": asked.shards,
        "persistenceEnabled": True,
        "kubernetesConfig": _kubernetes_config(asked),
        "redisLeader": {"replicas": asked.shards, **servers},
        "redisFollower": {"replicas": asked.shards * asked.replicas, **servers},
        "storage": {
            **_storage(asked),
            # Else a restarted server has forgotten who it was.
            "nodeConfVolume": True,
            "nodeConfVolumeClaimTemplate": _claim(asked, "1Gi"),
        },
        "podSecurityContext": pod_security(_USER),
        "initContainer": _init_container(asked),
        **priority(asked),
    }


def _replication(asked: Asked) -> dict[str, Any]:
    return {
        "clusterSize": 1 + asked.replicas,
        "kubernetesConfig": _kubernetes_config(asked),
        "redisConfig": {"additionalRedisConfig": asked.config_map},
        "storage": _storage(asked),
        "podSecurityContext": pod_security(_USER),
        "securityContext": _CONTAINER_SECURITY,
        "initContainer": _init_container(asked),
        "terminationGracePeriodSeconds": pod.shutdown_seconds(asked.server),
        "livenessProbe": _liveness_probe(asked),
        "pdb": _disruption_budget(asked),
        **_placement(asked, SERVER),
        **priority(asked),
    }


def _sentinel(asked: Asked) -> dict[str, Any]:
    requests = {"cpu": "50m", "memory": "64Mi"}
    return {
        "clusterSize": asked.sentinels,
        "kubernetesConfig": {
            **_kubernetes_config(asked),
            "image": asked.sentinel_image,
            "resources": {"requests": requests, "limits": {"memory": requests["memory"]}},
        },
        "redisSentinelConfig": {
            "redisReplicationName": asked.name,
            "masterGroupName": MASTER_NAME,
            "quorum": str(asked.sentinels // 2 + 1),
            "redisReplicationPassword": {"secretKeyRef": {"name": asked.secret_name, "key": asked.secret_key}},
        },
        "podSecurityContext": pod_security(_USER),
        "securityContext": _CONTAINER_SECURITY,
        "initContainer": _init_container(asked),
        "pdb": _disruption_budget(asked),
        **_placement(asked, SENTINEL),
        **priority(asked),
    }


def _kubernetes_config(asked: Asked) -> dict[str, Any]:
    return {
        "image": asked.image,
        "imagePullPolicy": "IfNotPresent",
        "resources": custom_resource.resources(asked.server),
        "redisSecret": {"name": asked.secret_name, "key": asked.secret_key},
        # The operator copies annotations to the pods: without this, waiting or not would restart them.
        "ignoreAnnotations": [WAIT_FOR],
        **pull_secrets(asked),
    }


def _init_container(asked: Asked) -> dict[str, Any]:
    # Not enabled, but the operator gives its security context to the container that its feature gate
    # GenerateConfigInInitContainer adds, which restricted namespaces would refuse without one.
    return {"enabled": False, "image": asked.image, "securityContext": _CONTAINER_SECURITY}


def _storage(asked: Asked) -> dict[str, Any]:
    # Left out where it is false, as the operator does when it writes the resource back.
    kept = {"keepAfterDelete": True} if asked.storage.retained else {}
    return {**kept, "volumeClaimTemplate": _claim(asked, asked.storage_size)}


def _claim(asked: Asked, size: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if asked.storage_class is not None:
        spec["storageClassName"] = asked.storage_class
    return {"spec": spec}


def _liveness_probe(asked: Asked) -> dict[str, int]:
    # The operator adds the command. A server that loads its data does not pass, so the time for it is allowed for.
    loading = math.ceil(asked.server.maxmemory_mib / _LOADING_MIB_PER_SECOND)
    return {
        "periodSeconds": _PROBE_SECONDS,
        "timeoutSeconds": _PROBE_SECONDS,
        "failureThreshold": 6 + math.ceil(loading / _PROBE_SECONDS),
    }


def _disruption_budget(asked: Asked) -> dict[str, Any]:
    return {"enabled": True, "maxUnavailable": 1 if asked.evictable else 0}


def _placement(asked: Asked, component: str) -> dict[str, Any]:
    return placement(asked, labels.selector(APPLICATION, asked.name, component))
