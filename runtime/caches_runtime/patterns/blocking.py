"""The same cache for threads."""

from collections.abc import Callable, Iterable
from typing import Any, Self, Unpack

from caches_runtime.patterns.driving import Threads, run
from caches_runtime.patterns.keys import Key, Namespace
from caches_runtime.patterns.loading import AsyncLoadingCache, Source
from caches_runtime.patterns.strategy import Strategy


class LoadingCache:
    """AsyncLoadingCache for any number of threads, with the same methods and promises. Use it in `with`, or close it."""

    def __init__(self, client: Any, namespace: Namespace, strategy: Strategy | None = None, **source: Unpack[Source]) -> None:
        """`client` is what connect returns, a MemcachedClient, or a Store whose coroutines never suspend."""
        self.inner = AsyncLoadingCache(client, namespace, strategy, Threads(), **source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, key: Key, tags: Iterable[Key] = ()) -> Any:
        """As AsyncLoadingCache.get."""
        return run(self.inner.get(key, tags))

    def get_or_load(self, key: Key, load: Callable[[], Any], tags: Iterable[Key] = ()) -> Any:
        """As AsyncLoadingCache.get_or_load."""
        return run(self.inner.get_or_load(key, load, tags))

    def refresh(self, key: Key, load: Callable[[], Any] | None = None, tags: Iterable[Key] = ()) -> Any:
        """As AsyncLoadingCache.refresh."""
        return run(self.inner.refresh(key, load, tags))

    def write(self, key: Key, value: Any, tags: Iterable[Key] = (), write: Callable[[Key, Any], Any] | None = None) -> bool:
        """As AsyncLoadingCache.write."""
        return run(self.inner.write(key, value, tags, write))

    def invalidate(self, *keys: Key) -> bool:
        """As AsyncLoadingCache.invalidate."""
        return run(self.inner.invalidate(*keys))

    def invalidate_tags(self, *tags: Key) -> bool:
        """As AsyncLoadingCache.invalidate_tags."""
        return run(self.inner.invalidate_tags(*tags))

    def clear(self) -> bool:
        """As AsyncLoadingCache.clear."""
        return run(self.inner.clear())

    def close(self) -> None:
        """Waits for loads in the background. The client stays as it is."""
        run(self.inner.aclose())
