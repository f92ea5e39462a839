"""Volumes that a stack makes for backups (`pvc://NAME/…`), where there is no bucket."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_caches.arguments import DNS_LABEL, Arguments


class BackupClaimArgs(TypedDict):
    """Arguments of one claim."""

    storage_gib: NotRequired[float]
    """Size in GiB, 0.1 to 65536. Default: 10."""
    storage_class: NotRequired[str]
    """StorageClass. Default: the cluster's."""
    storage_retained: NotRequired[bool]
    """Whether it outlives the stack. Default: true."""


def make(name: str, args: Mapping[str, Any], namespace: pulumi.Output[str], opts: pulumi.ResourceOptions) -> None:
    """Creates the PersistentVolumeClaim. Raises ArgumentError with what is wrong with the arguments."""
    arguments = Arguments("backup claim", name, 63, args, BackupClaimArgs)
    storage = f"{int(arguments.number('storage_gib', 10, 0.1, 65_536) * 1024)}Mi"
    storage_class = arguments.text("storage_class", "", DNS_LABEL, "must be a StorageClass's name")
    retained = arguments.flag("storage_retained", True)
    arguments.finish()
    k8s.core.v1.PersistentVolumeClaim(
        name,
        # Many a class makes a volume only when the first backup asks for it.
        metadata={"name": name, "namespace": namespace, "annotations": {"pulumi.com/skipAwait": "true"}},
        spec={
            "access_modes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": storage}},
            **({"storage_class_name": storage_class} if storage_class else {}),
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=retained)),
    )
