"""The cache that something is done with, from the connection that its component exports."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from caches_runtime.ops.migrate.errors import RefusedError
from caches_runtime.ops.migrate.link import Endpoint


@dataclass(frozen=True)
class Cache:
    """Which servers there are, and how to get in."""

    engine: str
    mode: str
    writes: Endpoint
    """Where writes go."""
    servers: tuple[Endpoint, ...]
    """Every server that the connection names, the one that takes writes last."""

    @classmethod
    def read(cls, file: Path, folder: Path, *, memcached: bool = False) -> Self:
        """From a file with a connection in JSON; an authority in it is written to the folder. Raises RefusedError.

        Memcached is one to write to, and none to read.
        """
        try:
            connection: dict[str, Any] = json.loads(file.read_text())
            engine, host, port = connection["engine"], connection["host"], int(connection["port"])
            named = [Endpoint.parse(node) for node in connection.get("nodes", [])]
        except (OSError, ValueError, KeyError) as error:
            raise RefusedError(f"{file} has no connection that a cache exports: {type(error).__name__}: {error}") from None
        if engine == "memcached" and not memcached:
            raise RefusedError("memcached has no way to read all that it holds: fill it anew from where its data comes from")
        authority = None
        if connection.get("ca_pem"):
            authority = folder / "cache-ca.crt"
            authority.write_text(connection["ca_pem"])
        username, password = connection.get("username"), connection.get("password")
        tls = bool(connection.get("tls"))
        writes = Endpoint(host, port, username, password, tls, authority=authority if tls else None)
        if "reader_host" in connection:
            named.append(Endpoint(connection["reader_host"], int(connection["reader_port"])))
        servers = tuple(dict.fromkeys([*(writes.at(each.host, each.port) for each in named), writes]))
        return cls(engine, connection.get("mode", "standalone"), writes, servers)
