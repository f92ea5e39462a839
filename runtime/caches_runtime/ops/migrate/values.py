"""Whether a key has the same value on two servers, whatever their versions and however they keep it in memory."""

from collections.abc import Callable
from typing import Any

import redis

from caches_runtime.ops.migrate.link import Command

# What DUMP ends with: version and checksum.
_FOOTER = 10
# Nearer than a second, so that what is accepted is within it.
TTL_MILLISECONDS = 500
Ask = Callable[[Command], Any]
# What a server shows of a key at once: its DUMP and its PTTL.
Look = tuple[bytes | None, int]


def same_dump(one: bytes | None, other: bytes | None) -> bool:
    """Whether two DUMPs hold the same; False may only mean that it is in another order or encoding."""
    if one is None or other is None:
        return one is other
    # With one copy only: they may be large.
    return len(one) == len(other) and other.startswith(one[:-_FOOTER])


def same_ttl(one: int, other: int) -> bool:
    """Whether two PTTLs are of keys that live equally long."""
    return one == other or (min(one, other) >= 0 and abs(one - other) <= TTL_MILLISECONDS)


def same_look(one: Look, other: Look) -> bool:
    """Whether a key shows the same; False may only mean that it is kept in another order or encoding."""
    return same_dump(one[0], other[0]) and same_ttl(one[1], other[1])


def same_value(key: bytes, one: Ask, other: Ask) -> bool:
    """Whether what two servers have under a key is equal; reads all of it."""
    kind = one(("TYPE", key))
    if kind != other(("TYPE", key)):
        return False
    try:
        read = _READERS[kind]
    except KeyError:
        # A module's type: nothing but its DUMP can be compared, and that differs.
        return bool(kind == b"none")
    try:
        # A server's reply is dropped before the other's is read: it may be large.
        return bool(read(key, one) == read(key, other))
    except redis.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            return False  # it has just become another type
        raise


def _digest(values: Any) -> int:
    return hash(tuple(values))


def _stream(key: bytes, ask: Ask) -> Any:
    entries = _digest((entry, tuple(fields)) for entry, fields in ask(("XRANGE", key, "-", "+")))
    groups = [_pairs(group) for group in ask(("XINFO", "GROUPS", key))]
    told = [b"name", b"consumers", b"pending", b"last-delivered-id"]
    return entries, [[group[field] for field in told] for group in groups], _pairs(ask(("XINFO", "STREAM", key)))[b"last-generated-id"]


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


_READERS: dict[bytes, Callable[[bytes, Ask], Any]] = {
    b"string": lambda key, ask: _digest([ask(("GET", key))]),
    b"list": lambda key, ask: _digest(ask(("LRANGE", key, 0, -1))),
    b"set": lambda key, ask: hash(frozenset(ask(("SMEMBERS", key)))),
    b"hash": lambda key, ask: hash(frozenset(_pairs(ask(("HGETALL", key))).items())),
    b"zset": lambda key, ask: _digest(ask(("ZRANGE", key, 0, -1, "WITHSCORES"))),
    b"stream": _stream,
}
