"""What the tools say to a wrong command, setting or Python: real commands, which must refuse before they change anything."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from availability import unavailable
from common import go_build, paths
from driver import engine, stack_cli
from unit.person import forget_settings

TOOLS = paths.TOOLS
NODE_COMMANDS = ("up", "stop", "down", "status", "run", "kubectl", "images", "cut", "heal", "restart", "prometheus")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    forget_settings(monkeypatch, tmp_path)
    return tmp_path


def tool(*words: str, tools: Path = TOOLS, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `tools/WORDS` as a person would."""
    command = [sys.executable, str(tools / words[0]), *words[1:]]
    return subprocess.run(command, env={**os.environ, **(variables or {})}, capture_output=True, text=True, timeout=60)


# The Python that runs the tools


@pytest.mark.parametrize("name", ["stack", "node", "build", "lint"])
def test_a_python_that_is_too_old_is_refused_in_one_line(name: str) -> None:
    older = f"import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path({str(TOOLS / name)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", older], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: Python 3.9 is too old: 3.11 or newer is needed (`make PYTHON=python3.11 …` names one)\n"


@pytest.mark.parametrize("name", ["stack", "node", "build", "lint", "common/__init__.py", "driver/__init__.py", "embedded/__init__.py"])
def test_what_an_old_python_reads_before_it_is_refused_has_no_newer_syntax(name: str) -> None:
    ast.parse((TOOLS / name).read_text(), feature_version=(3, 7))


# The commands


@pytest.mark.parametrize("command", ["up", "preview", "down", "status", "password"])
def test_a_stack_that_does_not_exist_is_refused_before_anything_is_made(home: Path, command: str) -> None:
    shutil.copytree(TOOLS, home / "checkout" / "tools", ignore=shutil.ignore_patterns("__pycache__", "go"))
    for name in ("dev", "prod"):
        (home / "checkout" / f"Pulumi.{name}.yaml").touch()
    done = tool("stack", command, "--stack", "nope", tools=home / "checkout" / "tools", variables={"XDG_CACHE_HOME": str(home / "cache")})
    assert done.returncode == 1
    assert done.stderr == "error: STACK=nope: there is no Pulumi.nope.yaml; there are: dev, prod\n"
    assert done.stdout == ""
    assert not (home / "checkout" / ".venv").exists()
    assert not (home / "cache").exists()
    assert not (home / "state").exists()


@pytest.mark.parametrize(
    ("words", "variables", "code", "message"),
    [
        (["stack"], {}, 2, "the following arguments are required: COMMAND"),
        (["stack", "upp"], {}, 2, "invalid choice: 'upp' (choose from 'up', "),
        (["stack", "up", "--cache", "nope"], {}, 2, "unrecognized arguments: --cache nope"),
        (["stack", "status"], {"STACK": "nope"}, 1, "error: STACK=nope: there is no Pulumi.nope.yaml"),
        (["stack", "status"], {"RENDER": "true"}, 1, "error: RENDER=true: must be 1"),
        (["stack", "status"], {"EMULATE": "true"}, 1, "error: EMULATE=true: must be 1"),
        (["stack", "up"], {"EMULATE": "1"}, 1, "error: EMULATE=1: stack dev is in no cloud; topologies that are: aws, azure, gcp"),
        (["stack", "up"], {"STACK": "gcp", "RENDER": "1"}, 1, "error: RENDER=1: stack gcp is in Google Cloud"),
        (["stack", "up"], {"STACK": "gcp", "HOME": "/nonexistent"}, 1, "Without an account, EMULATE=1 brings it up"),
        (["stack", "doctor"], {"STACK": "nope"}, 2, "error: STACK=nope: there is no Pulumi.nope.yaml"),
        (["stack", "doctor"], {"RENDER": "1"}, 2, "error: RENDER=1: manifests are only rendered, nothing runs that could be looked at"),
        (["stack", "password", "--cache", "nope"], {"RENDER": "1"}, 1, "error: stack dev is not deployed: `make up STACK=dev`"),
        (
            ["stack", "password"],
            {"RENDER": "1", "PULUMI_BACKEND_URL": "file:///nowhere/at/all"},
            1,
            "error: the stacks could not be listed: ",
        ),
        (["build", "nope"], {}, 2, "unknown module 'nope'; there are pulumi, pulumi-language-python, "),
        (["node"], {}, 2, "the following arguments are required: COMMAND"),
        (["node", "upp"], {}, 2, "invalid choice: 'upp'"),
        (["node", "run"], {}, 2, "the following arguments are required: COMMAND"),
        (["node", "run", "--"], {}, 1, "error: no command was given: tools/node run COMMAND …"),
        (["node", "cut", "first"], {}, 2, "argument N: invalid int value: 'first'"),
        (["node", "up", "--nodes", "9"], {}, 1, "error: a cluster of 9 nodes isn't possible: choose 1 to 5"),
        (["node", "up"], {"NODES": "0"}, 1, "error: a cluster of 0 nodes isn't possible: choose 1 to 5"),
        (["node", "up"], {"NODES": "three"}, 1, "error: NODES='three' is no number of nodes: choose 1 to 5"),
        (["node", "run", "true"], {}, 1, "error: node-1 isn't running: start the cluster with `tools/node up`"),
        (
            ["node", "status"],
            {"CACHES_NODE_INSTANCE": "No. 3"},
            1,
            "error: CACHES_NODE_INSTANCE='No. 3' can't name a cluster: use up to 16",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_command_is_refused(words: list[str], variables: Mapping[str, str], code: int, message: str) -> None:
    if words[0] == "node" and code == 1 and os.geteuid() != 0:
        unavailable("the embedded cluster needs root")
    if words[:2] == ["stack", "password"] and not (shutil.which("pulumi") or go_build.cached(engine._BUILT)):
        unavailable("the engine has not been built yet (tools/build)")
    done = tool(*words, variables={"CACHES_NODE_INSTANCE": "unused", **variables})
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (code, "")


@pytest.mark.parametrize(
    "words",
    [("build",), ("stack",), ("node",), *(("stack", name) for name in stack_cli._COMMANDS), *(("node", name) for name in NODE_COMMANDS)],
    ids=" ".join,
)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    done = tool(*words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
