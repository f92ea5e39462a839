"""Caches that an operator runs, in one Kubernetes cluster that has it."""

from typing import Any, TypedDict, cast

import pulumi
from pulumi_caches.kubernetes import RedisOperatorCluster, RedisOperatorClusterArgs

from stacks import cluster, namespaces, settings


class Operated(TypedDict, total=False):
    """Configuration of the topology."""

    kube_context: str
    """Context of the person's kubeconfig to deploy to."""
    namespace: str
    """Namespace to make, which the operator must watch. Default: caches."""
    operated: dict[str, Any]
    """RedisOperatorClusters: their arguments by name."""


def deploy() -> None:
    """Makes the namespace and every cache in it; exports `connections` by cache (secret)."""
    config = settings.read(Operated)
    opts = pulumi.ResourceOptions(provider=cluster.provider(config.get("kube_context")))
    caches = config.get("operated", {})
    namespace = namespaces.make(config.get("namespace", "caches"), caches.values(), opts)
    made = {}
    for cache, args in caches.items():
        in_namespace = {**(args or {}), "namespace": namespace.metadata["name"]}
        made[cache] = RedisOperatorCluster(cache, cast(RedisOperatorClusterArgs, in_namespace), opts)
    pulumi.export("connections", {cache: component.connection for cache, component in made.items()})
