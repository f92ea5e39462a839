"""What a site has under keys, type by type, so that the same value is the same wherever and however it is kept; and how it is written."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import ExecAbortError, NoPermissionError
from xxhash import xxh3_128, xxh3_128_digest

from caches_runtime.ops.migrate.link import Command
from caches_runtime.ops.migrate.source import READ_BYTES
from caches_runtime.ops.warmup.entries import COMMANDS, VALUE_BYTES
from caches_runtime.ops.warmup.redis_target import CHANGING
from caches_runtime.replication import streams
from caches_runtime.replication.site import Site

# What DUMP ends with: version and checksum.
_FOOTER = 10
_TOGETHER = 1000
STRING, STREAM = b"string", b"stream"
# What reads all of a value.
_READS: dict[bytes, Callable[[bytes], Command]] = {
    b"hash": lambda key: ("HGETALL", key),
    b"list": lambda key: ("LRANGE", key, 0, -1),
    b"set": lambda key: ("SMEMBERS", key),
    b"zset": lambda key: ("ZRANGE", key, 0, -1, "WITHSCORES"),
}


@dataclass(frozen=True, slots=True)
class Head:
    """What a key is, before its value is read."""

    kind: bytes
    size: int
    """About, in bytes; 0 where the server does not say."""
    deadline: int
    """When it expires, in milliseconds since 1970; 0 for never."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is under a key."""

    kind: bytes
    content: Any
    deadline: int
    digest: bytes
    """The same for the same content on every server; nothing of the deadline is in it."""


