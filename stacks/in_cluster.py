"""Caches inside one Kubernetes cluster."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypedDict

import pulumi
from pulumi_caches.kubernetes import MemcachedShards, RedisClusterWithInit, RedisStatefulSet, SentinelGroup

from stacks import cluster, namespaces, settings


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


COMPONENTS: dict[str, Callable[..., Any]] = {
    "redis": RedisStatefulSet,
    "sentinel": SentinelGroup,
    "cluster": RedisClusterWithInit,
    "memcached": MemcachedShards,
}


def deploy() -> None:
    """Makes the namespace and every cache in it; exports `connections` by cache (secret)."""
    config = settings.read(InCluster)
    caches = [(cache, component, args) for key, component in COMPONENTS.items() for cache, args in config.get(key, {}).items()]
    if twice := [cache for cache, count in Counter(cache for cache, _, _ in caches).items() if count > 1]:
        raise pulumi.RunError(f"{', '.join(twice)}: in more than one of {', '.join(COMPONENTS)}; each cache needs a name of its own")
    opts = pulumi.ResourceOptions(provider=cluster.provider(config.get("kube_context")))
    with_volumes = [args for _, component, args in caches if component is not MemcachedShards]
    namespace = namespaces.make(config.get("namespace", "caches"), with_volumes, opts)
    made = {cache: component(cache, {**(args or {}), "namespace": namespace.metadata["name"]}, opts) for cache, component, args in caches}
    pulumi.export("connections", {cache: component.connection for cache, component in made.items()})
