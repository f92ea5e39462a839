"""Stacks in clouds: for real, with the person's own plugin and login, or in a cloud that is emulated on this machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common import paths
from common.console import Failure

from driver import python_environment

EMULATOR = paths.CHECKOUT / "tests" / "clouds" / "emulator"


@dataclass(frozen=True)
class Cloud:
    """A topology's cloud; `plugin` is its provider in the version that constraints.txt has the SDK of."""

    topology: str
    title: str
    plugin: str
    version: str
    variables: tuple[str, ...]
    """One of them says who the person is."""
    files: tuple[str, ...]
    """In the home folder, one of them does."""
    login: str
    """How to log in."""


CLOUDS = {
    cloud.topology: cloud
    for cloud in (
        Cloud(
            "aws",
            "AWS",
            "aws",
            "7.51.1",
            ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
            (".aws/credentials", ".aws/config"),
            "aws configure sso",
        ),
        Cloud(
            "azure",
            "Azure",
            "azure-native",
            "3.29.0",
            ("ARM_CLIENT_ID", "ARM_USE_MSI", "ARM_USE_OIDC"),
            (".azure/azureProfile.json",),
            "az login",
        ),
        Cloud(
            "gcp",
            "Google Cloud",
            "gcp",
            "10.2.0",
            ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN"),
            (".config/gcloud/application_default_credentials.json",),
            "gcloud auth application-default login",
        ),
    )
}


def emulates(variables: Mapping[str, str]) -> bool:
    """Whether the person wants an emulated cloud."""
    if (emulate := variables.get("EMULATE", "")) not in ("", "0", "1"):
        # The real cloud instead would be the most expensive way to misunderstand it.
        raise Failure(f"EMULATE={emulate}: must be 1 (a cloud emulated on this machine) or empty (the real one)")
    return emulate == "1"


def require_emulator(*, root: bool) -> None:
    """Raises Failure on a machine that can't run an emulated cloud's servers."""
    if platform.system() != "Linux" or not root:
        raise Failure("EMULATE=1: the servers of an emulated cloud are a Debian's, which takes Linux and root (use sudo)")


def require_account(cloud: Cloud, stack: str, variables: Mapping[str, str]) -> None:
    """Raises Failure, naming both ways, where nothing says that the person has an account of the cloud."""
    home = Path(variables.get("HOME") or Path.home())
    missing = []
    plugins = Path(variables.get("PULUMI_HOME") or home / ".pulumi") / "plugins"
    if not shutil.which(f"pulumi-resource-{cloud.plugin}") and not list(plugins.glob(f"resource-{cloud.plugin}-v*")):
        missing.append(f"no plugin of Pulumi's for it (`pulumi plugin install resource {cloud.plugin} {cloud.version}`)")
    if not any(map(variables.get, cloud.variables)) and not any((home / file).exists() for file in cloud.files):
        missing.append(f"no login (`{cloud.login}`, or {' or '.join(cloud.variables)})")
    if missing:
        raise Failure(
            f"stack {stack} is in {cloud.title}, and there is {' and '.join(missing)}. Without an account, EMULATE=1 brings it up in a "
            f"cloud that is emulated on this machine: `make up STACK={stack} EMULATE=1`"
        )


def emulated_folder() -> Path:
    """Where emulated clouds keep what there is in them."""
    return paths.state() / "clouds"


def environment() -> dict[str, str]:
    """What the engine's processes need to find the emulated cloud, and it alone."""
    return {
        "CACHES_EMULATOR": str(emulated_folder()),
        # A plugin on PATH counts before one that is installed, unless this says otherwise.
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "false",
        "ARM_SUBSCRIPTION_ID": "00000000-0000-4000-8000-000000000000",
    }


def emulator(cloud: Cloud, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command of the emulator. Raises Failure when it fails, after it has said why."""
    variables = {"CACHES_EMULATOR": str(emulated_folder()), "PYTHONPATH": str(paths.CHECKOUT / "tests")}
    command = [str(python_environment.PYTHON), "-m", "clouds.emulator", cloud.topology, *words]
    done = subprocess.run(command, env={**os.environ, **variables}, input=given, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failure(f"the emulated {cloud.title} failed at `{words[0]}`, see above")
    return done
