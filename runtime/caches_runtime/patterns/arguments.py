"""Keys from the arguments of a function."""

import datetime
import decimal
import enum
import inspect
import math
import uuid
from collections.abc import Callable
from typing import Any

from caches_runtime.patterns.keys import hashed

_PLAIN = (type(None), bool, int, str, bytes, decimal.Decimal, uuid.UUID, datetime.date, datetime.datetime, datetime.timedelta)


def name_of(function: Callable[..., Any]) -> str:
    """What stands for a function in its keys."""
    return f"{function.__module__}.{function.__qualname__}"


def key_of(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> bytes:
    """The same for all ways to write the same call: by position, by name, with a default.

    Another type is another argument: 1, 1.0, True and "1" have four keys. Raises TypeError for an argument that has no certain form:
    what can change, is of a class of somebody's, or is not equal to itself.
    """
    signature = inspect.signature(function)
    bound = signature.bind(*arguments, **options)
    bound.apply_defaults()
    parts = [f"{name}={_form(name, value)}" for name, value in sorted(_single(signature, bound.arguments).items())]
    return hashed(f"{name_of(function)}({','.join(parts)})")


def _single(signature: inspect.Signature, bound: dict[str, Any]) -> dict[str, Any]:
    """Each argument under its name, also those that the function takes under any name."""
    single: dict[str, Any] = {}
    for name, value in bound.items():
        single |= (
            {f"**{each}": of for each, of in value.items()}
            if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            else {name: value}
        )
    return single


def _form(name: str, value: Any) -> str:
    kind = type(value)
    if kind in _PLAIN or (kind is float and not math.isnan(value)):
        return f"{kind.__qualname__}:{value!r}"
    if isinstance(value, enum.Enum):
        return f"{kind.__module__}.{kind.__qualname__}:{value.name}"
    if kind is tuple:
        return f"({','.join(_form(name, each) for each in value)})"
    if kind is frozenset:
        return f"{{{','.join(sorted(_form(name, each) for each in value))}}}"
    raise TypeError(
        f"argument {name} is of type {kind.__qualname__}: a key takes None, bool, int, float but nan, str, bytes, Decimal, UUID, dates, "
        "enums, and tuples and frozensets of them; give `key`, a function of the arguments, for others"
    )
