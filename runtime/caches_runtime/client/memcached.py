"""A client of Memcached servers that the keys are spread over."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import unquote_to_bytes

from caches_runtime.client.calls import Call
from caches_runtime.client.credentials import Credentials
from caches_runtime.client.memcached_connection import Connection, ReplyError, stored
from caches_runtime.client.memcached_keys import Key, expiry, legal
from caches_runtime.client.memcached_servers import servers_of
from caches_runtime.client.memcached_shard import Result, Shard, ShardAwayError
from caches_runtime.client.observation import Observed
from caches_runtime.client.rendezvous import Rendezvous

# Made when needed, so that no part of a call waits for a thread: each ends when its call must.
_THREADS = 1024
AnyKey = TypeVar("AnyKey", bound=Key)


class MemcachedClient:
    """Gets and sets values, bytes, on the shards of a `connection`. For any number of threads.

    No call takes longer than `budget_seconds`, connecting included. While a shard is away, its keys are misses to `get`, and writes raise
    ShardAwayError: they may have happened or not. No command is sent twice. A read never returns a value older than the last write or
    deletion that was acknowledged, by whichever client with the same nodes.

    Any call raises LoginRefusedError when a shard does not take username and password, and ReplyError when it answers with an error.
    A value that is too large is one: what was under its key is then gone.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        *,
        budget_seconds: float = 0.5,
        retry_seconds: float = 1.0,
        changing: Collection[str] = (),
        credentials: Credentials | None = None,
        name: str = "caches",
    ) -> None:
        """Connects with the first call. A shard that is away is tried again after `retry_seconds`.

        `credentials` is a path or a function, that has the password for each connection that is made; `name` is the cache's in metrics.

        `changing`: nodes that are about to be added or removed, host:port; their keys are not cached until they are in place.
        Raises ValueError for a connection that it can't use.
        """
        if budget_seconds <= 0 or retry_seconds < 0:
            raise ValueError(f"budget_seconds = {budget_seconds}, retry_seconds = {retry_seconds}: must be above 0, and not below 0")
        servers = {str(server): server for server in servers_of(connection, credentials)}
        if unknown := set(changing) - set(servers):
            raise ValueError(f"changing = {sorted(unknown)}: must be among the nodes, {', '.join(sorted(servers))}")
        if not (rest := set(servers) - set(changing)):
            raise ValueError("changing names every node: at least one must stay")
        self._budget_seconds = budget_seconds
        first = next(iter(servers.values()))
        self._about = Observed(name, "memcached", str(connection.get("host") or first.host), int(connection.get("port") or first.port))
        self._changing = frozenset(changing)
        self._homes = Rendezvous(servers)
        self._homes_without = Rendezvous(rest)
        self._connecting = ThreadPoolExecutor(_THREADS, "memcached-connect")
        self._asking = ThreadPoolExecutor(_THREADS, "memcached-ask")
        self._shards = {name: Shard(server, retry_seconds, self._connecting) for name, server in servers.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: Key, default: bytes | None = None) -> bytes | None:
        """The value of a key, or the default."""
        found = self.get_with_token(key)
        return found[0] if found else default

    def get_with_token(self, key: Key) -> tuple[bytes, int] | None:
        """The value with the token that `cas` takes."""
        return self.get_many_with_tokens([key]).get(key)

    def get_many(self, keys: Iterable[AnyKey]) -> dict[AnyKey, bytes]:
        """The values that there are. One request to each shard, all at once."""
        return {key: value for key, (value, _) in self.get_many_with_tokens(keys).items()}

    def get_many_with_tokens(self, keys: Iterable[AnyKey]) -> dict[AnyKey, tuple[bytes, int]]:
        """The same with the tokens that `cas` takes."""
        wires = {key: legal(key) for key in keys}
        parts: dict[str, list[bytes]] = {}
        for wire in dict.fromkeys(wires.values()):
            if (home := self._homes.node_of(wire)) not in self._changing:
                parts.setdefault(home, []).append(wire)
        found: dict[bytes, tuple[bytes, int]] = {}
        with self._call("GET") as call:
            for part in self._each(call, {home: _getting(asked) for home, asked in parts.items()}, {}).values():
                if not isinstance(part, ShardAwayError):
                    found |= part
        return {key: found[wire] for key, wire in wires.items() if wire in found}

    def set(self, key: Key, value: bytes, ttl_seconds: int | None = None) -> None:
        """Stores a value, for so many whole seconds or without an end. Raises ShardAwayError."""
        _raise_any(self.set_many({key: value}, ttl_seconds))

    def set_many(self, values: Mapping[AnyKey, bytes], ttl_seconds: int | None = None) -> dict[AnyKey, Exception]:
        """Stores values, one request to each shard, all at once. Returns those that were not acknowledged, and why."""
        seconds = expiry(ttl_seconds)
        return self._write("SET", {key: stored(b"set", legal(key), seconds, value) for key, value in values.items()}, (b"STORED",))

    def delete(self, key: Key) -> None:
        """Removes a value, or sees that there is none. Raises ShardAwayError: then others may still read it while it lives."""
        _raise_any(self.delete_many([key]))

    def delete_many(self, keys: Iterable[AnyKey]) -> dict[AnyKey, Exception]:
        """Removes values. Returns those keys that were not acknowledged, and why."""
        return self._write("DELETE", {key: b"delete %b\r\n" % legal(key) for key in keys}, (b"DELETED", b"NOT_FOUND"))

    def add(self, key: Key, value: bytes, ttl_seconds: int | None = None) -> bool:
        """Stores a value if there is none; says whether. Raises ShardAwayError."""
        return self._ask(key, stored(b"add", legal(key), expiry(ttl_seconds), value)) == b"STORED"

    def replace(self, key: Key, value: bytes, ttl_seconds: int | None = None) -> bool:
        """Stores a value if there is one; says whether. Raises ShardAwayError."""
        return self._ask(key, stored(b"replace", legal(key), expiry(ttl_seconds), value)) == b"STORED"

    def cas(self, key: Key, value: bytes, token: int, ttl_seconds: int | None = None) -> bool:
        """Stores a value if nobody has since the token was read; says whether. Raises ShardAwayError."""
        return self._ask(key, stored(b"cas", legal(key), expiry(ttl_seconds), value, token)) == b"STORED"

    def touch(self, key: Key, ttl_seconds: int | None) -> bool:
        """Gives a value a new time to live; says whether there is one. Raises ShardAwayError."""
        return self._ask(key, b"touch %b %d\r\n" % (legal(key), expiry(ttl_seconds))) == b"TOUCHED"

    def incr(self, key: Key, by: int = 1) -> int | None:
        """Adds to a number in decimal digits, modulo 2^64; the new one, or None where there is none. Raises ShardAwayError."""
        return _number(self._ask(key, b"incr %b %d\r\n" % (legal(key), by)))

    def decr(self, key: Key, by: int = 1) -> int | None:
        """Takes from a number, down to 0; the new one, or None where there is none. Raises ShardAwayError."""
        return _number(self._ask(key, b"decr %b %d\r\n" % (legal(key), by)))

    def log_in(self, username: str, password: str) -> None:
        """Connections from now on log in so. Those that are open stay: a server asks once."""
        for shard in self._shards.values():
            shard.server = replace(shard.server, username=username, password=password)

    def remove_misplaced(self, budget_seconds: float = 60) -> int:
        """Removes from each shard the keys that belong to another one; how many there were. Raises ShardAwayError.

        What is left of an earlier number of shards must not come to light again: see "Add or remove a shard" in docs/memcached-client.md.
        """
        return sum(shard.run(partial(self._tidy, name), (), time.monotonic() + budget_seconds) for name, shard in self._shards.items())

    def close(self) -> None:
        """Ends the connections."""
        for shard in self._shards.values():
            shard.close()
        self._connecting.shutdown(wait=False)
        self._asking.shutdown(wait=False)

    def _call(self, command: str) -> AbstractContextManager[Call]:
        """One that begins now."""
        return Call(command, self._budget_seconds, self._about)

    def _peer(self, *homes: str) -> tuple[str, int] | None:
        """Of the one shard that is asked."""
        return next(((server.host, server.port) for server in (self._shards[home].server for home in homes)), None)

    def _tidy(self, name: str, connection: Connection) -> int:
        # By the hash table: unlike a walk through the lists of least recent use, it misses no item that moves meanwhile.
        connection.send(b"lru_crawler metadump hash\r\n")
        misplaced = []
        while (line := connection.line()) != b"END":
            if not line.startswith(b"key="):
                raise ReplyError(f"{name} does not list its keys: {line.decode(errors='replace')}")
            key = unquote_to_bytes(line[4 : line.index(b" ")])
            if self._homes.node_of(key) != name:
                misplaced.append(key)
        connection.ask([b"delete %b\r\n" % key for key in misplaced])
        return len(misplaced)

    def _ask(self, key: Key, command: bytes) -> bytes:
        """The reply of the key's shard to a command that no other shard could stand in for."""
        wire = legal(key)
        if (home := self._homes.node_of(wire)) in self._changing:
            raise ShardAwayError(f"{home} is about to be added or removed: its keys are not cached until it is in place")
        with self._call(command[: command.index(b" ")].decode().upper()) as call:
            call.peer = self._peer(home)
            [reply] = self._shards[home].run(lambda connection: connection.ask([command]), [wire], call.deadline)
            call.problem = _problem(home, reply)
        if call.problem:
            raise call.problem
        return reply

    def _write(self, name: str, commands: Mapping[AnyKey, bytes], fine: Collection[bytes]) -> dict[AnyKey, Exception]:
        parts: dict[str, list[tuple[AnyKey, bytes]]] = {}
        for key, command in commands.items():
            wire = legal(key)
            if (home := self._homes.node_of(wire)) not in self._changing:
                parts.setdefault(home, []).append((key, command))
                continue
            # Clients with the old list or with the next one look for it at either.
            for either in (home, self._homes_without.node_of(wire)):
                parts.setdefault(either, []).append((key, b"delete %b\r\n" % wire))
        work = {home: _asking([command for _, command in part]) for home, part in parts.items()}
        with self._call(name) as call:
            replies = self._each(call, work, {home: [legal(key) for key, _ in part] for home, part in parts.items()})
            failed = _failed(parts, replies, fine)
            call.problem = next(iter(failed.values()), None)
        return failed

    def _each(
        self, call: Call, work: Mapping[str, Callable[[Connection], Result]], writes: Mapping[str, Collection[bytes]]
    ) -> dict[str, Result | ShardAwayError]:
        """Does the work of each shard, all at once where there are several."""

        def one(home: str) -> Result | ShardAwayError:
            try:
                return self._shards[home].run(work[home], writes.get(home, ()), call.deadline)
            except ShardAwayError as error:
                call.problem = error
                return error

        if len(work) <= 1:
            call.peer = self._peer(*work)
            return {home: one(home) for home in work}
        running = {home: self._asking.submit(one, home) for home in work}
        return {home: each.result() for home, each in running.items()}


