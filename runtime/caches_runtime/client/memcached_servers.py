"""The servers that a `connection` of Memcached names."""

import ssl
from collections.abc import Mapping
from typing import Any

from caches_runtime.client.credentials import Credentials
from caches_runtime.client.memcached_connection import Server
from caches_runtime.ops.migrate.link import Endpoint
from caches_runtime.ops.tls import context_of

_MODES = ("sharded", "standalone")


def servers_of(connection: Mapping[str, Any], credentials: Credentials | None = None) -> list[Server]:
    """Every shard, with the connection's password unless there are credentials; with mode standalone the one server, or proxy.

    Raises ValueError, with what is wrong with the connection.
    """
    engine, mode = connection.get("engine"), connection.get("mode", "standalone")
    if engine != "memcached":
        raise ValueError(f"connection: engine = {engine!r}: must be 'memcached'")
    if mode not in _MODES:
        raise ValueError(f"connection: mode = {mode!r}: must be {' or '.join(map(repr, _MODES))} for Memcached")
    try:
        addresses = list(connection["nodes"]) if mode == "sharded" else [str(Endpoint(connection["host"], int(connection["port"])))]
    except KeyError as missing:
        raise ValueError(f"connection: {missing} is missing, which mode {mode!r} needs") from None
    if not addresses:
        raise ValueError("connection: nodes is empty: it must name at least one server as host:port")
    username, password = connection.get("username"), credentials or connection.get("password")
    if password is not None and not username:
        raise ValueError("connection: password is given, and no username")
    context = None
    if connection.get("tls"):
        pem = connection.get("ca_pem")
        context = context_of(pem=pem) if pem else ssl.create_default_context()
    try:
        parsed = [Endpoint.parse(address) for address in addresses]
    except ValueError as error:
        raise ValueError(f"connection: nodes: {error}") from None
    return [Server(each.host, each.port, username, password, context) for each in parsed]
