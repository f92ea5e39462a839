"""Functions, and methods of objects, whose results are cached."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from caches_runtime.patterns.arguments import key_of
from caches_runtime.patterns.blocking import LoadingCache
from caches_runtime.patterns.keys import Key
from caches_runtime.patterns.loading import AsyncLoadingCache

Cache = LoadingCache | AsyncLoadingCache
Given = ParamSpec("Given")
Result = TypeVar("Result")
Tags = Iterable[Key] | Callable[..., Iterable[Key]]


def cached(
    cache: Cache, *, key: Callable[..., Key] | None = None, tags: Tags = ()
) -> Callable[[Callable[Given, Result]], "CachedFunction[Given, Result]"]:
    """Makes a function look into the cache first. A coroutine function needs an AsyncLoadingCache, any other one a LoadingCache.

    The key is made of the function's name and its arguments, by `arguments.key_of`, or is what `key` makes of them. `tags` are some, or a
    function of the arguments. A result of None is that there is nothing: cached only with `negative_ttl_seconds`.
    """

    def decorate(function: Callable[Given, Result]) -> CachedFunction[Given, Result]:
        return CachedFunction(function, cache, key, tags)

    return decorate


class CachedFunction(Generic[Given, Result]):
    """One that is called as before. `invalidate` and `refresh` take its arguments; of a coroutine function both are awaited."""

    def __init__(self, function: Callable[Given, Result], cache: Cache, key: Callable[..., Key] | None, tags: Tags) -> None:
        if inspect.iscoroutinefunction(function) != isinstance(cache, AsyncLoadingCache):
            needed = "AsyncLoadingCache" if inspect.iscoroutinefunction(function) else "LoadingCache"
            raise TypeError(f"{function!r} needs a cache of the class {needed}, not {type(cache).__name__}")
        functools.update_wrapper(self, function)
        self._function, self._cache, self._key, self._tags = function, cache, key, tags

    def __call__(self, *arguments: Given.args, **options: Given.kwargs) -> Result:
        load = functools.partial(self._function, *arguments, **options)
        result: Any = self._cache.get_or_load(self.key(*arguments, **options), load, self._marks(arguments, options))
        return result  # type: ignore[no-any-return]

    def refresh(self, *arguments: Given.args, **options: Given.kwargs) -> Result:
        """Calls the function whatever is cached."""
        load = functools.partial(self._function, *arguments, **options)
        result: Any = self._cache.refresh(self.key(*arguments, **options), load, self._marks(arguments, options))
        return result  # type: ignore[no-any-return]

    def invalidate(self, *arguments: Given.args, **options: Given.kwargs) -> Any:
        """Makes the next call with these arguments ask the function; True when all see to that, as the cache's own `invalidate`."""
        return self._cache.invalidate(self.key(*arguments, **options))

    def key(self, *arguments: Given.args, **options: Given.kwargs) -> Key:
        """Under which the result is cached."""
        return self._key(*arguments, **options) if self._key else key_of(self._function, arguments, dict(options))

    def _marks(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Iterable[Key]:
        return self._tags(*arguments, **options) if callable(self._tags) else self._tags


@dataclass(frozen=True)
class Reads:
    """A rule: results of this method are cached, with tags that are some, or a function of its arguments."""

    tags: Tags = ()


@dataclass(frozen=True)
class Writes:
    """A rule: after this method, whether it succeeds or not, what has one of these tags is loaded anew."""

    tags: Tags


class Proxy:
    """An object whose methods obey rules; all else of it is as it was."""

    def __init__(self, behind: Any, cache: Cache, rules: Mapping[str, Reads | Writes]) -> None:
        """`rules` by method. Raises AttributeError for one that there is not, TypeError for one of the other kind than the cache."""
        self._behind, self._cache = behind, cache
        self._ruled: dict[str, Callable[..., Any]] = {}
        for name, rule in rules.items():
            method = getattr(behind, name)
            self._ruled[name] = CachedFunction(method, cache, None, rule.tags) if isinstance(rule, Reads) else self._writing(method, rule)

    def __getattr__(self, name: str) -> Any:
        ruled = self.__dict__["_ruled"].get(name)
        return getattr(self.__dict__["_behind"], name) if ruled is None else ruled

    def _writing(self, method: Callable[..., Any], rule: Writes) -> Callable[..., Any]:
        def marks(*arguments: Any, **options: Any) -> Iterable[Key]:
            return rule.tags(*arguments, **options) if callable(rule.tags) else rule.tags

        cache = self._cache
        if isinstance(cache, AsyncLoadingCache):

            @functools.wraps(method)
            async def writes_async(*arguments: Any, **options: Any) -> Any:
                try:
                    return await method(*arguments, **options)
                finally:
                    await cache.invalidate_tags(*marks(*arguments, **options))

            return writes_async

        @functools.wraps(method)
        def writes(*arguments: Any, **options: Any) -> Any:
            try:
                return method(*arguments, **options)
            finally:
                cache.invalidate_tags(*marks(*arguments, **options))

        return writes
