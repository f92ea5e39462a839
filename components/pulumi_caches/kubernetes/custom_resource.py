"""A cache as an operator is asked for it: what the custom resources of every operator are rendered from, and what they share.

Custom resources are not translated by the Kubernetes SDK: their keys are those of the API, in camelCase. Functions of plain
data; Outputs only pass through.
"""

import math
from dataclasses import dataclass
from typing import Any

import pulumi

from pulumi_caches.kubernetes import pod
from pulumi_caches.kubernetes.placement import Placement, pod_placement
from pulumi_caches.kubernetes.server import Server
from pulumi_caches.kubernetes.storage import Storage

# With it the provider waits until the operator says in the resource that the cache is ready.
WAIT_FOR = "pulumi.com/waitFor"
# Mappings whose keys are the person's.
_OPAQUE = ("match_labels", "node_selector")


@dataclass(frozen=True)
class Asked:
    """A checked cache."""

    name: str
    server: Server
    image: pulumi.Input[str]
    config: str
    """The server's configuration, one directive a line."""
    config_map: str
    """Name of the ConfigMap that has it, for operators that take it from one."""
    shards: int
    """0 in mode sentinel."""
    replicas: int
    """Of each primary."""
    sentinels: int
    """0 in mode cluster."""
    sentinel_image: pulumi.Input[str]
    storage: Storage
    storage_size: pulumi.Input[str]
    storage_class: pulumi.Input[str] | None
    secret_name: pulumi.Input[str]
    secret_key: pulumi.Input[str]
    placement: Placement
    priority_class_name: pulumi.Input[str] | None
    evictable: bool


@dataclass(frozen=True)
class CustomResource:
    """One custom resource, named like the cache."""

    api_version: str
    kind: str
    spec: dict[str, Any]
    component: str
    """What its pods are: the label."""
    ready: str | None
    """What the operator says in it when the cache is ready, as WAIT_FOR takes it; None when it says nothing."""


@dataclass(frozen=True)
class Endpoints:
    """The names of an operator's Services in the namespace, and of pods as POD.SERVICE:PORT."""

    host: str
    reader_host: str | None
    nodes: list[str]
    sentinels: list[str]
    master_name: str | None


def resources(server: Server) -> dict[str, Any]:
    """A server's requests and limits."""
    memory = mebibytes(server.memory_mib)
    limits = {"memory": memory}
    if server.cpu_limit is not None:
        limits["cpu"] = cores(server.cpu_limit)
    return {"requests": {"cpu": cores(server.cpu_request), "memory": memory}, "limits": limits}


# Quantities are spelled as Kubernetes spells them. An operator that writes a resource back respells all others, owns them
# from then on, and the provider refuses to change what somebody else owns.
def cores(number: float) -> str:
    """CPUs, in thousandths where need be."""
    # Rounded first: 0.07 is 70.00000000000001 thousandths.
    thousandths = math.ceil(round(number * 1000, 6))
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


def mebibytes(number: int) -> str:
    """Memory or storage, in the largest unit that gives a whole number."""
    units = ["Mi", "Gi", "Ti"]
    while number % 1024 == 0 and len(units) > 1:
        number, units = number // 1024, units[1:]
    return f"{number}{units[0]}"


def placement(asked: Asked, selector: dict[str, str]) -> dict[str, Any]:
    """The placement's part of a spec; `selector` matches the pods to keep apart."""
    spec: dict[str, Any] = camel_case(pod_placement(asked.placement, selector))
    return spec


def priority(asked: Asked) -> dict[str, Any]:
    """The priority's part of a spec."""
    return {} if asked.priority_class_name is None else {"priorityClassName": asked.priority_class_name}


def pull_secrets(asked: Asked) -> dict[str, Any]:
    """The part of a spec for private registries."""
    secrets = [{"name": secret} for secret in asked.server.image_pull_secrets]
    return {"imagePullSecrets": secrets} if secrets else {}


def pod_security(user: int) -> dict[str, Any]:
    """A pod's part of the restricted Pod Security Standard, as the user that the image has been made for."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security(read_only: bool) -> dict[str, Any]:
    """A container's part; `read_only` says whether the image can do without writing to its root file system."""
    return {**camel_case(pod.CONTAINER_SECURITY), "readOnlyRootFilesystem": read_only}


def camel_case(value: Any) -> Any:
    """A value as the API has it."""
    if isinstance(value, dict):
        return {_camel_case(key): item if key in _OPAQUE else camel_case(item) for key, item in value.items()}
    return [camel_case(item) for item in value] if isinstance(value, list) else value


def _camel_case(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(other.capitalize() for other in others)
