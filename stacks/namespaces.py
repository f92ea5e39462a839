"""The namespace that a stack makes for its caches."""

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_caches.purpose import Persistence


def make(name: str, with_volumes: Iterable[Mapping[str, Any] | None], opts: pulumi.ResourceOptions) -> k8s.core.v1.Namespace:
    """Creates the namespace, which takes only pods of the restricted Pod Security Standard; arguments of the caches with volumes say more.

    When one of them has volumes that outlive it, the namespace outlives the stack, because volumes end with their namespace. The same
    stack deployed again takes both over.
    """
    retained = any(_keeps_data(args or {}) for args in with_volumes)
    return k8s.core.v1.Namespace(
        name,
        metadata={"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=retained)),
    )


def _keeps_data(args: Mapping[str, Any]) -> bool:
    return bool(args.get("storage_retained", True)) and args.get("persistence") != Persistence.NONE
