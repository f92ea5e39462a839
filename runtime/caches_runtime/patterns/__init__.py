"""Patterns of caching over any client of `connect`, `connect_async` or MemcachedClient."""

from caches_runtime.patterns.blocking import LoadingCache
from caches_runtime.patterns.codecs import BYTES, TEXT, Codec, ValueTooLargeError, json, msgpack
from caches_runtime.patterns.keys import Namespace, hashed
from caches_runtime.patterns.loading import AsyncLoadingCache
from caches_runtime.patterns.store import Store, StoreError
from caches_runtime.patterns.strategy import Strategy

__all__ = [
    "BYTES",
    "TEXT",
    "AsyncLoadingCache",
    "Codec",
    "LoadingCache",
    "Namespace",
    "Store",
    "StoreError",
    "Strategy",
    "ValueTooLargeError",
    "hashed",
    "json",
    "msgpack",
]
