"""A Prometheus with its Operator in the cluster, so that monitors and rules mean there what they mean elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from common import go_build

from embedded import images, kubectl, processes
from embedded.layout import Layout, Node

_MODULE = "prometheus-operator"
_NAMESPACE = "monitoring"
# By program, as the operator's own images have them.
_PROGRAMS = {"operator": "prometheus-operator", "prometheus-config-reloader": "prometheus-config-reloader"}


def install(layout: Layout, nodes: Sequence[Node]) -> None:
    """Installs them, or does nothing where they are, and waits until the Prometheus is there."""
    built = go_build.build([_MODULE])[_MODULE]
    for program, repository in _PROGRAMS.items():
        image = f"quay.io/prometheus-operator/{repository}:v{go_build.PROMETHEUS_OPERATOR_VERSION}"
        images.load_program(nodes, image, built / program, f"/bin/{program}")
    # On the server's side: they are too large for the annotation that the other way leaves.
    apply = ("apply", "--server-side", "--force-conflicts")
    kubectl.run(layout, *apply, f"--filename={built / 'definitions'}")
    kubectl.run(layout, "wait", "--for=condition=Established", f"--filename={built / 'definitions'}")
    kubectl.run(layout, *apply, f"--kustomize={built / 'manifests'}")

    def available() -> bool:
        wait = ("wait", f"--namespace={_NAMESPACE}", "--for=condition=Available", "--timeout=1s")
        return kubectl.succeeds(layout, *wait, "deployment/prometheus-operator", "prometheus/caches")

    log = processes.log_file(layout, nodes[0], "kubelet")
    processes.await_ready(layout, [layout.control, *nodes], "Prometheus is available", available, 180, log)