def _getting(keys: list[bytes]) -> Callable[[Connection], dict[bytes, tuple[bytes, int]]]:
    return lambda connection: connection.get(keys)


def _asking(commands: list[bytes]) -> Callable[[Connection], list[bytes]]:
    return lambda connection: connection.ask(commands)


def _failed(
    parts: Mapping[str, list[tuple[AnyKey, bytes]]], replies: Mapping[str, list[bytes] | ShardAwayError], fine: Collection[bytes]
) -> dict[AnyKey, Exception]:
    """The keys whose writes were not acknowledged, and why."""
    failed: dict[AnyKey, Exception] = {}
    for home, part in parts.items():
        answer = replies[home]
        if isinstance(answer, ShardAwayError):
            failed |= {key: answer for key, _ in part}
            continue
        for (key, _), reply in zip(part, answer, strict=True):
            if reply not in (*fine, b"DELETED", b"NOT_FOUND"):
                failed[key] = _problem(home, reply) or ReplyError(f"{home}: {reply.decode(errors='replace')}")
    return failed


def _problem(home: str, reply: bytes) -> ReplyError | None:
    return (
        ReplyError(f"{home}: {reply.decode(errors='replace')}") if reply.startswith((b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")) else None
    )


def _number(reply: bytes) -> int | None:
    return None if reply == b"NOT_FOUND" else int(reply)


def _raise_any(failed: Mapping[Any, Exception]) -> None:
    for error in failed.values():
        raise error
