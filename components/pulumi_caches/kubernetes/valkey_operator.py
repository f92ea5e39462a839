"""What the operator of the Valkey project takes, and the names it gives: api/ and internal/controller of its version 0.5.0."""

from typing import Any

from pulumi_caches.kubernetes import custom_resource, pod
from pulumi_caches.kubernetes.custom_resource import (
    Asked,
    CustomResource,
    Endpoints,
    container_security,
    placement,
    pod_security,
    priority,
    pull_secrets,
)

API_VERSION = "valkey.io/v1alpha1"
# Its configuration needs Valkey 9.
DEFAULT_IMAGE = "docker.io/valkey/valkey:9.0.0"
APPLICATION, SERVER = "valkey", "server"

# Directives of ours that the operator sets itself.
_OPERATORS_DIRECTIVES = ("port", "bind", "protected-mode", "dir")


def resources(asked: Asked) -> list[CustomResource]:
    """The one custom resource."""
    return [CustomResource(API_VERSION, "ValkeyCluster", _cluster(asked), SERVER, "condition=Ready")]


def endpoints(asked: Asked) -> Endpoints:
    """Where clients connect: one headless Service, which has every pod."""
    return Endpoints(f"valkey-{asked.name}", None, [], [], None)


def _cluster(asked: Asked) -> dict[str, Any]:
    persistence = {"size": asked.storage_size, "reclaimPolicy": "Retain" if asked.storage.retained else "Delete"}
    if asked.storage_class is not None:
        persistence["storageClassName"] = asked.storage_class
    return {
        "image": asked.image,
        "shards": asked.shards,
        "replicas": asked.replicas,
        "resources": custom_resource.resources(asked.server),
        "scheduling": {**placement(asked, {"valkey.io/cluster": asked.name}), **priority(asked)},
        # An exporter is a matter of monitoring; this one would be of a version that nobody chose.
        "exporter": {"enabled": False},
        "persistence": persistence,
        "users": [
            {
                "name": "default",
                "enabled": True,
                "passwordSecret": {"name": asked.secret_name, "keys": [asked.secret_key]},
                "permissions": "~* &* +@all",
            }
        ],
        "containers": [{"name": "server", "securityContext": container_security(read_only=True)}],
        "config": _config(asked.config),
        "terminationGracePeriodSeconds": pod.shutdown_seconds(asked.server),
        "podDisruptionBudget": {"mode": "Cluster"},
        "podSecurityContext": pod_security(pod.USER),
        **pull_secrets(asked),
    }


def _config(lines: str) -> dict[str, str]:
    directives = dict(line.split(maxsplit=1) for line in lines.splitlines())
    return {name: value for name, value in directives.items() if name not in _OPERATORS_DIRECTIVES}
