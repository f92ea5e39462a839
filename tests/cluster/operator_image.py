"""The OT operator, built from its module, and as an image in the cluster: its own can't be had."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cluster.deployed import NODE
from common import go_build
from embedded import images, oci
from embedded.layout import Layout

OPERATOR_IMAGE = "caches.test/redis-operator:v0.23.0"


def operator_binary() -> Path:
    return go_build.build(["redis-operator"])["redis-operator"] / "redis-operator"


def load_operator_image(scratch: Path) -> None:
    """Puts the image in every node."""
    oci.write(scratch / "image.tar", OPERATOR_IMAGE, lambda layer: layer.add(operator_binary(), "operator"), {})
    status = json.loads(subprocess.run([NODE, "status", "--json"], check=True, capture_output=True).stdout)
    for node in Layout.of_environment().nodes(len(status["nodes"])):
        images.load(node, OPERATOR_IMAGE, scratch / "image.tar")
