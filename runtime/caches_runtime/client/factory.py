"""Clients by name, from a configuration."""

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Self, TypeVar

from caches_runtime.client.connect import AsyncClient, Client, connect, connect_async
from caches_runtime.client.connection import ConnectionRefusedError
from caches_runtime.client.sources import KINDS, SourceError

VARIABLE = "CACHES_CONFIG"
Made = TypeVar("Made")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


# Those that a file can have: what is one, and that in words.
_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "budget": (lambda value: _is_number(value) and value > 0, "a number of seconds, more than 0"),
    "repeat": (_is_list, "a list of commands"),
    "credentials": (lambda value: isinstance(value, str), "the path of the file that has the password"),
    "reader": (_is_flag, "true or false"),
    "decode_responses": (_is_flag, "true or false"),
    "retry_seconds": (lambda value: _is_number(value) and value >= 0, "a number of seconds, not below 0"),
    "changing": (_is_list, "a list of HOST:PORT"),
}


class ConfigurationError(ValueError):
    """A configuration of caches is wrong: which cache, which field, its value and what it is. It never has a secret in it."""


class Factory:
    """
    Makes the clients that a configuration names, each once, when it is first asked for.

    A configuration has a table for each cache: `connection`, which is a cache's export or where that is (file:PATH, env:NAME,
    pulumi://STACK#OUTPUT), and options of `connect`: budget, repeat, credentials (a path), reader, decode_responses; for Memcached also
    retry_seconds and changing. A cache's name is the `name` of its client. For any number of threads; clients for asyncio belong to the
    loop that they are used in first.
    """

    def __init__(self, configuration: Mapping[str, Any] | Path | None = None) -> None:
        """From a mapping, a file (TOML, or JSON by its ending), or the file that CACHES_CONFIG names.

        Checks all but connections, which are read when they are needed. Raises ConfigurationError, with everything that is wrong.
        """
        caches = configuration if isinstance(configuration, Mapping) else _read(configuration)
        if problems := [problem for name, given in caches.items() for problem in _problems(name, given)]:
            raise ConfigurationError("caches can't be made:\n" + "\n".join(f"  * {problem}" for problem in problems))
        self._caches = {name: dict(given) for name, given in caches.items()}
        self._lock = Lock()
        self._clients: dict[str, Client] = {}
        self._async_clients: dict[str, AsyncClient] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the caches that there are."""
        return tuple(self._caches)

    def connect(self, name: str) -> Client:
        """The client of a cache for threads. Raises ConfigurationError, and what `connect` does."""
        return self._made(name, self._clients, connect)

    def connect_async(self, name: str) -> AsyncClient:
        """That for asyncio."""
        return self._made(name, self._async_clients, connect_async)

    def close(self) -> None:
        """Ends the connections of the clients for threads."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    async def aclose(self) -> None:
        """Ends those of both kinds."""
        self.close()
        while self._async_clients:
            await self._async_clients.popitem()[1].aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _made(self, name: str, clients: dict[str, Any], make: Any) -> Any:
        if name not in self._caches:
            raise ConfigurationError(f"{name}: no such cache; there are {', '.join(self._caches) or 'none'}")
        with self._lock:
            if name not in clients:
                options = dict(self._caches[name])
                connection = options.pop("connection")
                if "credentials" in options:
                    options["credentials"] = Path(options["credentials"])
                try:
                    clients[name] = make(connection, name=name, **options)
                except (ConnectionRefusedError, SourceError) as error:
                    raise ConfigurationError(f"{name}: {error}") from error
            return clients[name]


def _read(file: Path | None) -> Mapping[str, Any]:
    if file is None:
        if not (named := os.environ.get(VARIABLE)):
            raise ConfigurationError(f"{VARIABLE}: not set; it names the file of the caches' configuration, TOML or JSON")
        file = Path(named)
    try:
        text = file.read_text()
        found = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except ValueError as error:
        # Of a decoder only what it says, and not what it was given.
        raise ConfigurationError(f"{file}: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file}: a {type(found).__name__}, where a table for each cache is needed")
    return found


def _problems(name: str, given: Any) -> list[str]:
    if not isinstance(given, Mapping):
        return [f"{name}: a {type(given).__name__}, where a table with `connection` and options is needed"]
    problems = []
    connection = given.get("connection")
    if connection is None:
        problems.append(f"{name}.connection: missing; it is a cache's export, or where that is: {KINDS}")
    elif not isinstance(connection, str | Mapping):
        problems.append(f"{name}.connection: a {type(connection).__name__}; it is a cache's export, or where that is: {KINDS}")
    for option, value in given.items():
        if option == "connection":
            continue
        if option not in _OPTIONS:
            problems.append(f"{name}.{option}: unknown; there are connection, {', '.join(_OPTIONS)}")
        elif not _OPTIONS[option][0](value):
            problems.append(f"{name}.{option} = {value!r}: it is {_OPTIONS[option][1]}")
    return problems
