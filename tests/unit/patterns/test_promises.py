"""A reader never sees a value older than the pattern promises."""

from __future__ import annotations

import pytest
from caches_runtime.patterns import Strategy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from unit.patterns.programs import FAULTS, Step, World, programs
from unit.patterns.sides import Side

PLAIN = Strategy(load_seconds=0.1, rest_seconds=0)
STRATEGIES = st.sampled_from(
    [
        PLAIN,
        Strategy(load_seconds=0.1, rest_seconds=0, early_refresh=100, stale_seconds=10, ttl_seconds=1),
        Strategy(load_seconds=0.1, rest_seconds=0.2, refresh_ahead=0.9, negative_ttl_seconds=5, compression="lz4"),
    ]
)
SOME = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

OVERTAKEN = [Step("read", 0, "a", after=(Step("write", 1, "a"),))]
LOADED_INSIDE_A_WRITE = [Step("write", 0, "a", before=(Step("invalidate", 1, "a"), Step("read", 1, "a")))]


async def runs(over: Side, strategy: Strategy, program: list[Step]) -> None:
    world = World(over, strategy)
    try:
        await world.run(program)
        await world.end()
    finally:
        await world.recover()


@SOME
@example(strategy=PLAIN, program=OVERTAKEN)
@example(strategy=PLAIN, program=LOADED_INSIDE_A_WRITE)
@given(strategy=STRATEGIES, program=programs("evict"))
def test_no_reader_sees_a_value_older_than_promised(over: Side, strategy: Strategy, program: list[Step]) -> None:
    over.run(runs(over, strategy, program))


@settings(SOME, max_examples=6)
@given(strategy=STRATEGIES, program=programs(*FAULTS))
def test_nor_when_the_cache_hangs_and_dies(over: Side, strategy: Strategy, program: list[Step]) -> None:
    over.run(runs(over, strategy, program))


@pytest.mark.long
@settings(SOME, max_examples=400)
@given(strategy=STRATEGIES, program=programs("evict"))
def test_no_reader_sees_a_value_older_than_promised_in_many_programs(over: Side, strategy: Strategy, program: list[Step]) -> None:
    over.run(runs(over, strategy, program))


@pytest.mark.long
@settings(SOME, max_examples=150)
@given(strategy=STRATEGIES, program=programs(*FAULTS))
def test_nor_when_the_cache_hangs_and_dies_in_many_programs(over: Side, strategy: Strategy, program: list[Step]) -> None:
    over.run(runs(over, strategy, program))
