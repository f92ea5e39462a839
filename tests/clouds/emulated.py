"""A stack of the project through the real engine, in the emulated cloud."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from clouds.emulator.azure_servers import stop
from engine.program import Program

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).parent / "emulator" / "bin"
PROGRAM = CHECKOUT / "tests" / "programs" / "cloud"
AZURE_VERSION = "3.29.0"


class Emulated(Program):
    """One stack; `config` are its keys."""

    def __init__(self, scratch: Path, cloud: Path, topology: str) -> None:
        self.cloud = cloud
        cloud.mkdir(parents=True, exist_ok=True)
        folder = scratch / "program"
        shutil.copytree(PROGRAM, folder)
        project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        project["plugins"] = {"providers": [{"name": "azure-native", "path": str(PLUGINS), "version": AZURE_VERSION}]}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        variables = {
            "CACHES_EMULATOR": str(cloud),
            "PYTHONPATH": str(CHECKOUT),
            "ARM_SUBSCRIPTION_ID": "00000000-0000-4000-8000-000000000000",
        }
        super().__init__(folder, scratch, variables)
        self.pulumi("config", "set", "caches:topology", topology)

    def configure(self, **keys: Any) -> None:
        """Sets keys of the stack."""
        for key, value in keys.items():
            self.pulumi("config", "set", f"caches:{key}", value if isinstance(value, str) else json.dumps(value))

    def resources(self) -> dict[str, Any]:
        """What there is in the cloud, by id."""
        file = self.cloud / "azure" / "resources.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def fail(self, token: str, fault: str) -> None:
        """Gives the cloud a fault, once."""
        (self.cloud / "azure").mkdir(exist_ok=True)
        (self.cloud / "azure" / "faults.json").write_text(json.dumps({token: fault}))

    def end(self) -> None:
        """Ends every server that is left."""
        stop(process for resource in self.resources().values() for process in resource["hidden"].get("processes", []))
