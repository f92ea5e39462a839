"""Entries from another Redis or Valkey cache: as they are, or type by type for one that can't read its values."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.migrate.errors import RefusedError
from caches_runtime.ops.migrate.link import SCAN_COUNT, Command, sound
from caches_runtime.ops.migrate.source import MIB, engine, grouped
from caches_runtime.ops.migrate.target import Target
from caches_runtime.ops.warmup.checkpoint import PREFIX
from caches_runtime.ops.warmup.entries import DUMP, STRING, VALUE_BYTES, Bad, Entry, Position, Source

NAME = "caches-warmup"
_SCANNED = "scanned"
# What reads all of a value.
_READS: dict[bytes, Callable[[bytes], Command]] = {
    b"string": lambda key: ("GET", key),
    b"hash": lambda key: ("HGETALL", key),
    b"list": lambda key: ("LRANGE", key, 0, -1),
    b"set": lambda key: ("SMEMBERS", key),
    b"zset": lambda key: ("ZRANGE", key, 0, -1, "WITHSCORES"),
}


@contextlib.contextmanager
def open_cache(cache: Cache, try_value: Callable[[bytes], str] | None) -> Iterator[Source]:
    """`try_value` says why a target can't read a value as it is; None for one that only takes strings."""
    with Target(cache.writes, NAME) as servers:
        if others := sorted(database for database in servers.keyspace() if database):
            raise RefusedError(
                f"{cache.writes} has keys in databases {', '.join(map(str, others))}: only database 0 is read; move them there"
            )
        payload = _smallest(servers)
        as_is = try_value is not None and not (payload and try_value(payload))
        reads = _read_dumps if as_is else _read_types
        kinds = tuple(_READS) if try_value else (b"string",)

        def read(position: Position) -> Iterator[tuple[Entry | Bad, Position]]:
            return _read(servers, dict(position or {}), lambda keys: reads(servers, keys, kinds))

        title = f"{cache.writes} ({engine(servers.info)}{'' if as_is else ', type by type'})"
        yield Source(title, f"cache {cache.writes}", read)


_Values = list[tuple[str, list[bytes]] | str | None]


def _read(servers: Target, position: dict[str, str], values: Callable[[list[bytes]], _Values]) -> Iterator[tuple[Entry | Bad, Position]]:
    """All keys that are there all the while, server after server. A cursor holds for as long as its server runs, as Redis promises."""
    for link in servers.links:
        run_id = link.info("server")["run_id"]
        cursor = position.get(run_id, "0").encode()
        while position.get(run_id) != _SCANNED:
            cursor, keys = link.call("SCAN", cursor, "COUNT", SCAN_COUNT)
            last: Entry | Bad | None = None
            for record in _records(servers, [key for key in keys if not key.startswith(PREFIX)], values):
                if last:
                    yield last, position
                last = record
            # Only with the last one all of them are dealt with.
            position = {**position, run_id: _SCANNED if cursor == b"0" else cursor.decode()}
            if last:
                yield last, position


def _records(servers: Target, keys: list[bytes], values: Callable[[list[bytes]], _Values]) -> Iterator[Entry | Bad]:
    sizes = sound(servers.each([("MEMORY", "USAGE", key) for key in keys], keys=keys))
    small = [(key, size) for key, size in zip(keys, sizes, strict=True) if (size or 0) <= VALUE_BYTES]
    yield from (Bad("a key", f"takes more than {VALUE_BYTES // MIB} MiB") for _ in range(len(keys) - len(small)))
    for group in grouped([key for key, _ in small], [size for _, size in small]):
        found = values(group)
        # Before they are asked: rather too short than too long.
        asked = time.monotonic()
        lives = servers.every([("PTTL", key) for key in group])
        for key, value, milliseconds in zip(group, found, lives, strict=True):
            if isinstance(value, str):
                yield Bad("a key", value)
            elif value is not None and milliseconds != -2:
                until = None if milliseconds < 0 else asked + max(milliseconds, 1) / 1000
                yield Entry(key, *value, until, "a key")


def _read_dumps(servers: Target, keys: Sequence[bytes], _: object) -> _Values:
    return [None if payload is None else (DUMP, [payload]) for payload in servers.every([("DUMP", key) for key in keys])]


def _read_types(servers: Target, keys: Sequence[bytes], kinds: Sequence[bytes]) -> _Values:
    types = servers.every([("TYPE", key) for key in keys])
    readable = [(key, kind) for key, kind in zip(keys, types, strict=True) if kind in kinds]
    replies = dict(zip([key for key, _ in readable], servers.each([_READS[kind](key) for key, kind in readable]), strict=True))
    return [_value(kind, replies.get(key), kinds) for key, kind in zip(keys, types, strict=True)]


def _value(kind: bytes, reply: Any, kinds: Sequence[bytes]) -> tuple[str, list[bytes]] | str | None:
    if kind == b"none" or reply in (None, []):
        # Gone meanwhile, as far as it could be read.
        return None if kind == b"none" or kind in kinds else f"is a {kind.decode(errors='replace')}, which can't be brought into this cache"
    if isinstance(reply, Exception):
        if str(reply).startswith("WRONGTYPE"):
            return None  # it has just become another type
        sound([reply])
    if kind == b"zset":
        reply = [part for member, score in zip(reply[::2], reply[1::2], strict=True) for part in (score, member)]
    return (STRING, [reply]) if kind == b"string" else (kind.decode(), reply)


def _smallest(servers: Target) -> bytes | None:
    """A value of the source, to try; None when there is none."""
    for link in servers.links:
        keys = next(link.scan(0), [])
        if keys:
            sizes = [size or 0 for size in link.every([("MEMORY", "USAGE", key) for key in keys])]
            payload: bytes | None = link.call("DUMP", keys[sizes.index(min(sizes))])
            return payload
    return None
