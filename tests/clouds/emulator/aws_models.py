"""Checks inputs against AWS's own published models: botocore's shapes, and cfn-lint's kinds of nodes and versions of engines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from botocore.session import Session  # type: ignore[import-untyped]

Problems = Iterator[tuple[str, str]]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "double": (int, float),
    "float": (int, float),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}


def problems(service: str, operation: str, inputs: Mapping[str, Any], names: Mapping[str, str]) -> Problems:
    """What is wrong with inputs of the SDK for Pulumi, as a request to AWS; `names`: those that it calls otherwise."""
    shape = _request(service, operation)
    given = {names.get(key, _upper(key)): (key, value) for key, value in inputs.items()}
    for name, (key, value) in given.items():
        if name not in shape.members:
            yield key, "there is no such property"
        else:
            yield from _value_problems(key, value, shape.members[name])
    words = {api: key for key, api in names.items()}
    for name in shape.required_members:
        if name not in given:
            yield words.get(name, name[0].lower() + name[1:]), "is required"


def _value_problems(key: str, value: Any, shape: Any) -> Problems:
    if value is None:
        return
    wanted = _TYPES.get(shape.type_name)
    if wanted and (not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)):
        yield key, f"{value!r} is no {shape.type_name}"
        return
    if (enum := getattr(shape, "enum", None)) and value not in enum:
        yield key, f"{value!r} is none of {', '.join(enum)}"
    if (pattern := shape.metadata.get("pattern")) and not re.fullmatch(pattern, str(value)):
        yield key, f"{value!r} does not match {pattern}"
    size = len(value) if isinstance(value, str | list) else value
    if isinstance(size, int | float) and not isinstance(size, bool):
        if (least := shape.metadata.get("min")) is not None and size < least:
            yield key, f"{value!r} is less than {least}"
        if (most := shape.metadata.get("max")) is not None and size > most:
            yield key, f"{value!r} is more than {most}"
    if shape.type_name == "list":
        for item in value:
            yield from _value_problems(key, item, shape.member)
    if shape.type_name == "structure":
        for field, item in value.items():
            name = _upper(field)
            if name not in shape.members:
                yield f"{key}.{field}", "there is no such property"
            else:
                yield from _value_problems(f"{key}.{field}", item, shape.members[name])


@cache
def node_types(region: str) -> list[str]:
    """Kinds of nodes that a region has."""
    table = _extension("cachenodetype_enum")
    return list(table.get(region, {}).get("enum", []))


@cache
def versions(engine: str) -> list[str]:
    """Versions of an engine."""
    for rule in _extension("engine_version")["allOf"]:
        if rule["if"]["properties"]["Engine"].get("const") == engine:
            return list(rule["then"]["properties"]["EngineVersion"]["enum"])
    return []


def _extension(name: str) -> dict[str, Any]:
    file = resources.files("cfnlint") / "data" / "schemas" / "extensions" / "aws_elasticache_cachecluster" / f"{name}.json"
    return dict(json.loads(file.read_text()))


@cache
def _request(service: str, operation: str) -> Any:
    return Session().get_service_model(service).operation_model(operation).input_shape


def _upper(name: str) -> str:
    return name[0].upper() + name[1:]
