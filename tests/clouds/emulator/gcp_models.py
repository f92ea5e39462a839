"""Checks inputs against Google's own published messages: google-cloud-memorystore, -redis, -redis-cluster and -memcache.

What is needed, immutable or only comes back, the packages say in the messages' docstrings only; names, types and enums in the messages.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import proto
from google.protobuf.descriptor import FieldDescriptor

Problems = Iterator[tuple[str, str]]

_WHOLE = {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32}
_REAL = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}
# Messages that are written as text.
_TEXTS = {"Duration": re.compile(r"[0-9]+(\.[0-9]{1,9})?s"), "Timestamp": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.+Z")}


@dataclass(frozen=True)
class Property:
    """What a message says of one field."""

    field: Any
    words: str
    """How its description begins: Required, Optional, Output only, Immutable."""

    @property
    def output_only(self) -> bool:
        return "Output only" in self.words

    @property
    def required(self) -> bool:
        return self.words.startswith("Required")

    @property
    def immutable(self) -> bool:
        return "Immutable" in self.words


def problems(message: Any, inputs: dict[str, Any], names: dict[str, str] | None = None, where: str = "") -> Problems:
    """What is wrong with a resource's inputs, as (property, reason). Values that are not known yet are None, and let pass.

    `names`: properties that the SDK for Pulumi calls otherwise.
    """
    known = properties(message)
    for key, value in inputs.items():
        path, own = f"{where}{key}", _own_name(known, (names or {}).get(key, key))
        if own not in known:
            yield path, f"the message {message.__name__} has no such field"
        elif known[own].output_only:
            yield path, "is output only: Google says it, and can't be told"
        elif value is not None:
            yield from _field_problems(known[own].field, value, path)
    # What a part of a resource is called is in its address.
    given = {_own_name(known, (names or {}).get(key, key)) for key in inputs}
    yield from ((f"{where}{key}", "is required") for key, each in known.items() if each.required and key not in given and key != "name")


def _own_name(known: dict[str, Property], key: str) -> str:
    """The SDK for Pulumi has the plural of what is a list."""
    singular = key.removesuffix("s")
    return singular if key not in known and singular in known and known[singular].field.repeated else key


def _field_problems(field: Any, value: Any, path: str) -> Problems:
    if not field.repeated:
        yield from _value_problems(field, value, path)
    elif field.message is not None and field.message.__name__.endswith("Entry"):
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values() if each is not None):
            yield path, f"{value!r} is no mapping of texts"
    elif not isinstance(value, list):
        yield path, f"{value!r} is no list"
    else:
        for index, item in enumerate(value):
            if item is not None:
                yield from _value_problems(field, item, f"{path}[{index}]")


def _value_problems(field: Any, value: Any, path: str) -> Problems:
    if field.enum is not None:
        yield from _enum_problems(field.enum, value, path)
    elif field.message is not None:
        yield from _message_problems(field.message, value, path)
    elif field.proto_type == FieldDescriptor.TYPE_STRING:
        if not isinstance(value, str):
            yield path, f"{value!r} is no text"
    elif field.proto_type == FieldDescriptor.TYPE_BOOL:
        if not isinstance(value, bool):
            yield path, f"{value!r} is neither true nor false"
    elif field.proto_type in _WHOLE and (isinstance(value, bool) or not isinstance(value, int)):
        yield path, f"{value!r} is no whole number"
    elif field.proto_type in _REAL and (isinstance(value, bool) or not isinstance(value, int | float)):
        yield path, f"{value!r} is no number"


def _enum_problems(enum: Any, value: Any, path: str) -> Problems:
    names = list(enum.keys()) if hasattr(enum, "keys") else [member.name for member in enum]
    allowed = [name for name in names if not name.endswith("UNSPECIFIED")]
    if value not in allowed:
        yield path, f"{value!r} is none of {', '.join(allowed)}"


def _message_problems(message: Any, value: Any, path: str) -> Problems:
    if (pattern := _TEXTS.get(message.__name__)) is not None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield path, f"{value!r} is no {message.__name__.lower()}"
    elif not isinstance(value, dict):
        yield path, f"{value!r} is no {message.__name__}"
    elif isinstance(message, type) and issubclass(message, proto.Message):
        yield from problems(message, value, where=f"{path}.")
    else:
        # Google's common types, such as a time of day.
        known = {field.json_name for field in message.DESCRIPTOR.fields}
        yield from ((f"{path}.{key}", f"{message.__name__} has no such field") for key in value if key not in known)


@cache
def properties(message: Any) -> dict[str, Property]:
    """By the names that Pulumi's SDK gives them."""
    text = inspect.getdoc(message) or ""
    # `name (type):` on a line of its own, and what follows more deeply indented.
    said = dict(re.findall(r"^ {4}(\w+) \([^\n]*\):\n((?: {8}[^\n]*\n?|\n)+)", text, re.MULTILINE))
    return {
        _camel_case(name): Property(field, re.sub(r"\s+", " ", said.get(name, "")).strip()[:60])
        for name, field in message.meta.fields.items()
    }


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
