"""Caches of `caches_runtime.patterns` that are told what has changed."""

from caches_runtime.observers.change import Change
from caches_runtime.patterns.blocking import LoadingCache


class NotInvalidatedError(Exception):
    """The cache was away. The process knows, and reads past it until it has made up for it; others may read what was there."""


class InvalidatesPattern:
    """Tells a LoadingCache, and so all that have its namespace, also in asyncio and in other processes: keys and tags as they name them."""

    def __init__(self, cache: LoadingCache) -> None:
        """Raises TypeError for a namespace that is not clearable: that anything may have changed can be said at any time."""
        if not cache.inner.namespace.clearable:
            raise TypeError(
                f"namespace {cache.inner.namespace.name} is not clearable, and observers may say that anything has changed: "
                "make it with clearable=True"
            )
        self._cache = cache

    def invalidated(self, change: Change) -> None:
        """Prefixes as everything, because a pattern does not know its keys. Raises NotInvalidatedError."""
        if change.everything or change.prefixes:
            done = self._cache.clear()
        else:
            done = self._cache.invalidate(*change.keys) & self._cache.invalidate_tags(*change.tags)
        if not done:
            raise NotInvalidatedError("the cache is away; this process reads past it until that was made up for")
