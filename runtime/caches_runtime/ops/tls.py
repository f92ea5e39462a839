"""TLS to servers that are known by the authority of their certificate, and by no name: they are called by address, as by each other."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.connection import RedisSSLContext
from redis.asyncio.connection import SSLConnection as AsyncSSLConnection
from redis.connection import SSLConnection


def speak_tls(client: redis.Redis | redis.asyncio.Redis, ca_file: Path | None) -> None:
    """Makes a client that has not connected yet trust this authority and no other; without one it stays as it is."""
    if ca_file is None:
        return
    pool = client.connection_pool
    pool.connection_class = AuthorityConnection if isinstance(client, redis.Redis) else _AsyncConnection
    pool.connection_kwargs["ca_file"] = ca_file


def context_of(ca_file: str | Path | None = None, *, ca_pem: str | None = None) -> ssl.SSLContext:
    """Made anew for each connection: the authority may have been renewed. The client's own would trust the system's too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca_file, cadata=ca_pem)
    return context


class AuthorityConnection(SSLConnection):
    """A connection to a server that an authority vouches for."""

    def __init__(self, ca_file: Path, **more: Any) -> None:
        super().__init__(**more)
        self._ca_file = ca_file

    def _wrap_socket_with_ssl(self, sock: Any) -> ssl.SSLSocket:
        return context_of(self._ca_file).wrap_socket(sock)


class _Context(RedisSSLContext):
    def get(self) -> ssl.SSLContext:
        return context_of(str(self.ca_certs))


class _AsyncConnection(AsyncSSLConnection):
    def __init__(self, ca_file: Path, **more: Any) -> None:
        super().__init__(**more)
        self.ssl_context = _Context(ca_certs=str(ca_file))
