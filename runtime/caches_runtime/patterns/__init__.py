"""Patterns of caching over any client of `connect`, `connect_async` or MemcachedClient."""

from caches_runtime.patterns.blocking import LoadingCache
from caches_runtime.patterns.cached import Proxy, Reads, Writes, cached
from caches_runtime.patterns.codecs import BYTES, TEXT, Codec, ValueTooLargeError, json, msgpack
from caches_runtime.patterns.keys import Namespace, hashed
from caches_runtime.patterns.loading import AsyncLoadingCache
from caches_runtime.patterns.store import Store, StoreError
from caches_runtime.patterns.strategy import Strategy
from caches_runtime.patterns.write_behind import AsyncWriteBehind, WriteBehind
from caches_runtime.patterns.write_queue import QueueFullError

__all__ = [
    "BYTES",
    "TEXT",
    "AsyncLoadingCache",
    "AsyncWriteBehind",
    "Codec",
    "LoadingCache",
    "Namespace",
    "Proxy",
    "QueueFullError",
    "Reads",
    "Store",
    "StoreError",
    "Strategy",
    "ValueTooLargeError",
    "WriteBehind",
    "Writes",
    "cached",
    "hashed",
    "json",
    "msgpack",
]
