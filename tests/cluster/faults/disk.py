"""A volume that is full: a small file system in place of a pod's folder, because folders have no size."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.faults.observed import Observed
from embedded import processes
from embedded.layout import Layout

_MIB = 32


@contextmanager
def small(cache: Observed, pod: str) -> Iterator[Path]:
    """Gives a replica's server a small volume, which it fills from the master; the folder where the node has it."""
    claim = cache.get("persistentvolumeclaim", f"data-{pod}")
    spec = cache.get("persistentvolume", claim["spec"]["volumeName"])["spec"]
    folder = Path(spec["hostPath"]["path"] if "hostPath" in spec else spec["local"]["path"])
    _on_node(cache, pod, "mount", "-t", "tmpfs", "-o", f"size={_MIB}m,mode=1777", "tmpfs", str(folder))
    try:
        # A container that is started sees what is mounted there now.
        cache.signal(pod, "server", signal.SIGKILL)
        cache.await_whole(quiet=False)
        yield folder
    finally:
        _on_node(cache, pod, "umount", "--lazy", str(folder))
        # Its server may have given up, and be started again much later.
        cache.replace(pod, "--grace-period=0", "--force")


@contextmanager
def full(cache: Observed, pod: str, folder: Path) -> Iterator[None]:
    """Leaves nothing free in a small volume meanwhile."""
    _on_node(cache, pod, "sh", "-c", f"! dd if=/dev/zero of={folder}/filler bs=64k 2>/dev/null")
    yield
    _on_node(cache, pod, "rm", f"{folder}/filler")


def _on_node(cache: Observed, pod: str, *command: str) -> None:
    node = Layout.of_environment().node(int(cache.node_number(pod)))
    subprocess.run([*processes.entering(node), *command], check=True)
