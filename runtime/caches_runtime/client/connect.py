"""Clients of redis-py for a connection, whose calls take no longer than they may and are repeated only where that is safe."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelPool
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from caches_runtime.client import async_connections, sockets
from caches_runtime.client.calls import REPEATABLE, Calls
from caches_runtime.client.clients import AsyncCache, AsyncClusterCache, Cache, ClusterCache
from caches_runtime.client.connection import Connection, ConnectionRefusedError
from caches_runtime.client.credentials import Credentials, Renewing
from caches_runtime.ops.migrate.link import Endpoint

BUDGET_SECONDS = 2.0
Client = Cache | ClusterCache
AsyncClient = AsyncCache | AsyncClusterCache


def connect(connection: Mapping[str, Any], **options: Any) -> Client:
    """
    A client of redis-py, for threads, of a cache of Redis or Valkey.

    `connection` is what a cache exports, with its secrets shown. Options, all of which can be left out:

    * `budget` (seconds, 2): how long a call may take in all: connecting, logging in, asking sentinels, attempts, pauses.
    * `repeat` (names of commands): those that may be carried out twice, besides the ones that only read.
    * `credentials` (a path or a function): where the password of now is; asked for each connection that is made.
    * `reader` (False): reads from replicas, which may be behind; of one server, by its reader endpoint.
    * `name` ("caches"): what the cache is called in metrics and errors.
    * `decode_responses` (False): text instead of bytes.

    Only a client of a cluster connects at once. Raises ConnectionRefusedError for what can't be a connection, and for each call
    what redis-py does, BudgetSpentError, and UncertainError for a command that was sent, has no answer, and is not to be repeated.
    """
    plan = _Plan.of(connection, _Options(**options))
    return _MODES[plan.connection.mode][0](plan)


def connect_async(connection: Mapping[str, Any], **options: Any) -> AsyncClient:
    """The same for asyncio, with the same options. None connects at once."""
    plan = _Plan.of(connection, _Options(**options))
    return _MODES[plan.connection.mode][1](plan)


@dataclass(frozen=True)
class _Options:
    budget: float = BUDGET_SECONDS
    repeat: Iterable[str] = ()
    credentials: Credentials | None = None
    reader: bool = False
    name: str = "caches"
    decode_responses: bool = False


@dataclass(frozen=True)
class _Plan:
    """What is to be connected to, and how."""

    connection: Connection
    calls: Calls
    reader: bool
    common: dict[str, Any]
    """What redis-py is told of every connection."""

    @classmethod
    def of(cls, given: Mapping[str, Any], options: _Options) -> "_Plan":
        if not options.budget > 0:
            raise ConnectionRefusedError(f"budget = {options.budget!r}: it is more than 0 seconds")
        connection = Connection.read(given, tuple(_MODES))
        repeat = REPEATABLE | {name.upper() for name in options.repeat}
        calls = Calls(options.name, options.budget, repeat, renewing=options.credentials is not None)
        password = connection.password
        if options.credentials is None and password is None and connection.needs_password:
            raise ConnectionRefusedError("password: missing; give it, or `credentials`, or auth = none for a cache without one")
        # Where others can be asked who serves instead of one that hangs, there has to be time for it.
        wait = options.budget if connection.mode == "standalone" else options.budget / 4
        common: dict[str, Any] = {
            "decode_responses": options.decode_responses,
            "socket_timeout": wait,
            "socket_connect_timeout": wait,
            "protocol": 2,
            "driver_info": None,  # else it sends commands that not every user may
        }
        if options.credentials is not None:
            common["credential_provider"] = Renewing(connection.username, options.credentials)
        elif password is not None:
            common["credential_provider"] = Renewing(connection.username, lambda: password)
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


def _standalone(plan: _Plan) -> Client:
    kind = plan.kind(sockets.BoundedConnection, sockets.BoundedTlsConnection)
    server = plan.server
    pool = redis.ConnectionPool(connection_class=kind, host=server.host, port=server.port, **plan.single)
    return Cache(plan.calls, connection_pool=pool)


def _standalone_async(plan: _Plan) -> AsyncClient:
    kind = plan.kind(async_connections.NotingConnection, async_connections.NotingTlsConnection)
    server = plan.server
    pool = redis.asyncio.ConnectionPool(connection_class=kind, host=server.host, port=server.port, **plan.single)
    return AsyncCache(plan.calls, connection_pool=pool)


def _sentinel(plan: _Plan) -> Client:
    asked = Sentinel(plan.addresses, sentinel_kwargs=plan.sentinels)  # type: ignore[no-untyped-call]
    plan.told(asked.sentinels, plan.kind(sockets.BoundedConnection, sockets.BoundedTlsConnection))
    more = plan.named(plan.kind(sockets.SentinelConnection, sockets.SentinelTlsConnection))
    return Cache(plan.calls, connection_pool=SentinelConnectionPool(plan.connection.master_name, asked, **more))  # type: ignore[no-untyped-call]


def _sentinel_async(plan: _Plan) -> AsyncClient:
    asked = AsyncSentinel(plan.addresses, sentinel_kwargs=plan.sentinels)  # type: ignore[no-untyped-call]
    plan.told(asked.sentinels, plan.kind(async_connections.NotingConnection, async_connections.NotingTlsConnection))
    more = plan.named(plan.kind(async_connections.NotingSentinelConnection, async_connections.NotingSentinelTlsConnection))
    return AsyncCache(plan.calls, connection_pool=AsyncSentinelPool(plan.connection.master_name, asked, **more))  # type: ignore[no-untyped-call]


def _starts(plan: _Plan) -> list[Endpoint]:
    """Nodes to learn a cluster from."""
    return list(dict.fromkeys([Endpoint(plan.connection.host, plan.connection.port), *plan.connection.nodes]))


def _cluster(plan: _Plan) -> Client:
    first, *others = _starts(plan)
    nodes = [redis.cluster.ClusterNode(each.host, each.port) for each in others]  # type: ignore[no-untyped-call]
    return plan.calls.run(
        "CONNECT",
        lambda: ClusterCache(
            plan.calls,
            # The only way by which it takes a class of connections.
            url=f"redis://{first}",
            startup_nodes=list(nodes),
            connection_class=plan.kind(sockets.BoundedConnection, sockets.BoundedTlsConnection),
            read_from_replicas=plan.reader,
            retry=Retry(NoBackoff(), 0),
            **plan.common,
        ),
    )


def _cluster_async(plan: _Plan) -> AsyncClient:
    nodes = [redis.asyncio.cluster.ClusterNode(each.host, each.port) for each in _starts(plan)]
    client = AsyncClusterCache(
        plan.calls,
        startup_nodes=nodes,
        ssl=plan.connection.tls,
        read_from_replicas=plan.reader,
        retry=Retry(NoBackoff(), 0),
        **plan.common,
    )
    client.use(plan.kind(async_connections.NotingConnection, async_connections.NotingTlsConnection))
    return client


# Every mode that there is a client for, and no other.
_MODES: dict[str, tuple[Callable[[_Plan], Client], Callable[[_Plan], AsyncClient]]] = {
    "standalone": (_standalone, _standalone_async),
    "sentinel": (_sentinel, _sentinel_async),
    "cluster": (_cluster, _cluster_async),
}
