"""Caches that an operator runs, in one Kubernetes cluster that has it or gets it."""

from typing import Any, TypedDict, cast

import pulumi
from pulumi_caches.kubernetes import RedisOperatorChart, RedisOperatorChartArgs, RedisOperatorCluster, RedisOperatorClusterArgs

from stacks import cluster, namespaces, settings


class Operated(TypedDict, total=False):
    """Configuration of the topology."""

    kube_context: str
    """Context of the person's kubeconfig to deploy to."""
    namespace: str
    """Namespace to make, which the operator must watch. Default: caches."""
    operated: dict[str, Any]
    """RedisOperatorClusters: their arguments by name."""
    operator_chart: dict[str, Any]
    """One RedisOperatorChart: its arguments, by the name that it and its namespace get. Default: none, the cluster has an operator."""


def deploy() -> None:
    """Makes the namespace and every cache in it, after the operator if it shall come too; exports `connections` by cache (secret)."""
    config = settings.read(Operated)
    charts, name = config.get("operator_chart", {}), config.get("namespace", "caches")
    _refuse_charts(charts, name)
    opts = pulumi.ResourceOptions(provider=cluster.provider(config.get("kube_context")))
    caches = config.get("operated", {})
    namespace = namespaces.make(name, caches.values(), opts)
    operators = [_operator(chart, args or {}, name, opts) for chart, args in charts.items()]
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=operators))
    made = {}
    for cache, args in caches.items():
        in_namespace = {**(args or {}), "namespace": namespace.metadata["name"]}
        made[cache] = RedisOperatorCluster(cache, cast(RedisOperatorClusterArgs, in_namespace), after)
    pulumi.export("connections", {cache: component.connection for cache, component in made.items()})


def _refuse_charts(charts: dict[str, Any], namespace: str) -> None:
    if len(charts) > 1:
        raise pulumi.RunError(
            f"caches:operator_chart has {', '.join(charts)}: one operator runs every cache, and two would fight over them"
        )
    if namespace in charts:
        raise pulumi.RunError(
            f"caches:operator_chart.{namespace}: is the name of the caches' namespace, and the operator gets one of its own"
        )
    if charts and cluster.renders():
        raise pulumi.RunError(
            "caches:operator_chart: a Helm chart is installed and can't be rendered: leave it out, or deploy to a cluster"
        )


def _operator(name: str, args: dict[str, Any], watched: str, opts: pulumi.ResourceOptions) -> RedisOperatorChart:
    """The operator, in a namespace of its own; it looks at that of the caches only, unless told otherwise."""
    namespace = namespaces.make(name, [], opts)
    given = {"watch_namespaces": [watched], **args, "namespace": namespace.metadata["name"]}
    return RedisOperatorChart(name, cast(RedisOperatorChartArgs, given), opts)
