"""What a record of a text is: a line with a JSON object, or a row with the columns of a CSV file's first line."""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

from caches_runtime.ops.migrate.source import MIB
from caches_runtime.ops.warmup.entries import COMMANDS, STRING, VALUE_BYTES, Entry

FIELDS = ("key", "value", "value_base64", "ttl", "type")
COLUMNS = ("key", "value", "ttl")
# A century: what is longer is a mistake in the unit.
_SECONDS_MAXIMUM = 100 * 366 * 24 * 3600


class BadRecordError(ValueError):
    """Says what is wrong with a record, without what is in it."""


def of_json(line: bytes, place: str) -> Entry:
    """The entry of a line. Raises BadRecordError."""
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRecordError("is not JSON in UTF-8") from None
    if not isinstance(given, dict):
        raise BadRecordError('is not an object with a "key" and a "value"')
    for field in given:
        if field not in FIELDS:
            # Its name may be anything, and is not shown.
            raise BadRecordError(f"has another field than {', '.join(FIELDS)}")
    kind = given.get("type", STRING)
    if kind == STRING:
        value = [_string(given)]
    elif isinstance(kind, str) and kind in COMMANDS and "value_base64" not in given:
        value = _MEMBERS[kind](given.get("value"))
    else:
        raise BadRecordError(f"type is not one of {STRING}, {', '.join(COMMANDS)}, or has a value_base64 that is no string's")
    key = given.get("key")
    if not isinstance(key, str):
        raise BadRecordError("key is missing, or is not a text")
    return entry(_encoded(key), kind, value, given.get("ttl"), place)


def of_row(row: dict[str, Any], place: str) -> Entry:
    """The entry of a row with COLUMNS, of which ttl may be missing or empty. Raises BadRecordError."""
    value = row["value"]
    if isinstance(value, str | bytes | memoryview):
        encoded = _encoded(value) if isinstance(value, str) else bytes(value)
    else:
        raise BadRecordError("value is not a text or bytes")
    key = row["key"]
    if not isinstance(key, str | bytes | int) or isinstance(key, bool):
        raise BadRecordError("key is missing, or is not a text")
    seconds = row.get("ttl")
    if isinstance(seconds, str):
        try:
            seconds = float(seconds) if seconds else None
        except ValueError:
            raise BadRecordError("ttl is not a number of seconds") from None
    return entry(key if isinstance(key, bytes) else _encoded(str(key)), STRING, [encoded], seconds, place)


def entry(key: bytes, kind: str, value: list[bytes], seconds: Any, place: str) -> Entry:
    """An entry that has so many seconds to live from now on. Raises BadRecordError."""
    if not key:
        raise BadRecordError("key is empty")
    made = Entry(key, kind, value, None if seconds is None else Entry.expiry(checked_seconds(seconds)), place)
    if made.bytes > VALUE_BYTES:
        raise BadRecordError(f"has more than {VALUE_BYTES // MIB} MiB")
    return made


def checked_seconds(seconds: Any) -> float:
    """A time to live. Raises BadRecordError."""
    try:
        number = math.nan if isinstance(seconds, bool) else float(seconds)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 < number <= _SECONDS_MAXIMUM:
        raise BadRecordError("ttl is not a number of seconds above 0, and at most a hundred years")
    return number


def _string(given: dict[str, Any]) -> bytes:
    if "value_base64" in given:
        try:
            if "value" in given:
                raise BadRecordError("has both value and value_base64")
            return base64.b64decode(given["value_base64"], validate=True)
        except (ValueError, TypeError):
            raise BadRecordError("value_base64 is not base64, or there is a value too") from None
    if "value" not in given:
        raise BadRecordError("value is missing")
    if isinstance(given["value"], dict | list):
        raise BadRecordError("value is not a text: name its type, or give an object's JSON as a text")
    return _scalar(given["value"])


def _scalar(value: Any) -> bytes:
    if isinstance(value, str):
        return _encoded(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return json.dumps(value).encode()
    raise BadRecordError("value is not a text or a number")


def _encoded(text: str) -> bytes:
    try:
        # What a CSV file has that is no UTF-8 stays what it is.
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise BadRecordError("has half a character") from None


def _pairs(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise BadRecordError("value is not an object with a field or more, as its type needs")
    return value


def _hash(value: Any) -> list[bytes]:
    return [part for field, each in _pairs(value).items() for part in (_encoded(field), _scalar(each))]


def _zset(value: Any) -> list[bytes]:
    members = []
    for member, score in _pairs(value).items():
        if isinstance(score, str):
            raise BadRecordError("a score is not a number")
        members += [_scalar(score), _encoded(member)]
    return members


def _members(value: Any) -> list[bytes]:
    if not isinstance(value, list) or not value:
        raise BadRecordError("value is not a list with an element or more, as its type needs")
    return [_scalar(each) for each in value]


_MEMBERS: dict[str, Callable[[Any], list[bytes]]] = {"hash": _hash, "list": _members, "set": _members, "zset": _zset}
