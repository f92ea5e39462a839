"""A component through the real engine and the real provider, which renders manifests instead of sending them."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import golden
import yaml
from engine import schemas
from engine.program import Program

PROGRAM = Path(__file__).resolve().parents[1] / "programs" / "component"


class Rendered(Program):
    """One component named `cache`, with a folder that it is rendered into."""

    def __init__(self, scratch: Path, component: str) -> None:
        self.manifests = scratch / "manifests"
        shutil.copytree(PROGRAM, scratch / "program")
        # Whatever kubeconfig lies around must not be asked for anything.
        super().__init__(scratch / "program", scratch, {"KUBECONFIG": ""})
        self.pulumi("config", "set", "render", str(self.manifests))
        self.pulumi("config", "set", "component", component)

    def arguments(self, **args: Any) -> None:
        self.pulumi("config", "set", "args", json.dumps(args))

    def back_up(self, **args: Any) -> None:
        """Backs the component up, with these arguments of CacheBackup."""
        self.pulumi("config", "set", "backup", json.dumps(args))

    def warm_up(self, **args: Any) -> None:
        """Fills the component, with these arguments of CacheWarmup."""
        self.pulumi("config", "set", "warmup", json.dumps(args))

    def documents(self) -> dict[str, Any]:
        return {path.name: yaml.safe_load(path.read_text()) for path in sorted(self.manifests.rglob("*.yaml"))}

    def check(self, reviewed: Path, kubernetes_schemas: Path, only: str = "") -> None:
        """Fails unless the manifests are valid for Kubernetes and what was reviewed, without secrets and scripts.

        `only` is what the names of those have in them that are looked at.
        """
        checked = schemas.validate(self.manifests, kubernetes_schemas)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        documents = {name: document for name, document in self.documents().items() if only in name}
        for document in documents.values():
            data = document.get("data") or {}
            if document["kind"] == "Secret":
                document["data"] = {key: f"{len(base64.b64decode(value))} characters" for key, value in data.items()}
            if document["kind"] == "ConfigMap":
                # The scripts are files of their own in the repository.
                settings = {key: text for key, text in data.items() if not key.endswith(".sh")}
                document["data"] = {**settings, "scripts": sorted(data.keys() - settings.keys())}
        text = yaml.safe_dump_all(documents.values(), sort_keys=True, width=140)
        # Named by their content, which changes with every edit of a script, or by the engine.
        text = re.sub(r"-config-[0-9a-f]{10}", "-config-HASH", text)
        golden.check(reviewed, re.sub(r"-files-[0-9a-f]{8}", "-files-RANDOM", text))
