"""A cache over three clouds, each a real server: what is acknowledged stays, whatever one of them does."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.multicloud import AsyncMultiCloudCache, MultiCloudCache, Policy, QueueFullError, QuorumError, RefusedError
from unit.client.processes import processes
from unit.multicloud.clouds import NAMES, PATIENT, SECONDS, Clouds, run, until


@pytest.fixture(params=["redis", "valkey"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_is_written_is_in_all_clouds_and_is_read_from_any(engine: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client() as cache:
            await cache.set("greeting", b"hello")
            await cache.set("short", b"lived", ttl_seconds=100)
            await cache.set("gone", b"x")
            await cache.delete("gone")
            assert await cache.repaired(SECONDS)
            for read in ("nearest", "quorum"):
                assert await cache.get("greeting", read=read) == b"hello"
                assert await cache.get("gone", read=read) is None
                assert await cache.get("never", read=read) is None
            assert cache.backlog == 0
        assert under.stored("aws") == under.stored("azure") == under.stored("gcp")
        assert set(under.stored("aws")) == {"greeting", "short", "gone"}

    run(engine, tmp_path, script)


def test_a_cloud_that_hangs_does_not_keep_writes_and_gets_them_when_it_goes_on(engine: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client() as cache:
            await cache.set("before", b"1")
            under.hang("azure")
            for number in range(50):
                await cache.set(f"key{number}", b"%d" % number)
                assert await cache.get(f"key{number}") == b"%d" % number
            await until(lambda: cache.states()["azure"] != "closed")
            await cache.delete("before")
            assert cache.backlog > 0
            under.go_on("azure")
            assert await cache.repaired(SECONDS)
        assert under.stored("aws") == under.stored("azure") == under.stored("gcp")

    run(engine, tmp_path, script)


def test_a_cloud_that_comes_back_empty_is_filled_and_nothing_is_missed_meanwhile(engine: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client() as cache:
            for number in range(200):
                await cache.set(f"key{number}", b"%d" % number)
            await cache.delete("key0")
            for name in NAMES:
                assert await cache.repaired(SECONDS)
                under.kill(name)
                under.serve(name)
                for number in range(1, 200):
                    assert await cache.get(f"key{number}") == b"%d" % number
                assert await cache.get("key0") is None
            assert await cache.repaired(SECONDS)
        assert under.stored("aws") == under.stored("azure") == under.stored("gcp")

    run(engine, tmp_path, script)


def test_what_a_cloud_has_missed_is_remembered_by_a_process_that_is_started_again(engine: str, tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client() as cache:
            await cache.set("key", b"old")
            assert await cache.repaired(SECONDS)
            under.hang("gcp")
            await cache.set("key", b"new")
        under.go_on("gcp")
        async with AsyncMultiCloudCache(under.connections(), PATIENT, folder=under.folder(1)) as again:
            assert await again.repaired(SECONDS)
            assert await again.get("key") == b"new"
        assert under.stored("gcp") == under.stored("aws")

    run(engine, tmp_path, script)


@pytest.mark.parametrize("skew", [5, -5])
def test_the_later_write_stays_whatever_the_writers_clocks_say(engine: str, tmp_path: Path, skew: float) -> None:
    async def script(under: Clouds) -> None:
        async with under.client(clock=lambda: time.time() + skew) as first, under.client(clock=lambda: time.time() - skew) as second:
            for number in range(10):
                await first.set("key", b"first%d" % number)
                await second.set("key", b"second%d" % number)
                assert await first.get("key", read="quorum") == b"second%d" % number
                await first.delete("key")
                assert await second.get("key", read="quorum") is None

    run(engine, tmp_path, script)


def test_with_two_clouds_away_writes_fail_and_say_why(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client(Policy(cloud_seconds=1, budget_seconds=5)) as cache:
            await cache.set("key", b"1")
            under.hang("aws")
            under.hang("gcp")
            with pytest.raises(QuorumError, match="too few clouds have taken the write"):
                await cache.set("key", b"2")
            await until(lambda: cache.states() == {"aws": "open", "azure": "closed", "gcp": "open"} or cache.states()["aws"] != "closed")
            under.go_on("aws")
            under.go_on("gcp")
            assert await cache.repaired(SECONDS)
            await cache.set("key", b"3")
            assert await cache.get("key", read="quorum") == b"3"

    run("redis", tmp_path, script)


def test_it_begins_as_soon_as_enough_clouds_answer(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        under.hang("aws")
        under.hang("gcp")
        async with under.client(Policy(cloud_seconds=1, budget_seconds=5)) as cache:
            with pytest.raises(QuorumError):
                await cache.set("key", b"1")
            under.go_on("gcp")
            await until(lambda: all(cache._clouds[name].whole for name in ("azure", "gcp")))
            await cache.set("key", b"2")
            under.go_on("aws")
            assert await cache.repaired(SECONDS)
        assert under.stored("aws") == under.stored("gcp")

    run("redis", tmp_path, script)


def test_keys_stay_where_they_may_be(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client(Policy(cloud_seconds=2, budget_seconds=20, residency={"eu:*": ["azure", "gcp"]})) as cache:
            await cache.set("eu:customer", b"1")
            await cache.set("other", b"2")
            assert await cache.repaired(SECONDS)
            under.kill("aws")
            under.serve("aws")
            await until(lambda: cache.states()["aws"] == "closed")
            assert await cache.get("eu:customer") == b"1"
            assert await cache.repaired(SECONDS)
        assert set(under.stored("aws")) == {"other"}
        assert set(under.stored("azure")) == {"other", "eu:customer"}

    run("redis", tmp_path, script)


def test_a_full_queue_refuses_writes_and_writes_nothing(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client(Policy(cloud_seconds=2, budget_seconds=20, queue_limit=5)) as cache:
            await cache.set("a", b"1")
            assert await cache.repaired(SECONDS)
            under.kill("gcp")

            async def fill() -> None:
                for number in range(20):
                    await cache.set(f"key{number}", b"1")

            with pytest.raises(QueueFullError, match=r"wait for clouds that are away .* queue_limit = 5"):
                await fill()
            assert "key19" not in under.stored("aws")

    run("redis", tmp_path, script)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"quorum": 4}, "quorum = 4: there are 3 clouds, so it must be from 1 to 3"),
    ({"quorum": 0}, "quorum = 0"),
    ({"write": "most"}, "write = 'most': must be one of quorum, local, all"),
    ({"read": "primary"}, "read = 'primary': must be one of nearest, quorum"),
    ({"write": "local"}, 'write = "local" needs `local`'),
    ({"local": "ibm"}, "local = 'ibm': must be one of aws, azure, gcp"),
    ({"residency": {"eu:*": ["frankfurt"]}}, "there is no cloud 'frankfurt'"),
    ({"residency": {"eu:*": []}}, "must be a list of clouds"),
    ({"residency": {"eu:*": ["azure"]}, "quorum": 2}, "too few for quorum = 2"),
    ({"budget_seconds": 0}, "budget_seconds = 0: must be above 0"),
]


@pytest.mark.parametrize(("policy", "message"), BAD)
def test_a_policy_that_can_not_work_is_refused(policy: dict[str, Any], message: str, tmp_path: Path) -> None:
    places = {
        name: {"engine": "redis", "mode": "standalone", "host": f"127.0.0.{number}", "port": 1, "password": "x"}
        for number, name in enumerate(NAMES, 1)
    }
    with pytest.raises(RefusedError) as raised:
        AsyncMultiCloudCache(places, Policy(**policy), folder=tmp_path)
    assert message in str(raised.value)


def test_one_server_under_two_names_is_refused(tmp_path: Path) -> None:
    place = {"engine": "redis", "mode": "standalone", "host": "127.0.0.1", "port": 1, "password": "x"}
    with pytest.raises(RefusedError, match="gcp and aws are the same server"):
        AsyncMultiCloudCache({"aws": place, "gcp": dict(place)}, folder=tmp_path)


def test_keys_and_values_that_can_not_be_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client(Policy(cloud_seconds=2, budget_seconds=20, max_value_bytes=10)) as cache:
            for key, value, ttl in (
                ("", b"", None),
                ("a\nb", b"", None),
                ("x" * 513, b"", None),
                ("k", b"x" * 11, None),
                ("k", b"", 0),
                ("k", b"", -1),
            ):
                with pytest.raises(RefusedError):
                    await cache.set(key, value, ttl)
            with pytest.raises(RefusedError, match="a value is bytes"):
                await cache.set("k", "text")  # type: ignore[arg-type]
        assert under.stored("aws") == {}

    run("redis", tmp_path, script)


def test_a_stamp_from_far_ahead_is_refused(tmp_path: Path) -> None:
    async def script(under: Clouds) -> None:
        async with under.client(clock=lambda: time.time() + 1000) as ahead:
            await ahead.set("key", b"future")
        async with under.client() as cache:
            with pytest.raises(RefusedError, match="ahead of this machine's clock, more than max_drift_seconds = 60"):
                await cache.set("key", b"now")

    run("redis", tmp_path, script)


def test_threads_use_it_alike(tmp_path: Path) -> None:
    with processes("redis") as under, ExitStack() as closing:
        clients = Clouds(under, tmp_path)
        cache = closing.enter_context(MultiCloudCache(clients.connections(), PATIENT, folder=tmp_path))
        cache.set("key", b"1")
        assert cache.get("key") == b"1"
        cache.delete("key")
        assert cache.get("key", read="quorum") is None
        assert cache.repaired(SECONDS)
        with pytest.raises(RefusedError, match="another process uses this folder"):
            MultiCloudCache(clients.connections(), folder=tmp_path)
