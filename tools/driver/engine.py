"""Finds the Pulumi engine, or brings one: on PATH, else by the official installer, else built from pinned Go modules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import go_build, paths
from common.console import Failure, run, say, step

MINIMUM = (3, 237)
_BUILT = ("pulumi", "pulumi-language-python", "pulumi-language-yaml", "pulumi-resource-kubernetes")
_INSTALLER = "https://get.pulumi.com"
# A network that lets nothing out must not hold `make up` for longer.
_CONNECT_SECONDS = 10
_UNKNOWN = (0, 0)


@dataclass(frozen=True)
class Engine:
    """Where the engine is; `folders` go in front of PATH."""

    folders: tuple[Path, ...]
    built: bool

    def environment(self) -> dict[str, str]:
        """What the engine's processes need in addition."""
        path = os.pathsep.join([*map(str, self.folders), os.environ["PATH"]])
        variables = {"PATH": path, "PULUMI_SKIP_UPDATE_CHECK": "true"}
        if self.built:
            # Its plugins are on PATH; looking for others on the network would only fail, later and less clearly.
            variables["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        return variables


def find() -> Engine:
    """The engine to use. Raises Failure when there is none and none can be had."""
    if on_path := shutil.which("pulumi"):
        version = version_of(Path(on_path))
        if version >= MINIMUM:
            return Engine((), built=False)
        is_what = _text(version) if version > _UNKNOWN else "of an unknown version"
        say(f"the `pulumi` on PATH ({on_path}) is {is_what}; {_text(MINIMUM)} or newer is needed, so another one is used")
    installed = paths.cache() / f"pulumi-{go_build.PULUMI_VERSION}"
    if (installed / "bin" / "pulumi").exists():
        return Engine((installed / "bin",), built=False)
    if not go_build.cached(_BUILT) and _install(installed):
        return Engine((installed / "bin",), built=False)
    return Engine(tuple(go_build.build(_BUILT).values()), built=True)


def version_of(pulumi: Path) -> tuple[int, int]:
    """Major and minor version of a `pulumi` binary; (0, 0) when it does not say."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run([pulumi, "version"], capture_output=True, text=True, errors="replace", env=environment, timeout=30)
    except (OSError, subprocess.TimeoutExpired):  # such as a binary for another machine
        return _UNKNOWN
    found = re.match(r"v?(\d+)\.(\d+)\.\d", done.stdout)
    return (int(found.group(1)), int(found.group(2))) if found else _UNKNOWN


def _install(folder: Path) -> bool:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pulumi-") as scratch:
        try:
            with step("installing Pulumi with its official installer"):
                script = run(["curl", "-fsSL", "--connect-timeout", str(_CONNECT_SECONDS), _INSTALLER]).stdout
                arguments = ["--version", go_build.PULUMI_VERSION, "--install-root", scratch, "--no-edit-path"]
                run(["sh", "-s", "--", *arguments], input=script)
        except (Failure, FileNotFoundError) as error:
            reason = str(error).splitlines()[-1]
            say(f"the installer did not work ({reason}): using Pulumi built from its Go modules (about ten minutes the first time)")
            return False
        # Moved whole, so that an installation that was interrupted is never taken for one.
        folder.mkdir(exist_ok=True)
        Path(scratch, "bin").rename(folder / "bin")
    return True


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
