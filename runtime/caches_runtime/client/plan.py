"""How a client of Redis or Valkey is made: the options that it takes, and what redis-py is told."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from caches_runtime.client.calls import REPEATABLE, Calls
from caches_runtime.client.connection import Connection, ConnectionRefusedError
from caches_runtime.client.credentials import Credentials, Renewing
from caches_runtime.client.logins import login_of
from caches_runtime.client.logins.tokens import Tokens
from caches_runtime.client.observation import Observed
from caches_runtime.ops.migrate.link import Endpoint

BUDGET_SECONDS = 2.0


@dataclass(frozen=True)
class Options:
    """What `connect` takes for Redis and Valkey."""

    budget: float = BUDGET_SECONDS
    repeat: Iterable[str] = ()
    credentials: Credentials | None = None
    reader: bool = False
    name: str = "caches"
    decode_responses: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be connected to, and how."""

    connection: Connection
    calls: Calls
    reader: bool
    common: dict[str, Any]
    """What redis-py is told of every connection."""

    @classmethod
    def of(cls, connection: Connection, options: Options) -> "Plan":
        """Raises ConnectionRefusedError for what does not go together."""
        login = _login(connection, options)
        repeat = REPEATABLE | {name.upper() for name in options.repeat}
        about = Observed(options.name, connection.engine, connection.host, connection.port)
        calls = Calls(about, options.budget, repeat, login.renew if login and (options.credentials or connection.uses_tokens) else None)
        # Where others can be asked who serves instead of one that hangs, there has to be time for it.
        wait = options.budget if connection.mode == "standalone" else options.budget / 4
        common: dict[str, Any] = {
            "decode_responses": options.decode_responses,
            "socket_timeout": wait,
            "socket_connect_timeout": wait,
            "protocol": 2,
            "driver_info": None,  # else it sends commands that not every user may
        }
        if login:
            common["credential_provider"] = login
        if connection.tls:
            common["ssl_ca_data"] = connection.ca_pem
        return cls(connection, calls, options.reader, common)

    @property
    def single(self) -> dict[str, Any]:
        """Of a client that is not a cluster's: it makes no attempts of its own."""
        return {**self.common, "retry": Retry(NoBackoff(), 0)}

    @property
    def server(self) -> Endpoint:
        """Of a cache that has one address for each purpose."""
        own = Endpoint(self.connection.host, self.connection.port)
        return (self.connection.reader or own) if self.reader else own

    @property
    def sentinels(self) -> dict[str, Any]:
        """Of questions to sentinels: one that hangs leaves the others time."""
        share = self.calls.budget / (len(self.connection.sentinels) + 2)
        timeouts = {"socket_timeout": share, "socket_connect_timeout": share}
        single = {name: value for name, value in self.single.items() if name != "ssl_ca_data"}
        return {**single, **timeouts, "decode_responses": True}

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Of the sentinels."""
        return [(each.host, each.port) for each in self.connection.sentinels]

    def named(self, kind: type) -> dict[str, Any]:
        """Of connections of that kind, to what sentinels name."""
        return {**self.single, "connection_class": kind, "is_master": not self.reader}

    def told(self, sentinels: Iterable[redis.Redis | redis.asyncio.Redis], kind: type) -> None:
        """Makes sentinels be asked over connections of that kind."""
        for pool in (sentinel.connection_pool for sentinel in sentinels):
            pool.connection_class = kind
            if self.connection.tls:
                pool.connection_kwargs["ssl_ca_data"] = self.connection.ca_pem

    def kind(self, plain: type, tls: type) -> Any:
        """Of connections."""
        return tls if self.connection.tls else plain


def _login(connection: Connection, options: Options) -> Renewing | Tokens | None:
    if options.credentials is not None:
        return Renewing(connection.username, options.credentials)
    if connection.uses_tokens:
        return login_of(connection)
    if connection.password is not None:
        return Renewing(connection.username, connection.password)
    if connection.auth == "none":
        return None
    raise ConnectionRefusedError("password: missing; give it, or `credentials`, or auth = none for a cache without one")
