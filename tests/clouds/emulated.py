"""A stack of the project through the real engine, in an emulated cloud."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from caches_runtime.client import BudgetSpentError
from clouds.emulator.client import open_client
from clouds.emulator.cloud import Cloud
from clouds.emulator.faults import Fault, Faults
from common import paths
from common.waiting import until
from driver.clouds import CLOUDS
from engine.program import Program
from redis.exceptions import NoPermissionError

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).parent / "emulator" / "bin"
PROGRAM = CHECKOUT / "tests" / "programs" / "cloud"


class Emulated(Program):
    """One stack of a topology."""

    def __init__(self, scratch: Path, topology: str, **variables: str) -> None:
        cloud = CLOUDS[topology]
        self.cloud = scratch / "cloud" / topology
        self.cloud.mkdir(parents=True, exist_ok=True)
        folder = scratch / "program"
        shutil.copytree(PROGRAM, folder)
        project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        project["plugins"] = {"providers": [{"name": cloud.plugin, "path": str(PLUGINS), "version": cloud.version}]}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        # The emulator's servers are in the cache of builds.
        shared = {"CACHES_EMULATOR": str(self.cloud.parent), "PYTHONPATH": str(CHECKOUT), "XDG_CACHE_HOME": str(paths.cache().parent)}
        super().__init__(folder, scratch, {**shared, **variables})
        self.pulumi("config", "set", "caches:topology", topology)

    def configure(self, **keys: Any) -> None:
        """Sets keys of the stack."""
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items()}
        self.pulumi("config", "set-all", *(f"--plaintext=caches:{key}={text}" for key, text in texts.items()))

    def resources(self) -> dict[str, Any]:
        """What there is in the cloud, by id."""
        file = self.cloud / "resources.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def fail(self, token: str, fault: str) -> None:
        """Gives the cloud a fault, once."""
        Faults(self.cloud).set(Fault(fault, token, once=True))

    def client(self, name: str, **options: Any) -> Any:
        """A client of a cache, by its exported connection."""
        return open_client(Cloud(self.cloud, {}, {}), self.outputs()["connections"][name], **options)

    def works(self, name: str) -> bool:
        """Whether a client reads what it has written, by the exported connection."""
        with self.client(name, budget=10) as client:
            client.set("greeting", b"hello")
            return bool(client.get("greeting") == b"hello")

    def follows(self, copy: str, primary: str) -> bool:
        """Whether a cache has what is written in another one, and is only read."""
        with self.client(primary, budget=10) as written, self.client(copy, budget=10) as read:
            value = secrets.token_bytes()
            written.set("copied", value)
            came = until(lambda: read.get("copied") == value, 60)
            with pytest.raises((BudgetSpentError, NoPermissionError), match=r"ReadOnlyError|no permissions"):
                read.set("copied", b"other")
            return came

    def planned(self, token: str) -> str:
        """What a preview would do with the one resource of a type."""
        steps = json.loads(self.preview("--json").stdout)["steps"]
        [step] = [each["op"] for each in steps if f"${token}::" in each["urn"] and each["op"] in ("same", "update", "replace")]
        return str(step)

    def only(self, token: str) -> dict[str, Any]:
        """The one resource of a type that is in the cloud."""
        [found] = [each for each in self.resources().values() if each["token"] == token]
        return dict(found)

    def command(self, *words: str) -> str:
        """What a command of the emulator says that a person types."""
        variables = {**os.environ, "CACHES_EMULATOR": str(self.cloud.parent), "PYTHONPATH": str(CHECKOUT / "tests")}
        command = [sys.executable, "-m", "clouds.emulator", self.cloud.name, *words]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stderr

    def end(self) -> None:
        """Ends every server that is left."""
        Cloud(self.cloud, {}, {}).remove()
