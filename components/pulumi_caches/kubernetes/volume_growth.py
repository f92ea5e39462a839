"""Volumes that are to be larger than they were made."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import ArgumentError
from pulumi_caches.guard import Checked

VOLUME = "data"


def quantity(gib: float) -> str:
    """As Kubernetes writes it."""
    return f"{gib:g}Gi"


def growable(cache: str, facts: Checked, pod: str, way_out: str, opts: pulumi.ResourceOptions) -> Checked | pulumi.Output[Checked]:
    """The same facts, once it is known that the class of this pod's volume lets it grow, where it is to.

    Raises ArgumentError, in the preview too, where the class does not. Reads claim and class, so it needs the right to.
    """
    if not _grown(facts):
        return facts
    claim = f"{facts.now['namespace']}/{_claim(pod)}"
    found = k8s.core.v1.PersistentVolumeClaim.get(f"{cache}-volume-to-grow", claim, opts=opts)

    def check(name: str, allowed: bool | None) -> Checked:
        if not allowed:
            sizes = f"storage_gib: {facts.first['storage_gib']:g} can't become {facts.now['storage_gib']:g}"
            why = f"the volumes' StorageClass {name!r} doesn't let them grow (allowVolumeExpansion)"
            raise ArgumentError(f"{cache!r} can't be changed like that:\n  * {sizes}: {why}\n{way_out}")
        return facts

    def look(spec: Mapping[str, Any]) -> pulumi.Output[Checked]:
        name = spec["storage_class_name"]
        storage_class = k8s.storage.v1.StorageClass.get(f"{cache}-class-of-volume", name, opts=opts)
        # By the engine's own copy: a property that an object has not is unknown in a preview, not None.
        seen = pulumi.runtime.invoke_output("pulumi:pulumi:getResource", {"urn": storage_class.urn})
        return seen.apply(lambda resource: check(name, resource["state"].get("allowVolumeExpansion")))

    return found.spec.apply(look)


def grow_volumes(facts: pulumi.Output[Checked], stateful_set: str, count: int, after: pulumi.ResourceOptions) -> None:
    """Asks for what `storage_gib` says now, where that is more than the volumes of a StatefulSet were made with.

    Creates a patch of each volume's claim, `after` the StatefulSet, whose template has the first size for ever.
    """
    # What a claim asks for can't be taken back, so a patch that is no longer wanted is only forgotten.
    opts = pulumi.ResourceOptions.merge(after, pulumi.ResourceOptions(retain_on_delete=True))
    # By force: the size is a field of the StatefulSet's controller, which never changes it. Without waiting: some drivers grow a
    # volume only when its pod starts again.
    annotations = {"pulumi.com/patchForce": "true", "pulumi.com/skipAwait": "true"}

    def patch(facts: Checked) -> None:
        if not _grown(facts):
            return
        spec = {"resources": {"requests": {"storage": quantity(facts.now["storage_gib"])}}}
        for claim in (_claim(f"{stateful_set}-{ordinal}") for ordinal in range(count)):
            metadata = {"name": claim, "namespace": facts.now["namespace"], "annotations": annotations}
            k8s.core.v1.PersistentVolumeClaimPatch(claim, metadata=metadata, spec=spec, opts=opts)

    # Known in every preview but the first, in which nothing grows.
    facts.apply(patch)


def _grown(facts: Checked) -> bool:
    return bool(facts.now["storage_gib"] != facts.first["storage_gib"])


def _claim(pod: str) -> str:
    return f"{VOLUME}-{pod}"
