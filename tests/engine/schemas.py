"""JSON schemas of Kubernetes' own types, from the API description of the version that the embedded cluster runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml
from common import go_build

# Described as text, but numbers are as good.
_NUMBER_OR_TEXT = {"io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity"}


def validate(manifests: Path, schemas: Path) -> subprocess.CompletedProcess[str]:
    """kubeconform over a folder of manifests; `schemas` is where `write` put them."""
    kubeconform = go_build.build(["lint"])["lint"] / "kubeconform"
    location = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    return subprocess.run([kubeconform, "-strict", "-summary", "-schema-location", location, manifests], capture_output=True, text=True)


def write(folder: Path) -> None:
    """One file per kind, named as kubeconform looks for it; unknown fields are errors."""
    definitions = json.loads((go_build.build(["node"])["node"] / "openapi.json").read_text())["definitions"]
    for name, definition in definitions.items():
        if name in _NUMBER_OR_TEXT:
            definition["type"] = ["string", "number"]
        elif "properties" in definition and "additionalProperties" not in definition:
            definition["additionalProperties"] = False
    shared = folder / "definitions.json"
    shared.write_text(json.dumps({"definitions": definitions}))
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            (folder / _file_name(kind)).write_text(json.dumps({"$ref": f"{shared.name}#/definitions/{name}"}))


def write_custom(folder: Path, definitions: Path) -> None:
    """The same for the kinds of custom resource definitions in another folder."""
    for file in definitions.glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        for version in spec["versions"]:
            kind = {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}
            (folder / _file_name(kind)).write_text(json.dumps(_strict(version["schema"]["openAPIV3Schema"])))


def _strict(schema: Any) -> Any:
    """A schema for which unknown fields are errors, as they are for an API server that is asked to be strict."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(part) for key, part in schema.items()}
    # A property may have that name too; a schema's is a mapping of schemas.
    if isinstance(schema.get("properties"), dict) and "type" in schema and "additionalProperties" not in schema:
        strict["additionalProperties"] = False
    return strict


def _file_name(kind: dict[str, Any]) -> str:
    group = f"-{kind['group'].partition('.')[0]}" if kind["group"] else ""
    return f"{kind['kind'].lower()}{group}-{kind['version']}.json"
