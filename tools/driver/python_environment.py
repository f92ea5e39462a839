"""The virtual environment with everything that the stacks and the tests import."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import sys
from pathlib import Path

from common import paths
from common.console import Failure, step

FOLDER = paths.CHECKOUT / ".venv"
PYTHON = FOLDER / "bin" / "python"
_INPUTS = ("requirements.txt", "constraints.txt", "components/pyproject.toml", "runtime/pyproject.toml")


def ensure() -> None:
    """Creates the environment, or brings it up to date; does nothing when its inputs are what it was made from."""
    stamp = FOLDER / "made-from"
    wanted = _digest()
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    with step("creating the Python environment (.venv)"):
        _python(sys.executable, "-m", "venv", *_clear(), str(FOLDER))
        # What is imported is compiled then: of the clouds' packages that is little.
        _python(str(PYTHON), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", "-r", "requirements.txt")
        stamp.write_text(wanted)


def _clear() -> list[str]:
    # Over the environment of another Python, venv would keep that Python's links and the packages built for it.
    described = FOLDER / "pyvenv.cfg"
    same = described.exists() and f"version = {platform.python_version()}\n" in described.read_text()
    return ["--clear"] if FOLDER.exists() and not same else []


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in _INPUTS:
        digest.update((paths.CHECKOUT / name).read_bytes())
    return digest.hexdigest()


def _python(*command: str, folder: Path = paths.CHECKOUT) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise Failure(explain(done.stderr or done.stdout))


def explain(output: str) -> str:
    """What a person can do about a failed installation."""
    tail = "\n".join(output.strip().splitlines()[-8:])
    if "No space left on device" in output:
        return f"the disk is full: free some space, then run the same command again\n{tail}"
    if package := re.search(
        r"(?:No matching distribution found for|Could not find a version that satisfies the requirement) (\S+)", output
    ):
        return (
            f"the Python package {package.group(1)} could not be downloaded: check the network and pip's index "
            f"(`pip config list`), then run the same command again\n{tail}"
        )
    return f"the Python environment could not be made:\n{tail}"
