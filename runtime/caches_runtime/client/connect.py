"""Clients for a connection, whose calls take no longer than they may and are repeated only where that is safe."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelPool
from redis.backoff import NoBackoff
from redis.cluster import LoadBalancingStrategy
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from caches_runtime.client import async_connections, sockets
from caches_runtime.client.clients import AsyncCache, AsyncClusterCache, Cache, ClusterCache
from caches_runtime.client.connection import Connection, ConnectionRefusedError, snake_case
from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.client.memcached_async import AsyncMemcachedClient
from caches_runtime.client.memcached_options import MemcachedOptions
from caches_runtime.client.plan import Options, Plan
from caches_runtime.client.sources import read_source
from caches_runtime.ops.migrate.link import Endpoint

# Any stands for the clients of Memcached, so that who has Redis may use all of redis-py without asking which it is.
Client = Cache | ClusterCache | Any
AsyncClient = AsyncCache | AsyncClusterCache | Any
Taken = TypeVar("Taken", Options, MemcachedOptions)


def connect(connection: Mapping[str, Any] | str, **options: Any) -> Client:
    """
    A client for threads: of redis-py for a cache of Redis or Valkey, MemcachedClient for Memcached.

    `connection` is what a cache exports, with its secrets shown, or says where that is: file:PATH, env:NAME, pulumi://STACK#OUTPUT.
    Options, all of which can be left out:

    * `budget` (seconds, 2): how long a call may take in all: connecting, logging in, asking sentinels, attempts, pauses.
    * `repeat` (names of commands): those that may be carried out twice, besides the ones that only read.
    * `credentials` (a path or a function): where the password of now is; asked for each connection that is made.
    * `reader` (False): reads from replicas, which may be behind; of one server, by its reader endpoint.
    * `name` ("caches"): what the cache is called in metrics, spans and errors.
    * `decode_responses` (False): text instead of bytes.

    Memcached takes `budget`, `name`, `credentials`, and what else MemcachedClient does. Only a client of a cluster connects at once.
    Raises ConnectionRefusedError for what can't be a connection, SourceError where that can't be read, MissingExtraError for a cloud's
    login that is not installed; and for each call what redis-py does, BudgetSpentError, and UncertainError for a command that was sent,
    has no answer, and is not to be repeated.
    """
    given, described = _read(connection)
    if described.engine == "memcached":
        return MemcachedClient(given, **_memcached(options))
    return _CLIENTS[described.mode][0](Plan.of(described, _options(Options, options)))


def connect_async(connection: Mapping[str, Any] | str, **options: Any) -> AsyncClient:
    """The same for asyncio, with the same options. None connects at once; a source is read at once, which may take a moment."""
    given, described = _read(connection)
    if described.engine == "memcached":
        return AsyncMemcachedClient(given, **_memcached(options))
    return _CLIENTS[described.mode][1](Plan.of(described, _options(Options, options)))


def _read(connection: Mapping[str, Any] | str) -> tuple[dict[str, Any], Connection]:
    given = read_source(connection) if isinstance(connection, str) else connection
    described = Connection.read(given)
    return snake_case(given), described


def _options(kind: type[Taken], given: Mapping[str, Any]) -> Taken:
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(given) - set(known)):
        raise TypeError(f"{', '.join(unknown)}: no such option; there are {', '.join(known)}")
    options = kind(**given)
    if not options.budget > 0:
        raise ConnectionRefusedError(f"budget = {options.budget!r}: it is more than 0 seconds")
    return options


def _memcached(given: Mapping[str, Any]) -> dict[str, Any]:
    return _options(MemcachedOptions, MemcachedOptions.sensible(given)).arguments


def _standalone(plan: Plan) -> Cache | ClusterCache:
    kind = plan.kind(sockets.BoundedConnection, sockets.BoundedTlsConnection)
    server = plan.server
    pool = redis.ConnectionPool(connection_class=kind, host=server.host, port=server.port, **plan.single)
    return Cache(plan.calls, connection_pool=pool)


def _standalone_async(plan: Plan) -> AsyncCache | AsyncClusterCache:
    kind = plan.kind(async_connections.NotingConnection, async_connections.NotingTlsConnection)
    server = plan.server
    pool = redis.asyncio.ConnectionPool(connection_class=kind, host=server.host, port=server.port, **plan.single)
    return AsyncCache(plan.calls, connection_pool=pool)


def _sentinel(plan: Plan) -> Cache | ClusterCache:
    asked = Sentinel(plan.addresses, sentinel_kwargs=plan.sentinels)  # type: ignore[no-untyped-call]
    plan.told(asked.sentinels, plan.kind(sockets.BoundedConnection, sockets.BoundedTlsConnection))
    more = plan.named(plan.kind(sockets.SentinelConnection, sockets.SentinelTlsConnection))
    return Cache(plan.calls, connection_pool=SentinelConnectionPool(plan.connection.master_name, asked, **more))  # type: ignore[no-untyped-call]


def _sentinel_async(plan: Plan) -> AsyncCache | AsyncClusterCache:
    asked = AsyncSentinel(plan.addresses, sentinel_kwargs=plan.sentinels)  # type: ignore[no-untyped-call]
    plan.told(asked.sentinels, plan.kind(async_connections.NotingConnection, async_connections.NotingTlsConnection))
    more = plan.named(plan.kind(async_connections.NotingSentinelConnection, async_connections.NotingSentinelTlsConnection))
    return AsyncCache(plan.calls, connection_pool=AsyncSentinelPool(plan.connection.master_name, asked, **more))  # type: ignore[no-untyped-call]


def _starts(plan: Plan) -> list[Endpoint]:
    """Nodes to learn a cluster from."""
    return list(dict.fromkeys([Endpoint(plan.connection.host, plan.connection.port), *plan.connection.nodes]))


def _cluster(plan: Plan) -> Cache | ClusterCache:
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
            load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN if plan.reader else None,
            retry=Retry(NoBackoff(), 0),
            **plan.common,
        ),
    )


def _cluster_async(plan: Plan) -> AsyncCache | AsyncClusterCache:
    nodes = [redis.asyncio.cluster.ClusterNode(each.host, each.port) for each in _starts(plan)]
    client = AsyncClusterCache(
        plan.calls,
        startup_nodes=nodes,
        ssl=plan.connection.tls,
        load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN if plan.reader else None,
        retry=Retry(NoBackoff(), 0),
        **plan.common,
    )
    client.use(plan.kind(async_connections.NotingConnection, async_connections.NotingTlsConnection))
    return client


_CLIENTS: dict[str, tuple[Callable[[Plan], Cache | ClusterCache], Callable[[Plan], AsyncCache | AsyncClusterCache]]] = {
    "standalone": (_standalone, _standalone_async),
    "sentinel": (_sentinel, _sentinel_async),
    "cluster": (_cluster, _cluster_async),
}
