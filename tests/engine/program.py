"""Runs a Pulumi program through the real command line, with nothing of the person's: own state, home folder and plugins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from availability import unavailable
from common.console import Failure
from driver import engine

STACK = "test"
# Far more than any command of the tests or the benchmark takes; one that hangs must not hang CI.
_SECONDS = 900


class Program:
    """The program in `folder`, which gets the stack's settings file and must therefore be a copy; `scratch` holds all else.

    `prefix` goes before every command, such as one that enters the cluster's network.
    """

    def __init__(self, folder: Path, scratch: Path, environment: Mapping[str, str] | None = None, prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self._prefix = prefix
        self.environment = {**_isolated(scratch), **(environment or {})}
        self.pulumi("stack", "init", STACK)

    def pulumi(self, *arguments: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        """Any command of `pulumi`; asserts that it succeeds, or that it fails."""
        words = [*self._prefix, "pulumi", *arguments, "--non-interactive", "--color", "never"]
        with subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate(timeout=_SECONDS)
            finally:
                _end_session(process.pid)
        done = subprocess.CompletedProcess(words, process.returncode, output, errors)
        said = f"`pulumi {' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert (done.returncode == 0) is succeeds, said
        return done

    def up(self, *arguments: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, succeeds=succeeds)

    def preview(self, *arguments: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("preview", *arguments, succeeds=succeeds)

    def refresh(self, *arguments: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("refresh", "--yes", "--skip-preview", *arguments, succeeds=succeeds)

    def destroy(self, *arguments: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("destroy", "--yes", "--skip-preview", *arguments, succeeds=succeeds)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in the clear."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", "--show-secrets").stdout))

    def export(self) -> list[dict[str, Any]]:
        """The resources in the state, secrets encrypted."""
        return list(json.loads(self.pulumi("stack", "export").stdout)["deployment"].get("resources", []))


def _end_session(session: int) -> None:
    """Ends what a command has left running: the engine forgets the host of a component package."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            os.kill(int(stat.parent.name), signal.SIGKILL)


@cache
def _engine() -> engine.Engine:
    try:
        return engine.find()
    except Failure as failure:
        unavailable(f"the Pulumi engine can't be had: {failure}")


def _isolated(scratch: Path) -> dict[str, str]:
    """An environment without anything that leads to the person's own state, cluster or accounts."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "KUBE", "CACHES_"))}
    found = _engine().environment()
    folders = {name: scratch / name for name in ("home", "pulumi", "state")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {
        **inherited,
        **found,
        # The programs' interpreter is the one that runs the tests.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), found["PATH"]]),
        "HOME": str(folders["home"]),
        "PULUMI_HOME": str(folders["pulumi"]),
        "PULUMI_BACKEND_URL": f"file://{folders['state']}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        # An Output put into an f-string is a mistake that would otherwise only be seen in the manifest.
        "PULUMI_ERROR_OUTPUT_STRING": "true",
    }
