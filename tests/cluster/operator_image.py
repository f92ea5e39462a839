"""The OT operator's image in the cluster's nodes."""

from __future__ import annotations

import json
import subprocess

from cluster.deployed import NODE
from embedded import redis_operator
from embedded.layout import Layout


def load_operator_image() -> None:
    """Puts it in every node."""
    status = json.loads(subprocess.run([NODE, "status", "--json"], check=True, capture_output=True).stdout)
    redis_operator.load_image(Layout.of_environment().nodes(len(status["nodes"])))
