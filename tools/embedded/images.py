"""Puts images in the nodes, under the names that stacks use. Nothing is pulled: there is no registry to pull from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedded import busybox, image, oci
from embedded.layout import Node
from embedded.processes import inside

# The versions are the ones that Debian has.
DEFAULT_IMAGES = (
    "docker.io/library/redis:8.0.2",
    "docker.io/valkey/valkey:8.1.1",
    "docker.io/library/memcached:1.6.38",
    # The official image with the proxy, which Debian's 1.6.38 has too.
    "docker.io/library/memcached:1.6.45",
    "docker.io/library/haproxy:3.0.11",
    "docker.io/oliver006/redis_exporter:v1.86.0",
    "docker.io/prom/memcached-exporter:v0.14.3",
    "docker.io/prom/blackbox-exporter:v0.26.0",
    "docker.io/prom/prometheus:v2.53.3",
    "docker.io/pulumicaches/caches-runtime:0.1.0",
)


def build() -> None:
    """So that a start isn't held up in the middle."""
    busybox.archive()
    image.archive()


def put(nodes: Sequence[Node], names: Sequence[str]) -> None:
    """Puts the busybox image and the Debian image in the nodes, the latter also under these names."""
    build()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: _put(node, [full_name(name) for name in names]), nodes))


def load_program(nodes: Sequence[Node], name: str, binary: Path, place: str) -> None:
    """Puts an image in the nodes that has one program, at this path, and runs it."""
    with tempfile.TemporaryDirectory(dir=binary.parent.parent) as scratch:
        archive = Path(scratch, "image.tar")
        oci.write(archive, name, lambda layer: layer.add(binary, place.removeprefix("/")), {"Entrypoint": [place]})
        for node in nodes:
            load(node, name, archive)


def full_name(name: str) -> str:
    """As containerd and the kubelet spell it: `redis:8` is `docker.io/library/redis:8`."""
    registry, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not any(mark in registry for mark in ".:") and registry != "localhost":
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _put(node: Node, names: Sequence[str]) -> None:
    load(node, busybox.BUSYBOX, busybox.archive())
    archive = image.archive()
    present = load(node, image.NAME, archive)
    wanted = [name for name in names if present.get(name) != oci.digest(archive)]
    if wanted:
        _images(node, "tag", "--force", image.NAME, *wanted)


def load(node: Node, name: str, archive: Path) -> dict[str, str]:
    """Puts the image of an archive in a node, unless it is there; the images that were there, by name."""
    present = _present(node)
    if present.get(name) != oci.digest(archive):
        _images(node, "import", archive)
    return present


def _present(node: Node) -> dict[str, str]:
    """Name and digest of each image."""
    lines = _images(node, "list").splitlines()[1:]
    return {fields[0]: fields[2] for fields in (line.split() for line in lines)}


def _images(node: Node, *arguments: str | Path) -> str:
    return inside(node, "ctr", "--address", node.containerd_socket, "--namespace", "k8s.io", "images", *arguments).stdout
