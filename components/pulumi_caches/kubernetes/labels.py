"""Kubernetes' recommended labels, and which of them select."""

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"
# Set by Kubernetes on each pod of a StatefulSet.
POD = "statefulset.kubernetes.io/pod-name"
# Annotation of what backs a cache up or monitors it: the host of its connection, by which `caches doctor` finds it.
CACHE = "pulumi-caches/cache"


def selector(application: str, instance: str, component: str | None = None) -> dict[str, str]:
    """What selects the servers of one cache, or only those of one component of it. Immutable in a StatefulSet."""
    labels = {NAME: application, INSTANCE: instance}
    return labels if component is None else {**labels, COMPONENT: component}


def all_labels(application: str, instance: str, component: str | None, extra: dict[str, str]) -> dict[str, str]:
    """Every label of an object; the person's own can't replace those that select."""
    return {**extra, MANAGED_BY: "pulumi", **selector(application, instance, component)}
