"""Caches inside one Kubernetes cluster."""

from typing import Any, TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s
from pulumi_caches.kubernetes import RedisStatefulSet, RedisStatefulSetArgs

from stacks import cluster, settings


class InCluster(TypedDict, total=False):
    """Configuration of the topology."""

    kube_context: str
    """Context of the person's kubeconfig to deploy to."""
    namespace: str
    """Namespace to make. Default: caches."""
    redis: dict[str, Any]
    """RedisStatefulSets: their arguments by name."""


def deploy() -> None:
    """Makes the namespace and every cache in it; exports `connections` by cache (secret)."""
    config = settings.read(InCluster)
    opts = pulumi.ResourceOptions(provider=cluster.provider(config.get("kube_context")))
    name = config.get("namespace", "caches")
    namespace = k8s.core.v1.Namespace(
        name, metadata={"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}, opts=opts
    )
    in_namespace: dict[str, Any] = {"namespace": namespace.metadata["name"]}
    caches = {
        cache: RedisStatefulSet(cache, cast(RedisStatefulSetArgs, {**(arguments or {}), **in_namespace}), opts)
        for cache, arguments in config.get("redis", {}).items()
    }
    pulumi.export("connections", {cache: component.connection for cache, component in caches.items()})