class Unread:
    """A value that can't be brought, or that has become another one while it was read."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        """Why it never can be, for people, without key and value; empty when it was changing."""


Found = Value | None | Unread


def heads(site: Site, keys: Sequence[bytes]) -> list[Head | None]:
    """Of each key, None where there is none."""
    expiry = "PEXPIRETIME" if site.since_seven else "PTTL"
    now = 0 if site.since_seven else int(time.time() * 1000)
    replies = site.each([command for key in keys for command in (("STRLEN", key), (expiry, key))])
    found: list[Head | None] = [None] * len(keys)
    others: list[int] = []
    for number, (length, lives) in enumerate(zip(replies[::2], replies[1::2], strict=True)):
        if type(length) is int and type(lives) is int:
            if lives != -2:
                found[number] = Head(STRING, length, 0 if lives < 0 else now + lives)
        elif _wrong_type(length):
            others.append(number)
        else:
            raise length if isinstance(length, Exception) else lives
    if others:
        kinds = site.each([("TYPE", keys[number]) for number in others])
        sizes = (
            site.each([("MEMORY", "USAGE", keys[number]) for number in others], [keys[number] for number in others])
            if site.sizes
            else kinds
        )
        for number, kind, size in zip(others, kinds, sizes, strict=True):
            lives = replies[2 * number + 1]
            if lives != -2 and kind != b"none":
                found[number] = Head(kind, size if type(size) is int else 0, 0 if lives < 0 else now + lives)
    return found


def contents(site: Site, keys: Sequence[bytes], heads_: Sequence[Head | None], *, field_expiry: bool) -> list[Found]:
    """The values; `field_expiry` says whether those of fields in hashes count."""
    found: list[Found] = [None] * len(keys)
    readable: list[tuple[int, Head]] = []
    for number, head in enumerate(heads_):
        if head is None:
            continue
        if head.size > VALUE_BYTES:
            found[number] = Unread(f"takes more than {VALUE_BYTES >> 20} MiB")
        elif head.kind == STREAM:
            found[number] = _stream(site, keys[number], head)
        else:
            readable.append((number, head))
    replies = site.each([_read(keys[number], head.kind) for number, head in readable])
    hashes = [(number, reply) for (number, head), reply in zip(readable, replies, strict=True) if head.kind == b"hash" and reply]
    deadlines = _field_deadlines(site, [(keys[number], reply) for number, reply in hashes]) if field_expiry else {}
    for (number, head), reply in zip(readable, replies, strict=True):
        found[number] = _value(head, reply, deadlines.get(keys[number], []))
    return found


def portions(all_heads: list[list[Head | None]]) -> Iterator[list[int]]:
    """Numbers of keys whose values can be held at once."""
    group, size = list[int](), 0
    for number in range(len(all_heads[0])):
        bytes_ = sum(head.size for heads in all_heads if (head := heads[number]))
        if group and size + bytes_ > READ_BYTES:
            yield group
            group, size = [], 0
        group.append(number)
        size += bytes_
    if group:
        yield group


def writes(key: bytes, value: Value | None, *, counting: bool) -> list[Command]:
    """What makes a key hold a value at once, or nothing; more than one is to be done in a transaction. `counting` is of streams."""
    if value is None or 0 < value.deadline <= time.time() * 1000:
        return [("DEL", key)]
    if value.kind == STRING:
        return [("SET", key, value.content, *(("PXAT", value.deadline) if value.deadline else ()))]
    if value.kind not in (*_READS, STREAM):
        return [("RESTORE", key, value.deadline, value.content, "REPLACE", *(("ABSTTL",) if value.deadline else ()))]
    commands: list[Command] = [("DEL", key)]
    if value.kind == STREAM:
        commands += streams.writes(key, value.content, counting=counting)
    else:
        members, deadlines = value.content
        adds = COMMANDS[value.kind.decode()]
        commands += [(adds, key, *members[at : at + _TOGETHER]) for at in range(0, len(members), _TOGETHER)]
        commands += [("HPEXPIREAT", key, deadline, "FIELDS", 1, field) for field, deadline in deadlines]
    return [*commands, ("PEXPIREAT", key, value.deadline)] if value.deadline else commands


def put(site: Site, values: dict[bytes, Value | None]) -> dict[bytes, str]:
    """Writes them all in one go to each master; of those that were not taken, why not."""
    commands: list[Command] = []
    keys: list[bytes] = []
    last: list[int] = []
    for key, value in values.items():
        steps = writes(key, value, counting=site.since_seven)
        if len(steps) > 1:
            steps = [("MULTI",), *steps, ("EXEC",)]
        commands += steps
        keys += [key] * len(steps)
        last.append(len(commands) - 1)
    replies = site.each(commands, keys)
    problems = {}
    for key, number in zip(values, last, strict=True):
        answers = replies[number] if isinstance(replies[number], list) else [replies[number]]
        for answer in answers:
            if isinstance(answer, Exception):
                problems[key] = _problem(answer)
    return problems


def _read(key: bytes, kind: bytes) -> Command:
    if kind == STRING:
        return ("GET", key)
    return _READS[kind](key) if kind in _READS else ("DUMP", key)


def _value(head: Head, reply: Any, deadlines: list[tuple[bytes, int]]) -> Found:
    if reply is None or reply == []:
        return None  # gone meanwhile
    if isinstance(reply, Exception):
        if _wrong_type(reply):
            return Unread()
        raise reply
    if head.kind == STRING:
        return Value(STRING, reply, head.deadline, xxh3_128_digest(b"string:" + reply))
    if head.kind not in _READS:
        # A type of a module's, or one that is newer than this: as it is kept.
        return Value(head.kind, reply, head.deadline, xxh3_128_digest(reply[:-_FOOTER]))
    members = _ORDERS[head.kind](reply)
    expiring = (part for field, deadline in deadlines for part in (field, b"%d" % deadline))
    return Value(head.kind, (members, deadlines), head.deadline, digest(head.kind, [*members, *expiring]))


def _pairs(flat: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _scored(flat: Sequence[bytes]) -> list[bytes]:
    # Versions write the same number with more or fewer digits.
    scored = sorted((float(score), member) for member, score in _pairs(flat))
    return [part for score, member in scored for part in (repr(score).encode(), member)]


# What follows the key in the command that adds members, in an order that does not depend on the server.
_ORDERS: dict[bytes, Callable[[list[bytes]], list[bytes]]] = {
    b"hash": lambda flat: [part for pair in sorted(_pairs(flat)) for part in pair],
    b"list": lambda members: members,
    b"set": sorted,
    b"zset": _scored,
}


def digest(kind: bytes, parts: Iterable[bytes]) -> bytes:
    """Of a value that has parts."""
    hashed = xxh3_128(kind)
    for part in parts:
        hashed.update(b"%d:" % len(part))
        hashed.update(part)
    return hashed.digest()


def _field_deadlines(site: Site, hashes: Sequence[tuple[bytes, list[bytes]]]) -> dict[bytes, list[tuple[bytes, int]]]:
    """Of each hash the fields that expire, and when."""
    commands: list[Command] = [("HPEXPIRETIME", key, "FIELDS", len(flat) // 2, *flat[::2]) for key, flat in hashes]
    found = {}
    for (key, flat), replies in zip(hashes, site.each(commands), strict=True):
        if isinstance(replies, list):  # else it is gone, or no hash any longer
            found[key] = sorted((field, when) for field, when in zip(flat[::2], replies, strict=True) if when is not None and when > 0)
    return found


def _stream(site: Site, key: bytes, head: Head) -> Found:
    read = streams.read(lambda *commands: site.each(commands, [key] * len(commands)), key)
    if read is None:
        return Unread()
    return Value(STREAM, read, head.deadline, digest(STREAM, [repr(read.compared()).encode()]))


def _wrong_type(reply: Any) -> bool:
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE")


def _problem(reply: Exception) -> str:
    """Why a value was not taken; raises what says that the server can't do anything as it is."""
    text = str(reply)
    if isinstance(reply, NoPermissionError) or text.startswith(CHANGING):
        raise reply
    if isinstance(reply, redis.OutOfMemoryError) or "OOM" in text:
        return "the cache is full"
    # Errors that redis-py knows are of the connection, but for this one: a step of the transaction was refused.
    if type(reply) is not redis.ResponseError and not isinstance(reply, ExecAbortError):
        raise reply
    return f"was not taken: {text}"
