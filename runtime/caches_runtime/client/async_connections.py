"""Connections for asyncio that note when a call's command is sent. A call's time is kept around them."""

import ssl
from typing import Any

from redis.asyncio.connection import Connection, RedisSSLContext, SSLConnection
from redis.asyncio.sentinel import SentinelManagedConnection

from caches_runtime.client.calls import PIPELINE, UNDER_WAY
from caches_runtime.ops.tls import context_of


class NotingConnection(Connection):
    """One without TLS."""

    _about: Any = None
    """What is about to be sent."""

    def pack_command(self, *args: Any) -> Any:
        """One, of whichever client."""
        self._about = args[0]
        return super().pack_command(*args)

    def pack_commands(self, commands: Any) -> Any:
        """Those of a pipeline."""
        packed = super().pack_commands(commands)
        self._about = PIPELINE
        return packed

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Connects first: what can't be connected has not sent anything."""
        about = self._about
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if call := UNDER_WAY.get():
            call.sends(about)
        await super().send_packed_command(command, check_health)


class _Context(RedisSSLContext):
    def get(self) -> ssl.SSLContext:
        return context_of(pem=str(self.ca_data)) if self.ca_data else ssl.create_default_context()


class NotingTlsConnection(SSLConnection, NotingConnection):
    """One with TLS."""

    def __init__(self, ssl_ca_data: str | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.ssl_context = _Context(ca_data=ssl_ca_data)


class NotingSentinelConnection(SentinelManagedConnection, NotingConnection):
    """One to what sentinels name."""


class NotingSentinelTlsConnection(SentinelManagedConnection, NotingTlsConnection):
    """The same with TLS."""
