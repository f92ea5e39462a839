"""The cluster that a stack deploys to: only ever one that was named, never whatever a kubeconfig happens to point at."""

import os

import pulumi
import pulumi_kubernetes as k8s

# Set by `make`: the embedded cluster's kubeconfig, and a folder to render manifests into instead of deploying.
EMBEDDED_VARIABLE = "CACHES_KUBECONFIG"
RENDER_VARIABLE = "CACHES_RENDER"


def renders() -> bool:
    """Whether manifests are rendered into a folder instead of deployed."""
    return bool(os.environ.get(RENDER_VARIABLE))


def provider(context: str | None) -> k8s.Provider:
    """The provider for `context` of the person's kubeconfig, the embedded cluster or a render folder. Raises pulumi.RunError for none."""
    if folder := os.environ.get(RENDER_VARIABLE):
        return k8s.Provider("cluster", render_yaml_to_directory=folder)
    if context := os.environ.get("KUBE_CONTEXT") or context:
        return k8s.Provider("cluster", context=context)
    if kubeconfig := os.environ.get(EMBEDDED_VARIABLE):
        return k8s.Provider("cluster", kubeconfig=kubeconfig)
    raise pulumi.RunError(
        "no cluster was named: set caches:kube_context in the stack's configuration or KUBE_CONTEXT to a context of your kubeconfig, "
        "or use `make up`, which starts a cluster of its own"
    )
