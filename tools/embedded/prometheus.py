"""A Prometheus with its Operator in the cluster, so that monitors and rules mean there what they mean elsewhere."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import go_build

from embedded import images, kubectl, oci, processes
from embedded.layout import Layout, Node

_MODULE = "prometheus-operator"
_NAMESPACE = "monitoring"
# By program, as the operator's own images have them.
_PROGRAMS = {"operator": "prometheus-operator", "prometheus-config-reloader": "prometheus-config-reloader"}


def install(layout: Layout, nodes: Sequence[Node]) -> None:
    """Installs them, or does nothing where they are, and waits until the Prometheus is there."""
    built = go_build.build([_MODULE])[_MODULE]
    for program, repository in _PROGRAMS.items():
        _load(nodes, built / program, f"quay.io/prometheus-operator/{repository}:v{go_build.PROMETHEUS_OPERATOR_VERSION}")
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


def _load(nodes: Sequence[Node], binary: Path, name: str) -> None:
    """Puts an image with one program in it in the nodes."""

    def fill(layer: tarfile.TarFile) -> None:
        layer.add(binary, f"bin/{binary.name}")

    with tempfile.TemporaryDirectory(dir=binary.parent.parent) as scratch:
        archive = Path(scratch, "image.tar")
        oci.write(archive, name, fill, {"Entrypoint": [f"/bin/{binary.name}"]})
        for node in nodes:
            images.load(node, name, archive)
