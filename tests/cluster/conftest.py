"""These tests run on a cluster of their own, so that nobody's deployed stack is restarted by them, and end it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from availability import unavailable
from cluster.deployed import NODE

os.environ.setdefault("CACHES_NODE_INSTANCE", "test")


@pytest.fixture(scope="session", autouse=True)
def running_nodes() -> Iterator[None]:
    if sys.platform != "linux" or os.geteuid() != 0:
        unavailable("the embedded cluster needs Linux and root")
    subprocess.run([NODE, "up", "--nodes", "3"], check=True)
    yield
    subprocess.run([NODE, "down"], check=True)
