"""Faults of an emulated cloud: what its API says then, and what its servers do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from caches_runtime.client import BudgetSpentError
from caches_runtime.client.connect import connect
from clouds.emulated import Emulated
from clouds.emulator.cloud import Cloud, HalfMadeError, Resource
from clouds.emulator.faults import Fault, FaultError
from clouds.emulator.gcp_kinds import INVOKES, KINDS
from common import paths
from redis.backoff import NoBackoff
from redis.retry import Retry

NETWORK, REDIS = "gcp:compute/network:Network", "gcp:redis/instance:Instance"
VALKEY = "gcp:memorystore/instance:Instance"
WHERE = "projects/shop/global/networks/main"
CACHE: dict[str, Any] = {"name": "cache", "region": "europe-west1", "memorySizeGb": 1, "tier": "BASIC", "authEnabled": True}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path / "gcp", KINDS, INVOKES)
    yield cloud
    if cloud.folder.exists():
        cloud.remove()


def command(cloud: Cloud, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A command of the emulator, as a person would type it."""
    variables = {"CACHES_EMULATOR": str(cloud.folder.parent), "PYTHONPATH": str(paths.CHECKOUT / "tests")}
    words = (sys.executable, "-m", "clouds.emulator", cloud.folder.name, *words)
    return subprocess.run(words, env={**os.environ, **variables}, input=given, capture_output=True, text=True)


def client(made: Resource) -> redis.Redis:
    outputs = made.outputs
    once = Retry(NoBackoff(), 0)
    return redis.Redis(outputs["host"], outputs["port"], password=outputs["authString"], socket_timeout=1, retry=once)


@pytest.mark.parametrize(
    ("vendor", "kind", "message"),
    [
        ("aws", "throttled", "ThrottlingException: Rate exceeded"),
        ("aws", "quota", "NodeQuotaForCustomerExceeded"),
        ("aws", "down", "ServiceUnavailable"),
        ("azure", "throttled", 'Status=429 Code="TooManyRequests"'),
        ("azure", "quota", 'Code="QuotaExceeded"'),
        ("azure", "down", "Status=503"),
        ("gcp", "throttled", "Error 429: .*RATE_LIMIT_EXCEEDED"),
        ("gcp", "quota", "Error 429: .*QUOTA_EXCEEDED"),
        ("gcp", "down", "Error 503: .*UNAVAILABLE"),
    ],
)
def test_each_vendor_says_it_its_own_way_until_it_is_cleared(tmp_path: Path, vendor: str, kind: str, message: str) -> None:
    faults = Cloud(tmp_path / vendor, {}, {}).faults
    faults.set(Fault(kind))
    for _ in range(2):
        with pytest.raises(FaultError, match=message):
            faults.meet(REDIS, creates=True)
    faults.clear(kind)
    faults.meet(REDIS, creates=True)


def test_a_fault_can_be_of_one_type_end_with_its_effect_or_leave_what_is_there_alone(cloud: Cloud) -> None:
    faults = cloud.faults
    faults.set(Fault("throttled", REDIS, once=True))
    faults.set(Fault("quota"))
    faults.meet(NETWORK, creates=False)
    with pytest.raises(FaultError, match="RATE_LIMIT_EXCEEDED"):
        faults.meet(REDIS, creates=False)
    faults.meet(REDIS, creates=False)
    assert faults.all() == [Fault("quota")]
    faults.clear()
    assert faults.all() == []


def test_a_slow_api_answers_late(cloud: Cloud) -> None:
    assert command(cloud, "set", "slow", "--milliseconds", "300").returncode == 0
    began = time.monotonic()
    cloud.faults.meet(NETWORK, creates=False)
    assert time.monotonic() - began >= 0.3


