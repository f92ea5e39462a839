"""What was acknowledged stays, and what was deleted stays away, over random faults of real servers and their networks."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.multicloud import AsyncMultiCloudCache, MultiCloudCache
from caches_runtime.multicloud.records import Record
from unit.multicloud import schedules
from unit.multicloud.clouds import PATIENT, until
from unit.multicloud.proxied import proxied
from unit.sentinel import loop

QUICK, LONG, EACH = 3, 26, 8
FAULTS = 4


def follow(folder: Path, seed: int, count: int, engine: str, **more: Any) -> None:
    """So many schedules, one after the other, in clouds that are as the last one has left them."""

    async def whole() -> None:
        with proxied(engine) as clouds:
            for name, milliseconds in (("aws", 1), ("azure", 3), ("gcp", 8)):
                clouds.delay(name, milliseconds)
            for number in range(count):
                chance = random.Random(seed * 1000 + number)  # noqa: S311
                done = await schedules.run(clouds, folder / f"schedule{number}", chance, FAULTS, **more)
                counts = f"{done.acknowledged} acknowledged, {done.deleted} deletions, {done.reads} reads, {done.failed} failed"
                print(f"schedule {seed}.{number}: {counts}")
                assert done.acknowledged

    loop.run(whole())


@pytest.mark.parametrize("seed", range(QUICK))
def test_nothing_acknowledged_is_lost_and_nothing_deleted_comes_back(seed: int, tmp_path: Path) -> None:
    follow(tmp_path, seed, 1, ("redis", "valkey")[seed % 2])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 100 + LONG))
def test_nothing_acknowledged_is_lost_and_nothing_deleted_comes_back_in_many_schedules(seed: int, tmp_path: Path) -> None:
    follow(tmp_path, seed, EACH, ("redis", "valkey")[seed % 2])


class Hasty(AsyncMultiCloudCache):
    """One that takes its first stamp for late enough, whatever it meets."""

    async def _write(self, key: bytes, value: bytes | None, expires: int) -> None:
        await self._spread(key, Record(self._clock.next(), value, expires), self._homes(key))


def test_the_checker_notices_a_client_that_trusts_its_clock(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="may be"):
        follow(tmp_path, 1, 8, "redis", make=Hasty)


class Forgetful(AsyncMultiCloudCache):
    """One that does not remember what clouds have missed."""

    def _miss(self, *_: Any) -> None:
        pass


def test_the_checker_notices_a_client_that_forgets(tmp_path: Path) -> None:
    async def whole() -> None:
        with proxied() as clouds:
            async with Forgetful(clouds.connections(), folder=tmp_path) as cache:
                assert await cache.repaired(60)
                clouds.cut("gcp")
                await until(lambda: cache.states()["gcp"] == "open")
                for key in schedules.KEYS:
                    await cache.set(key, b"x")
                clouds.heal("gcp")
                assert await cache.repaired(60)
                await schedules.check_end(clouds, "caches", cache, schedules.History())

    with pytest.raises(AssertionError, match="the clouds are not the same"):
        loop.run(whole())


WRITER = """
import json, sys
from pathlib import Path
from caches_runtime.multicloud import MultiCloudCache, Policy
cache = MultiCloudCache(json.load(sys.stdin), Policy(cloud_seconds=2, budget_seconds=20), folder=Path(sys.argv[1]))
print("begun", flush=True)
number = 0
while True:
    number += 1
    cache.set(f"key{number}", b"%d" % number)
    print(number, flush=True)
"""


def test_a_process_that_is_killed_goes_on_with_what_a_cloud_has_missed(tmp_path: Path) -> None:
    with proxied() as clouds:
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin
        assert process.stdout
        with process:
            process.stdin.write(json.dumps(clouds.connections()))
            process.stdin.close()
            assert process.stdout.readline() == "begun\n"
            clouds.cut("gcp")
            written = [int(process.stdout.readline()) for _ in range(200)][-1]
            process.kill()
        missing = set(clouds.stored("aws")) - set(clouds.stored("gcp"))
        assert missing
        clouds.heal("gcp")
        with MultiCloudCache(clouds.connections(), PATIENT, folder=tmp_path) as again:
            assert again.repaired(60)
            assert all(again.get(f"key{number}") == b"%d" % number for number in range(1, written + 1))
        assert {f"key{number}" for number in range(1, written + 1)} <= set(clouds.stored("gcp"))
