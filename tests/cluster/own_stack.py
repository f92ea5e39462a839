"""The checkout's own stack on the embedded cluster, with a configuration of a test's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cluster.deployed import CHECKOUT, NODE
from common import paths
from embedded.layout import Layout
from engine.program import Program


class OwnStack(Program):
    """One topology of stacks/ in a namespace."""

    def __init__(self, scratch: Path, topology: str, namespace: str) -> None:
        self.namespace = namespace
        folder = scratch / "program"
        shutil.copytree(CHECKOUT / "stacks", folder / "stacks")
        shutil.copy(CHECKOUT / "__main__.py", folder)
        (folder / "Pulumi.yaml").write_text("name: caches\nruntime: python\n")
        layout = Layout.of_environment()
        found = {
            "XDG_STATE_HOME": str(paths.state().parent),
            "CACHES_NODE_INSTANCE": layout.instance,
            "CACHES_KUBECONFIG": str(layout.kubeconfig),
        }
        super().__init__(folder, scratch, found, prefix=[str(NODE), "run", "--"])
        self.configure(topology=topology, namespace=namespace)

    def configure(self, **values: Any) -> None:
        for key, value in values.items():
            self.pulumi("config", "set", f"caches:{key}", value if isinstance(value, str) else json.dumps(value))

    def connections(self) -> dict[str, Any]:
        """By cache."""
        return dict(self.outputs()["connections"])


def kubectl(*words: str, given: str = "") -> str:
    """What kubectl says, which gets something on standard input perhaps."""
    done = subprocess.run([NODE, "kubectl", *words], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
