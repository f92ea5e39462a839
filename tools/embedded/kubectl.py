"""kubectl as the tools use it: in the control plane's network, which also works while a node is cut off."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from common.console import Failure

from embedded.layout import Layout
from embedded.processes import entering


def succeeds(layout: Layout, *arguments: str) -> bool:
    return _kubectl(layout, *arguments).returncode == 0


def run(layout: Layout, *arguments: str, input: str | None = None) -> str:
    done = _kubectl(layout, *arguments, input=input)
    if done.returncode:
        raise Failure(f"`kubectl {' '.join(arguments)}` ended with {done.returncode}:\n{done.stderr.strip()[-3000:]}")
    return done.stdout


def get(layout: Layout, *arguments: str) -> list[dict[str, Any]]:
    """The objects of a kind; none when the API doesn't answer."""
    done = _kubectl(layout, "get", "--output=json", *arguments)
    return list(json.loads(done.stdout)["items"]) if done.returncode == 0 else []


def _kubectl(layout: Layout, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [*entering(layout.control, mounts=False), str(layout.programs / "kubectl"), "--request-timeout=10s", *arguments]
    environment = {
        **os.environ,
        "KUBECONFIG": str(layout.kubeconfig),
        "KUBECACHEDIR": str(layout.control.run / "kubectl"),
    }
    return subprocess.run(command, input=input, env=environment, capture_output=True, text=True)