def test_servers_hang_until_that_is_cleared_and_are_made_anew_when_they_were_lost(cloud: Cloud) -> None:
    cloud.create(NETWORK, {"name": "main"})
    made = cloud.create(REDIS, {**CACHE, "authorizedNetwork": WHERE})
    client(made).set("key", "value")
    assert command(cloud, "set", "hung").returncode == 0
    with pytest.raises(redis.TimeoutError):
        client(made).get("key")
    said = command(cloud, "list").stdout
    assert "hung" in said
    assert made.id in said
    assert command(cloud, "clear").returncode == 0
    assert client(made).get("key") == b"value"

    assert command(cloud, "start").stderr == ""
    for process in made.processes:
        os.kill(process, 9)
        os.waitpid(process, 0)
    assert "its servers were gone, and have been started empty" in command(cloud, "start").stderr
    assert client(made).get("key") is None

    assert command(cloud, "down").returncode == 0
    with pytest.raises(redis.ConnectionError):
        client(made).ping()
    assert not cloud.folder.exists()


def test_servers_are_slow_until_that_is_cleared(cloud: Cloud) -> None:
    cloud.create(NETWORK, {"name": "main"})
    made = cloud.create(REDIS, {**CACHE, "authorizedNetwork": WHERE})
    outputs = made.outputs
    where = {"host": outputs["host"], "port": outputs["port"], "password": outputs["authString"], "tls": False}
    with connect({"engine": "redis", "mode": "standalone", "provider": "gcp", **where}, budget=2) as cache:
        # Of another type of resource.
        assert command(cloud, "set", "slow-servers", "--milliseconds", "60000", "--type", VALKEY).returncode == 0
        assert cache.set("key", "value")
        assert command(cloud, "set", "slow-servers", "--milliseconds", "60000", "--type", REDIS).returncode == 0
        with pytest.raises(BudgetSpentError):
            cache.get("key")
        assert command(cloud, "clear", "slow-servers").returncode == 0
        assert cache.get("key") == b"value"
        assert command(cloud, "set", "slow-servers", "--milliseconds", "500").returncode == 0
        began = time.monotonic()
        assert cache.get("key") == b"value"
        assert time.monotonic() - began >= 0.5


def test_what_is_half_made_is_there(cloud: Cloud) -> None:
    cloud.faults.set(Fault("half-made", NETWORK))
    with pytest.raises(HalfMadeError, match="did not become ready"):
        cloud.create(NETWORK, {"name": "main"})
    assert [each.inputs for each in cloud.all(NETWORK)] == [{"name": "main"}]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["set", "slow", "--milliseconds", "0"], "error: --milliseconds=0: must be at least 1"),
        (["set", "hung", "--once"], "error: --once: servers are hung until that is cleared"),
        (["set", "slow-servers", "--once"], "error: --once: servers are slow until that is cleared"),
        (["set", "nope"], "invalid choice: 'nope'"),
        (["promote", "x"], "error: promote: gcp has resources for that"),
        (["prove"], "error: not every cache serves"),
    ],
)
def test_a_wrong_command_is_refused(cloud: Cloud, words: list[str], message: str) -> None:
    given = '{"cache": {"engine": "redis", "mode": "standalone", "host": "127.0.0.1", "port": 1, "tls": false, "provider": "gcp"}}'
    done = command(cloud, *words, given=given)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.engine
def test_the_engine_says_what_the_cloud_said_and_goes_on_when_it_is_over(tmp_path: Path) -> None:
    stack = Emulated(tmp_path, "gcp")
    try:
        stack.configure(network={"shop": {"region": "europe-west1"}})
        stack.fail(NETWORK, "throttled")
        assert "RATE_LIMIT_EXCEEDED" in stack.up(succeeds=False).stdout
        assert stack.resources() == {}
        stack.up()
        stack.fail(NETWORK, "down")
        assert "Error 503" in stack.refresh(succeeds=False).stdout
        stack.refresh("--expect-no-changes")
        stack.destroy()
        assert stack.resources() == {}
    finally:
        stack.end()
