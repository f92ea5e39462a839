"""RedisOperatorChart: the OT operator from its Helm chart, for who has none in the cluster."""

import re
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import DNS_LABEL, Arguments
from pulumi_caches.kubernetes import custom_resource
from pulumi_caches.kubernetes.server import read_image

# What RedisOperatorCluster renders its custom resources for.
DEFAULT_VERSION = "0.23.0"
DEFAULT_CHART = "redis-operator"
DEFAULT_REPOSITORY = "https://ot-container-kit.github.io/helm-charts"
# Helm's releases have at most 53 characters.
NAME_MAXIMUM = 53
_EXACT = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")
_REPOSITORY = re.compile(r"https?://\S+")
# That of the operator's image.
_USER = 65532
_READY_SECONDS = 300


class RedisOperatorChartArgs(TypedDict):
    """Arguments of RedisOperatorChart. None is required."""

    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to install the operator in; must exist. Default: default."""
    version: NotRequired[str]
    """Exact version of the chart. Default: 0.23.0, which RedisOperatorCluster is written for."""
    chart: NotRequired[str]
    """The chart's name in the repository, or its folder, archive or oci:// address. Default: redis-operator."""
    repository: NotRequired[str]
    """Address of the repository that has the chart. Default: the OT operator's own."""
    image: NotRequired[str]
    """The operator's image as NAME:TAG. Default: the chart's."""
    watch_namespaces: NotRequired[list[str]]
    """Namespaces whose caches it runs. Default: every namespace."""
    values: NotRequired[dict[str, Any]]
    """Values of the chart, over those that this component gives. Default: none."""


class RedisOperatorChart(pulumi.ComponentResource):
    """
    The OT-CONTAINER-KIT redis-operator, from its Helm chart, with what RedisOperatorCluster needs of it.

    Creates a Helm release called like the component, and waits until the operator is ready. Caches that it shall run take
    this component in `depends_on`: they are then made after it, and destroyed before it. Destroying it leaves the custom
    resource definitions, and with them every cache that somebody else made with them.
    """

    def __init__(self, name: str, args: RedisOperatorChartArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        arguments = Arguments("RedisOperatorChart", name, NAME_MAXIMUM, args, RedisOperatorChartArgs)
        namespace = arguments.name("namespace", "default")
        version = arguments.text(
            "version", DEFAULT_VERSION, _EXACT, "must be an exact version, such as 0.23.0: what runs must not change by itself"
        )
        chart = arguments.text("chart", DEFAULT_CHART, re.compile(r"\S+"), "must be the name, folder, archive or address of a chart")
        repository = _read_repository(arguments, chart)
        values = _merged(_own_values(arguments), _read_values(arguments))
        arguments.finish()
        super().__init__("caches:index:RedisOperatorChart", name, {}, opts)

        k8s.helm.v3.Release(
            name,
            name=name,
            namespace=namespace,
            chart=chart,
            version=version,
            repository_opts={"repo": repository} if repository else None,
            values=values,
            # A release that did not become ready is taken back, so that the next `up` installs it, and finds none in its way.
            atomic=True,
            timeout=_READY_SECONDS,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _read_repository(arguments: Arguments, chart: str) -> str | None:
    repository = arguments.text("repository", DEFAULT_REPOSITORY, _REPOSITORY, "must be an address that begins with http:// or https://")
    # A name has no slash; what has one is where the chart is.
    if "/" not in chart:
        return repository
    if arguments.given("repository"):
        arguments.refuse("repository", f"chart = {chart!r} says itself where the chart is")
    return None


def _own_values(arguments: Arguments) -> dict[str, Any]:
    operator: dict[str, Any] = {"imagePullPolicy": "IfNotPresent"}
    if arguments.given("image"):
        name, _, tag = str(read_image(arguments, "image", f"quay.io/opstree/redis-operator:v{DEFAULT_VERSION}")).rpartition(":")
        if "@" in name:
            arguments.refuse("image", "the chart takes a tag and no digest")
        operator |= {"imageName": name, "imageTag": tag, "initContainerImageTag": tag}
    if namespaces := arguments.texts("watch_namespaces", []):
        for namespace in namespaces:
            if not DNS_LABEL.fullmatch(namespace):
                arguments.refuse("watch_namespaces", f"{namespace!r} is no namespace's name")
        operator["watchNamespace"] = ",".join(namespaces)
    return {
        "redisOperator": operator,
        # With it caches take any image of Redis, and get a configuration before their server starts.
        "featureGates": {"GenerateConfigInInitContainer": True},
        "podSecurityContext": custom_resource.pod_security(_USER),
        "securityContext": custom_resource.container_security(read_only=True),
    }


def _read_values(arguments: Arguments) -> dict[str, Any]:
    values = arguments.value("values", {})
    if not isinstance(values, Mapping):
        arguments.refuse("values", "must be a mapping")
        return {}
    return dict(values)


def _merged(values: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged as Helm does; everything else is replaced."""
    both = {
        key: _merged(cast("dict[str, Any]", values[key]), value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(values.get(key), Mapping)
    }
    return {**values, **over, **both}
