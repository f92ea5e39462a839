"""The OT operator in the cluster, so that the custom resources it knows become servers there too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from common import go_build

from embedded import images, kubectl, processes
from embedded.layout import Layout, Node

_PROGRAM = "redis-operator"
IMAGE = f"caches.test/{_PROGRAM}:v0.23.0"


def install(layout: Layout, nodes: Sequence[Node]) -> None:
    """Installs it with its custom resource definitions, or does nothing where it is, and waits until it runs."""
    load_image(nodes)
    definitions = go_build.build(["operator-crds"])["operator-crds"] / "*.yaml"
    # On the server's side: they are too large for the annotation that the other way leaves.
    kubectl.run(layout, "apply", "--server-side", "--force-conflicts", f"--filename={definitions}")
    kubectl.run(layout, "wait", "--for=condition=Established", f"--filename={definitions}")
    kubectl.run(layout, "apply", "--filename=-", input=json.dumps(_manifest()))

    def available() -> bool:
        wait = ("wait", f"--namespace={_PROGRAM}", "--for=condition=Available", "--timeout=1s")
        return kubectl.succeeds(layout, *wait, f"deployment/{_PROGRAM}")

    log = processes.log_file(layout, nodes[0], "kubelet")
    processes.await_ready(layout, [layout.control, *nodes], "the operator is available", available, 120, log)


def load_image(nodes: Sequence[Node]) -> None:
    """Puts its image in the nodes: its own can't be had."""
    images.load_program(nodes, IMAGE, go_build.build([_PROGRAM])[_PROGRAM] / _PROGRAM, "/operator")


def _manifest() -> dict[str, Any]:
    named = {"name": _PROGRAM, "namespace": _PROGRAM}
    labels = {"app.kubernetes.io/name": _PROGRAM}
    container = {
        "name": "manager",
        "image": IMAGE,
        # With the gate it makes the servers' configuration itself, and does not need images of its own.
        "command": ["/operator", "manager", "--feature-gates=GenerateConfigInInitContainer=true", "--enable-webhooks=false"],
        "env": [{"name": "INIT_CONTAINER_IMAGE", "value": IMAGE}],
    }
    pod = {"serviceAccountName": _PROGRAM, "containers": [container]}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _PROGRAM}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
            # A cluster of one person, with nothing in it that this would have to be kept from.
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": _PROGRAM},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "ServiceAccount", **named}],
            },
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": named,
                "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
            },
        ],
    }
