"""A primary and a standby, each a real server: who is in charge, and what is lost when that changes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.multicloud import AsyncPrimaryStandby, NotConvergedError, PrimaryStandby, QuorumError, RefusedError, StandbyPolicy
from unit.client.processes import processes
from unit.multicloud.clouds import SECONDS, Clouds, run, until

PATIENT = StandbyPolicy(budget_seconds=10)


def standby(under: Clouds, number: int = 1, policy: StandbyPolicy = PATIENT, **more: Any) -> AsyncPrimaryStandby:
    places = {name: place for name, place in under.connections().items() if name != "gcp"}
    return AsyncPrimaryStandby(places, "aws", policy, folder=under.folder(number), **more)


@pytest.fixture(params=["redis", "valkey"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("fault", ["kill", "hang"])
def test_the_standby_takes_over_with_all_that_was_acknowledged(engine: str, fault: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with standby(under) as cache:
            for number in range(100):
                await cache.set(f"key{number}", b"%d" % number)
            await cache.delete("key0")
            assert (cache.primary, cache.epoch) == ("aws", 1)
            getattr(under, fault)("aws")
            await cache.set("after", b"1")
            assert (cache.primary, cache.epoch) == ("azure", 2)
            assert [await cache.get(f"key{number}") for number in range(100)] == [None, *(b"%d" % number for number in range(1, 100))]

    run(engine, tmp_path, script)


def test_an_old_primary_that_returns_refuses_who_did_not_notice(engine: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with standby(under) as cache, standby(under, 2, StandbyPolicy(budget_seconds=10, automatic=False)) as asleep:
            await cache.set("key", b"1")
            under.hang("aws")
            await cache.set("key", b"2")
            assert cache.primary == "azure"
            under.go_on("aws")
            # Whoever still takes aws for the primary is told otherwise.
            await asleep.set("key", b"3")
            assert asleep.primary == "azure"
            assert await cache.get("key") == b"3"
            await until(lambda: asleep.backlog == 0)
            assert await cache.converged(SECONDS)
            assert cache.primary == "azure"
        assert under.stored("aws") == under.stored("azure")

    run(engine, tmp_path, script)


def test_it_fails_back_only_when_both_have_the_same(engine: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with standby(under) as cache:
            for number in range(50):
                await cache.set(f"key{number}", b"1")
            under.kill("aws")
            for number in range(50):
                await cache.set(f"key{number}", b"2")
            with pytest.raises(QuorumError, match="both clouds are needed"):
                await cache.fail_back("aws")
            under.serve("aws")
            assert await cache.converged(SECONDS)
            await cache.fail_back("aws")
            assert (cache.primary, cache.epoch) == ("aws", 3)
            assert [await cache.get(f"key{number}") for number in range(50)] == [b"2"] * 50
            await cache.set("more", b"1")
        assert under.stored("aws") == under.stored("azure")

    run(engine, tmp_path, script)


def test_a_difference_keeps_it_from_failing_back(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with standby(under) as cache:
            await cache.set("key", b"1")
            await cache.fail_over()
            assert cache.primary == "azure"
            await cache.set("key", b"2")
            assert await cache.converged(SECONDS)
            under.forget("aws", "key")
            with pytest.raises(NotConvergedError, match="1 keys are not the same"):
                await cache.fail_back("aws")
            assert (cache.primary, cache.epoch) == ("azure", 2)

    run("redis", tmp_path, script)


def test_what_a_standby_misses_is_brought_before_it_takes_over(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with standby(under) as cache:
            await cache.set("key", b"1")
            under.hang("azure")
            await until(lambda: not cache._standby.circuit.closed)
            for number in range(20):
                await cache.set(f"key{number}", b"x")
            assert cache.backlog == 20
            under.go_on("azure")
            await until(lambda: cache.backlog == 0)
            under.kill("aws")
            assert [await cache.get(f"key{number}") for number in range(20)] == [b"x"] * 20

    run("redis", tmp_path, script)


def test_without_automatic_a_person_decides(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with standby(under, policy=StandbyPolicy(budget_seconds=1, automatic=False)) as cache:
            await cache.set("key", b"1")
            under.kill("aws")
            with pytest.raises(QuorumError, match="aws is the primary"):
                await cache.set("key", b"2")
            await cache.fail_over()
            await cache.set("key", b"3")
            assert await cache.get("key") == b"3"

    run("redis", tmp_path, script)


def test_writes_go_on_while_the_primary_changes(engine: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with standby(under) as cache:
            acknowledged: dict[str, int] = {}
            ended = asyncio.Event()

            async def write(name: str) -> None:
                number = 0
                while not ended.is_set():
                    number += 1
                    await cache.set(name, b"%d" % number)
                    acknowledged[name] = number

            writers = [asyncio.create_task(write(f"writer{number}")) for number in range(4)]
            await until(lambda: len(acknowledged) == 4)
            under.kill("aws")
            await until(lambda: cache.primary == "azure")
            under.serve("aws")
            # Not until it is quiet, which it isn't: until it is whole and told.
            await until(lambda: cache._standby.whole and cache._standby.circuit.closed and cache.backlog == 0)
            await cache.fail_over()
            await until(lambda: cache.primary == "aws")
            ended.set()
            await asyncio.gather(*writers)
            assert {name: int(await cache.get(name) or 0) for name in acknowledged} == acknowledged

    run(engine, tmp_path, script)


def test_what_can_not_work_is_refused(tmp_path: Path) -> None:
    place = {"engine": "redis", "mode": "standalone", "host": "127.0.0.1", "port": 1, "password": "x"}
    for places, primary in (({"aws": place}, "aws"), ({"aws": place, "azure": {**place, "port": 2}}, "gcp")):
        with pytest.raises(RefusedError, match="there must be two clouds, and it one of them"):
            AsyncPrimaryStandby(places, primary, folder=tmp_path)
    with pytest.raises(RefusedError, match="are the same server"):
        AsyncPrimaryStandby({"aws": place, "azure": place}, "aws", folder=tmp_path)


def test_threads_use_it_alike(tmp_path: Path) -> None:
    with processes("redis") as under:
        clouds = Clouds(under, tmp_path)
        places = {name: place for name, place in clouds.connections().items() if name != "gcp"}
        with PrimaryStandby(places, "aws", folder=tmp_path, clock=time.time) as cache:
            cache.set("key", b"1")
            cache.fail_over()
            assert (cache.primary, cache.get("key")) == ("azure", b"1")
            assert cache.converged(SECONDS)
            cache.fail_back("aws")
            cache.delete("key")
            assert (cache.primary, cache.get("key")) == ("aws", None)
