"""Writes entries to Redis or Valkey: one server, the master that a group's Service leads to, or the masters of a cluster."""

import itertools
from collections.abc import Sequence
from typing import Any, Self

import redis
from redis.crc import key_slot
from redis.exceptions import NoPermissionError

from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.migrate.errors import RefusedError
from caches_runtime.ops.migrate.link import Command, Link
from caches_runtime.ops.migrate.target import Target as Servers
from caches_runtime.ops.warmup.cache_source import NAME
from caches_runtime.ops.warmup.entries import COMMANDS, DUMP, STRING, Entry, Outcome

# A type that is no string, as one step: nobody sees half of it, and a key that is there is left alone.
_SCRIPT = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  if ARGV[1] == '0' then return 0 end
  redis.call('DEL', KEYS[1])
end
for first = 4, #ARGV, 1000 do
  redis.call(ARGV[3], KEYS[1], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
# Of a server whose role or data is just changing: another attempt, with new connections, may be told something else.
CHANGING = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "BUSY ", "UNBLOCKED", "MISCONF")


class RedisTarget:
    """One cache, while the connections to it last."""

    def __init__(self, cache: Cache) -> None:
        """Raises RefusedError when it does not let in."""
        self._servers = Servers(cache.writes, NAME)
        self.title = str(cache.writes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def try_value(self, payload: bytes) -> str:
        """Why it can't read another server's value; empty when it can."""
        return self._servers.try_value(payload)

    def put(self, entries: Sequence[Entry], *, overwrite: bool) -> list[Outcome | str]:
        """Writes them all in one go to each server."""
        outcomes: list[Outcome | str] = [Outcome.EXPIRED] * len(entries)
        lasting = [number for number, entry in enumerate(entries) if entry.until is None or entry.milliseconds() > 0]
        commands = [_command(entries[number], overwrite) for number in lasting]
        replies = self._servers.each(commands, keys=[entries[number].key for number in lasting])
        for number, reply in zip(lasting, replies, strict=True):
            outcomes[number] = _outcome(reply)
        return outcomes

    def notes(self, name: str) -> list[bytes | None]:
        """What each master has noted under a name."""
        return [link.call("GET", key) for link, key in self._keys(name)]

    def note(self, name: str, text: str, seconds: int) -> None:
        """Notes a text on each master."""
        for link, key in self._keys(name):
            _outcome(link.each([("SET", key, text, "EX", seconds)])[0])

    def forget(self, name: str) -> None:
        """Removes the note."""
        for link, key in self._keys(name):
            link.call("DEL", key)

    def count(self) -> int:
        """How many keys there are in database 0."""
        return sum(link.call("DBSIZE") for link in self._servers.links)

    def evicted(self) -> int:
        """How many keys were evicted since this was opened."""
        return self._servers.evicted()

    def settle(self) -> None:
        """Returns once the replicas have all."""
        self._servers.await_replicas()

    def _keys(self, name: str) -> list[tuple[Link, str]]:
        """Of each master a key that is there, and always the same one while slots stay where they are."""
        servers = self._servers
        if not servers.clustered:
            return [(servers.links[0], name)]
        found: dict[Link, str] = {}
        for number in itertools.count():
            key = f"{name}:{{{number}}}"
            found.setdefault(servers.by_slot[key_slot(key.encode())], key)
            if len(found) == len(servers.links):
                return list(found.items())
        raise AssertionError("there is a number for each slot")


def _command(entry: Entry, overwrite: bool) -> Command:
    milliseconds = max(1, entry.milliseconds()) if entry.until is not None else 0
    if entry.kind == STRING:
        lives = ("PX", milliseconds) if milliseconds else ()
        return ("SET", entry.key, entry.value[0], *lives, *(() if overwrite else ("NX",)))
    if entry.kind == DUMP:
        return ("RESTORE", entry.key, milliseconds, entry.value[0], *(("REPLACE",) if overwrite else ()))
    return ("EVAL", _SCRIPT, 1, entry.key, int(overwrite), milliseconds, COMMANDS[entry.kind], *entry.value)


def _outcome(reply: Any) -> Outcome | str:
    if not isinstance(reply, Exception):
        return Outcome.THERE if reply in (None, 0) else Outcome.WRITTEN
    text = str(reply)
    if text.startswith("BUSYKEY"):
        return Outcome.THERE
    if isinstance(reply, redis.OutOfMemoryError) or "OOM" in text:
        raise RefusedError("the cache is full: give it more memory_gib or maxmemory_mib, or bring less")
    if isinstance(reply, NoPermissionError):
        raise RefusedError(f"a right is missing: {text}") from None
    # An error that redis-py knows has lost its first word.
    if type(reply) is not redis.ResponseError or text.startswith(CHANGING):
        raise reply
    return f"was not taken: {text}"
