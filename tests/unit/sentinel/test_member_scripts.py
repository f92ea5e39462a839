"""start.sh of a member and stop.sh, with real servers: never a master by itself, and no end before another one is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from common.waiting import until
from unit.scripts.waiting import await_value
from unit.servers import SYSTEM_PASSWORD, Pod, call, find_programs, pods


@pytest.fixture(params=["redis", "valkey"])
def pair(request: pytest.FixtureRequest) -> Iterator[list[Pod]]:
    with pods(find_programs(request.param), "cache-0", "cache-1") as made:
        yield made


@pytest.fixture
def pod(pair: list[Pod]) -> Pod:
    return pair[0]


def test_a_member_never_starts_as_a_master(pod: Pod) -> None:
    """With data or without: another one may have newer data."""
    pod.serve("member")
    assert pod.info("role") == "slave"
    with pytest.raises(redis.exceptions.ReadOnlyError):
        pod.connect().set("fruit", "nut")
    call(pod.connect(), "REPLICAOF", "NO", "ONE")
    pod.connect().set("fruit", "apple")
    pod.server.end()
    pod.serve("member")
    assert pod.info("role") == "slave"
    await_value(pod, "fruit", "apple")
    assert "has not copied" in pod.probe("ready")


def test_a_member_is_known_by_the_address_of_its_service_and_not_chosen_by_sentinel(pod: Pod) -> None:
    pod.serve("member")
    wanted = {"replica-announce-ip": pod.address, "replica-priority": "0"}
    assert {name: pod.connect().config_get(name)[name] for name in wanted} == wanted


def test_a_member_waits_until_its_address_resolves(pod: Pod) -> None:
    started = pod.begin("start.sh", ROLE="member", DATA_FILE="appendonlydir", NAMESPACE="nowhere")
    started.await_output("cache-0.nowhere.svc does not resolve yet")
    assert started.process.poll() is None


@pytest.mark.parametrize(("before", "after"), [("rdb", "aof"), ("aof", "rdb"), ("rdb", "aof+rdb")])
def test_a_member_does_not_ignore_what_another_persistence_has_kept(pod: Pod, before: str, after: str) -> None:
    pod.serve("member", persistence=before)
    call(pod.connect(), "REPLICAOF", "NO", "ONE")
    pod.connect().set("fruit", "apple")
    pod.server.end()
    started = pod.start("member", persistence=after)
    assert started.wait() != 0
    assert "it would start empty" in started.output
    pod.serve("member", persistence=before)
    assert pod.connect().get("fruit") == "apple"


def test_a_member_without_data_starts_beside_one_with_data(pair: list[Pod]) -> None:
    """Unlike a primary: it follows whoever the agents make the master."""
    first, second = pair
    first.serve("primary")
    first.connect().set("fruit", "apple")
    second.serve("member")
    call(second.connect(), "REPLICAOF", first.address, "6379")
    assert until(lambda: second.connect().get("fruit") == "apple", 15, every=0.05)


def test_what_an_earlier_stop_has_left_is_removed(pod: Pod) -> None:
    left = [pod.folder / "run" / name for name in ("stopping", "released")]
    for file in left:
        file.touch()
    pod.serve("member")
    assert not any(file.exists() for file in left)


def test_the_system_user_of_a_member_can_move_the_master_and_read_no_data(pod: Pod) -> None:
    pod.serve("member")
    system = pod.connect(SYSTEM_PASSWORD, "system")
    for command in (
        "REPLICAOF NO ONE",
        "CLIENT PAUSE 10 WRITE",
        "CLIENT UNPAUSE",
        "CLIENT KILL USER default",
        "CONFIG SET replica-priority 100",
    ):
        call(system, *command.split())
    for command in (
        "GET key",
        "SET key value",
        "CONFIG GET *",
        "KEYS *",
        "FLUSHALL",
        "ACL LIST",
        "SHUTDOWN",
        "PUBLISH news x",
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            call(system, *command.split())


# stop.sh


def test_a_stop_waits_until_the_agent_releases_it(pod: Pod) -> None:
    stopping = pod.begin("stop.sh", HANDOVER_SECONDS="600")
    assert until((pod.folder / "run" / "stopping").exists, 10, every=0.01)
    assert not until(lambda: stopping.process.poll() is not None, 0.5, every=0.05), "it did not wait"
    (pod.folder / "run" / "released").touch()
    assert stopping.wait() == 0


def test_both_containers_stop_on_one_release(pod: Pod) -> None:
    (pod.folder / "run" / "released").touch()
    for _ in range(2):
        assert pod.run("stop.sh", HANDOVER_SECONDS="600").returncode == 0


def test_a_stop_gives_up_after_its_time(pod: Pod) -> None:
    began = time.monotonic()
    assert pod.run("stop.sh", HANDOVER_SECONDS="1").returncode == 0
    assert time.monotonic() - began >= 1
    assert not (pod.folder / "run" / "released").exists()
