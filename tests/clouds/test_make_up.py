"""The clouds' stacks as a newcomer without an account runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from availability import unavailable
from clouds.emulator import servers
from common import paths
from driver.clouds import CLOUDS

pytestmark = pytest.mark.engine

STACKS = [cloud for cloud in CLOUDS if (paths.CHECKOUT / f"Pulumi.{cloud}.yaml").exists()]


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_comes_up_serves_and_goes_without_an_account(tmp_path: Path, stack: str) -> None:
    if os.geteuid():
        unavailable("an emulated cloud needs root")
    state = tmp_path / "pulumi-caches"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "CACHES_"))}

    def tool(command: str, *options: str, emulate: str = "1", code: int = 0) -> subprocess.CompletedProcess[str]:
        variables = {"XDG_STATE_HOME": str(tmp_path), "EMULATE": emulate}
        words = [sys.executable, str(paths.TOOLS / "stack"), command, "--stack", stack, *options]
        done = subprocess.run(words, env={**inherited, **variables}, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    try:
        said = tool("up")
        described = tool("status").stdout
        for name in [line.split()[0] for line in said.stdout.splitlines()[-20:] if " yes " in line]:
            assert f"> {name}: " in said.stderr
            assert name in described
        assert ": serves what was written (" in said.stderr
        assert f"This {CLOUDS[stack].title} is emulated on this machine" in described
        assert json.loads(tool("status", "--json").stdout) == {
            **{"stack": stack, "target": f"emulated {stack}", "deployed": True, "pods": []},
        }
        refused = tool("up", emulate="", code=1)
        assert f"stack {stack} is deployed to emulated {stack}, not to cloud {stack}: run this with EMULATE=1" in refused.stderr
        there = json.loads((state / "clouds" / stack / "resources.json").read_text()).values()
        servers.stop(process for each in there for process in each["hidden"].get("processes", []))
        assert "(nobody listens)" in tool("status").stdout
    finally:
        tool("down")
    assert not (state / "clouds" / stack).exists()
    assert f"`make up STACK={stack} EMULATE=1`" in tool("status").stdout
