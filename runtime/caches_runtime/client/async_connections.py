"""Connections for asyncio that note when a call's command is sent. A call's time is kept around them."""

import ssl
from typing import Any

import redis
from redis.asyncio.connection import Connection, RedisSSLContext, SSLConnection
from redis.asyncio.sentinel import SentinelManagedConnection

from caches_runtime.client.calls import PIPELINE, UNDER_WAY
from caches_runtime.client.logins.tokens import Token, Tokens
from caches_runtime.ops.tls import context_of


class NotingConnection(Connection):
    """One without TLS."""

    _about: Any = None
    """What is about to be sent."""
    _token: Token | None = None
    """What it has logged in with, where that ends."""

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Logs in, or is not connected: a call may end while it waits for credentials."""
        try:
            if isinstance(self.credential_provider, Tokens):
                self._token = await self.credential_provider.token_async()
            await super().on_connect_check_health(check_health)
        except BaseException:
            await self.disconnect(nowait=True)
            raise

    async def _log_in_anew(self) -> None:
        """If there is a newer token than when it did."""
        login = self.credential_provider
        if not isinstance(login, Tokens) or (token := await login.token_async()) is self._token:
            return
        self._token = token
        await self.send_command("AUTH", token.username, token.password, check_health=False)
        try:
            await self.read_response()
        except redis.RedisError:
            await self.disconnect()
            raise

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
        call = UNDER_WAY.get()
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        elif call and about != "AUTH":  # what has no call, such as pub/sub, may not be able to
            await self._log_in_anew()
        if call:
            call.sends(about, self.host, self.port)
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
