"""Caches inside one Kubernetes cluster."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypedDict

import pulumi
from pulumi_caches.arguments import suggest
from pulumi_caches.kubernetes import CacheBackup, CacheMonitoring, MemcachedShards, RedisClusterWithInit, RedisStatefulSet, SentinelGroup

from stacks import backup_claims, cluster, namespaces, settings


class InCluster(TypedDict, total=False):
    """Configuration of the topology; of each component, the arguments by name."""

    kube_context: str
    """Context of the person's kubeconfig to deploy to."""
    namespace: str
    """Namespace to make. Default: caches."""
    redis: dict[str, Any]
    """RedisStatefulSets."""
    sentinel: dict[str, Any]
    """SentinelGroups."""
    cluster: dict[str, Any]
    """RedisClusterWithInits."""
    memcached: dict[str, Any]
    """MemcachedShards."""
    monitoring: dict[str, Any]
    """CacheMonitorings, by the name of their cache."""
    backup: dict[str, Any]
    """CacheBackups, by the name of their cache."""
    backup_claim: dict[str, Any]
    """PersistentVolumeClaims for backups: storage_gib and perhaps storage_class, by name."""


COMPONENTS: dict[str, Callable[..., Any]] = {
    "redis": RedisStatefulSet,
    "sentinel": SentinelGroup,
    "cluster": RedisClusterWithInit,
    "memcached": MemcachedShards,
}
# What takes a cache's connection, and its name.
ATTACHED: dict[str, Callable[..., Any]] = {"monitoring": CacheMonitoring, "backup": CacheBackup}


def deploy() -> None:
    """Makes the namespace, every cache in it and what is attached to caches; exports `connections` by cache (secret)."""
    config = settings.read(InCluster)
    caches = [(cache, component, args) for key, component in COMPONENTS.items() for cache, args in config.get(key, {}).items()]
    names = [cache for cache, _, _ in caches]
    if twice := [cache for cache, count in Counter(names).items() if count > 1]:
        raise pulumi.RunError(f"{', '.join(twice)}: in more than one of {', '.join(COMPONENTS)}; each cache needs a name of its own")
    for key in ATTACHED:
        if strangers := [name for name in config.get(key, {}) if name not in names]:
            raise pulumi.RunError(f"caches:{key}.{strangers[0]}: there is no such cache{suggest(strangers[0], names)}")
    opts = pulumi.ResourceOptions(provider=cluster.provider(config.get("kube_context")))
    with_volumes = [args for _, component, args in caches if component is not MemcachedShards]
    claims = config.get("backup_claim", {})
    namespace = namespaces.make(config.get("namespace", "caches"), [*with_volumes, *claims.values()], opts)
    within = {"namespace": namespace.metadata["name"]}
    made = {cache: component(cache, {**(args or {}), **within}, opts) for cache, component, args in caches}
    for claim, args in claims.items():
        backup_claims.make(claim, args or {}, namespace.metadata["name"], opts)
    for key, attach in ATTACHED.items():
        for cache, args in config.get(key, {}).items():
            attach(cache, {**(args or {}), **within, "connection": made[cache].connection}, opts)
    pulumi.export("connections", {cache: component.connection for cache, component in made.items()})
