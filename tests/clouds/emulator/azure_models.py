"""Checks inputs against Azure's own published models: azure-mgmt-redis and azure-mgmt-redisenterprise.

The packages' serializer lets nearly everything pass. So what their classes say is read here: names of properties, which of them are
needed or only come back, types, patterns, and the enums, which only the docstrings name.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any

_PLAIN: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "bool": bool, "duration": str}


@dataclass(frozen=True)
class Property:
    """What a model says of one property."""

    kind: str
    required: bool
    readonly: bool
    pattern: str | None
    values: list[str] | None


def problems(model: type, inputs: dict[str, Any], where: str = "") -> Iterator[tuple[str, str]]:
    """What is wrong with a resource's inputs, as (property, reason). Values that are not known yet are None, and let pass."""
    known = properties(model)
    for key, value in inputs.items():
        path = f"{where}{key}"
        if key not in known:
            yield path, f"the model {model.__name__} has no such property"
        elif known[key].readonly:
            yield path, "is read-only: Azure says it, and can't be told"
        elif value is not None:
            yield from _value_problems(model, known[key], known[key].kind, value, path)
    for key, property_ in known.items():
        if property_.required and key not in inputs:
            yield f"{where}{key}", "is required"


def _value_problems(model: type, property_: Property, kind: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if kind.startswith("["):
        if not isinstance(value, list):
            yield path, f"{value!r} is no list"
            return
        for index, item in enumerate(value):
            yield from _value_problems(model, property_, kind[1:-1], item, f"{path}[{index}]")
    elif kind.startswith("{"):
        # The SDK for Pulumi takes the keys only, where the values say nothing.
        if not isinstance(value, dict | list):
            yield path, f"{value!r} is no mapping"
    elif kind in _PLAIN:
        if not isinstance(value, _PLAIN[kind]) or (kind == "int" and isinstance(value, bool)):
            yield path, f"{value!r} is no {kind}"
        elif property_.pattern and not re.search(property_.pattern, str(value)):
            yield path, f"{value!r} does not match {property_.pattern}"
        elif property_.values and value not in property_.values:
            yield path, f"{value!r} is none of {', '.join(property_.values)}"
    elif not isinstance(value, dict):
        yield path, f"{value!r} is no {kind}"
    else:
        yield from problems(getattr(sys.modules[model.__module__], kind), value, f"{path}.")


@cache
def properties(model: Any) -> dict[str, Property]:
    """By the names that Pulumi's SDK gives them: the last part of the REST API's."""
    found = {}
    enums = _enums(model)
    for attribute, mapped in model._attribute_map.items():
        rules = model._validation.get(attribute, {})
        leaf = mapped["key"].rpartition(".")[2]
        if not leaf:
            continue
        found[_pulumi_name(leaf)] = Property(
            mapped["type"], rules.get("required", False), rules.get("readonly", False), rules.get("pattern"), enums.get(attribute)
        )
    return found


def _pulumi_name(leaf: str) -> str:
    """`rdb-backup-enabled` and `aof-storage-connection-string-0` as rdbBackupEnabled and aofStorageConnectionString0."""
    first, *others = leaf.split("-")
    return first + "".join(word.capitalize() for word in others)


def _enums(model: Any) -> dict[str, list[str]]:
    package = sys.modules[model.__module__.rpartition(".")[0]]
    # The docstring wraps where a line is full.
    text = re.sub(r"\s+", " ", inspect.getdoc(model) or "")
    named = re.findall(r":vartype (\w+): (?:str|int)?(?: or )?(?:list\[)?(?:str or )?~[\w.]+\.(\w+)", text)
    enums = {attribute: getattr(package, name, None) for attribute, name in named}
    return {
        attribute: [str(member.value) for member in enum]
        for attribute, enum in enums.items()
        if isinstance(enum, type) and issubclass(enum, Enum)
    }


@dataclass(frozen=True)
class PathRule:
    """What the REST API says of a part of a resource's address."""

    pattern: str | None
    min_length: int
    max_length: int


def path_problems(request: Callable[..., Any], inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with the names in a resource's address; `request` is the package's function that builds the call."""
    for key, rule in _path_rules(request).items():
        value = inputs.get(key)
        if not isinstance(value, str):
            continue
        if rule.pattern and not re.search(rule.pattern, value):
            yield key, f"{value!r} does not match {rule.pattern}"
        elif not rule.min_length <= len(value) <= rule.max_length:
            yield key, f"{value!r} must have {rule.min_length} to {rule.max_length} characters"


def path_parts(request: Callable[..., Any]) -> list[str]:
    """The names in a resource's address."""
    return list(_path_rules(request))


@cache
def _path_rules(request: Any) -> dict[str, PathRule]:
    rules = {}
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(request)))):
        if not isinstance(node, ast.Dict):
            continue
        for key, call in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(call, ast.Call) and ast.unparse(call.func) == "_SERIALIZER.url":
                said = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
                if key.value != "subscriptionId":
                    rules[str(key.value)] = PathRule(said.get("pattern"), said.get("min_length", 1), said.get("max_length", 1000))
    return rules
