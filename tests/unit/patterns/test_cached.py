"""Functions and objects whose results are cached, by the arguments that they are called with."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from caches_runtime.client import connect, connect_async
from caches_runtime.patterns import AsyncLoadingCache, LoadingCache, Namespace, Proxy, Reads, Writes, cached
from caches_runtime.patterns.arguments import key_of
from hypothesis import given
from hypothesis import strategies as st
from unit.client.processes import Processes, processes
from unit.sentinel import loop


class Colour(enum.Enum):
    RED = 1


def function(first: Any, second: Any = 2, *more: Any, named: Any = None, **others: Any) -> None:
    """Only its signature counts."""


@pytest.fixture(scope="module")
def server() -> Iterator[Processes]:
    with processes() as running:
        running.serve(1)
        yield running


@pytest.fixture
def cache(server: Processes) -> Iterator[LoadingCache]:
    with LoadingCache(connect(server.connection(1), budget=10), Namespace(uuid4().hex)) as made:
        yield made


def key(*arguments: Any, **options: Any) -> bytes:
    return key_of(function, arguments, options)


def test_all_ways_to_write_a_call_have_one_key() -> None:
    assert key(1) == key(first=1) == key(1, 2) == key(second=2, first=1, named=None)
    assert key(1, b=1, a=2) == key(1, a=2, b=1)


def test_other_arguments_have_another_key() -> None:
    calls: list[Callable[[], bytes]] = [
        *(lambda value=value: key(value) for value in (1, 1.0, True, "1", b"1", None, (1,), ((1,),), frozenset([1]), Colour.RED, "None")),
        lambda: key(1, 2, 3),
        lambda: key(1, (2, 3)),
        lambda: key(1, named=2),
        lambda: key(1, other=2),
        lambda: key("1,second=int:2"),
        lambda: key(datetime.date(2026, 1, 1)),
        lambda: key(datetime.datetime(2026, 1, 1)),
    ]
    assert len({call() for call in calls}) == len(calls)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(), lambda of: st.tuples(of, of)
)


@given(one=PLAIN, other=PLAIN)
def test_two_arguments_have_one_key_only_when_they_are_the_same(one: Any, other: Any) -> None:
    assert (key(one) == key(other)) == (repr(one) == repr(other))


@pytest.mark.parametrize("argument", [[1], {"a": 1}, {1}, object(), float("nan"), (1, [2])], ids=lambda value: type(value).__name__)
def test_an_argument_without_a_certain_form_is_refused(argument: Any) -> None:
    with pytest.raises(TypeError, match="argument first is of type"):
        key(argument)


def test_a_function_is_asked_once_until_it_is_invalidated_or_refreshed(cache: LoadingCache) -> None:
    asked: list[int] = []

    @cached(cache, tags=lambda number, **_: [f"number-{number}"])
    def twice(number: int, *, loud: bool = False) -> int:
        asked.append(number)
        return number * 2

    assert [twice(1), twice(number=1, loud=False), twice(2)] == [2, 2, 4]
    assert asked == [1, 2]
    assert twice.invalidate(1)
    assert [twice(1), twice.refresh(2), twice(2)] == [2, 4, 4]
    assert asked == [1, 2, 1, 2]
    assert cache.invalidate_tags("number-1")
    assert [twice(1), twice(2)] == [2, 4]
    assert asked == [1, 2, 1, 2, 1]


def test_a_coroutine_function_is_asked_once_too(server: Processes) -> None:
    asked: list[int] = []

    async def asks() -> list[int]:
        client = connect_async(server.connection(1), budget=10)

        @cached(AsyncLoadingCache(client, Namespace(uuid4().hex)))
        async def twice(number: int) -> int:
            asked.append(number)
            return number * 2

        values = [await twice(1), await twice(1), await twice.refresh(1)]
        assert await twice.invalidate(1)
        values.append(await twice(1))
        await client.aclose()
        return values

    assert loop.run(asks()) == [2] * 4
    assert asked == [1] * 3


def test_a_function_of_the_other_kind_is_refused_at_once(cache: LoadingCache) -> None:
    async def function() -> None:
        """Not called."""

    with pytest.raises(TypeError, match="needs a cache of the class AsyncLoadingCache, not LoadingCache"):
        cached(cache)(function)


def test_a_key_of_one_s_own_is_for_arguments_of_any_kind(cache: LoadingCache) -> None:
    asked: list[Any] = []

    @cached(cache, key=lambda given: f"sum-{sum(given)}")
    def total(given: list[int]) -> int:
        asked.append(given)
        return sum(given)

    assert [total([1, 2]), total([3])] == [3, 3]
    assert asked == [[1, 2]]


class Shop:
    """An object that nobody wrote for a cache."""

    name = "the shop"

    def __init__(self) -> None:
        self.prices = {"chair": 10}
        self.asked = 0

    def price(self, of: str) -> int:
        self.asked += 1
        return self.prices[of]

    def change(self, of: str, price: int) -> None:
        self.prices[of] = price
        if price < 0:
            raise ValueError("below 0")


def test_an_object_obeys_rules_and_is_else_as_it_was(cache: LoadingCache) -> None:
    shop = Shop()
    proxy = Proxy(shop, cache, {"price": Reads(tags=lambda of: [of]), "change": Writes(tags=lambda of, _: [of])})
    assert [proxy.price("chair"), proxy.price("chair"), shop.asked, proxy.name] == [10, 10, 1, "the shop"]
    proxy.change("chair", 11)
    assert [proxy.price("chair"), shop.asked] == [11, 2]
    with pytest.raises(ValueError, match="below 0"):
        proxy.change("chair", -1)
    assert [proxy.price("chair"), shop.asked] == [-1, 3]
    with pytest.raises(AttributeError, match="no attribute 'cost'"):
        Proxy(shop, cache, {"cost": Reads()})
