"""What an application uses a cache with: `connect` and `connect_async`, from the connection that a component exports."""

from caches_runtime.client.calls import BudgetSpentError, UncertainError
from caches_runtime.client.connect import connect, connect_async
from caches_runtime.client.connection import Connection, ConnectionRefusedError
from caches_runtime.client.factory import ConfigurationError, Factory
from caches_runtime.client.logins import MissingExtraError
from caches_runtime.client.logins.tokens import NoTokenError
from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.client.memcached_async import AsyncMemcachedClient
from caches_runtime.client.memcached_connection import LoginRefusedError, ReplyError
from caches_runtime.client.memcached_shard import ShardAwayError
from caches_runtime.client.sources import SourceError

__all__ = [
    "AsyncMemcachedClient",
    "BudgetSpentError",
    "ConfigurationError",
    "Connection",
    "ConnectionRefusedError",
    "Factory",
    "LoginRefusedError",
    "MemcachedClient",
    "MissingExtraError",
    "NoTokenError",
    "ReplyError",
    "ShardAwayError",
    "SourceError",
    "UncertainError",
    "connect",
    "connect_async",
]
