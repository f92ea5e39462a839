"""A SentinelGroup whose members know each other by name, behind its front: clients that only know that one go on through every fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster.deployed import call, eventually
from cluster.faults.group import Group
from cluster.faults.group_faults import Fault, delete_master, force_delete_master, hang_master, kill_master

pytestmark = [pytest.mark.cluster, pytest.mark.long]


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    fronted = Group(tmp_path_factory.mktemp("fronted"), "fronted")
    fronted.hostnames = True
    with fronted.deployed(announce="hostname", front_replicas=2) as group:
        yield group


def roll_front(group: Group) -> None:
    group.kubectl("rollout", "restart", "deployment/cache-front")
    group.kubectl("rollout", "status", "deployment/cache-front", "--timeout=120s")


PLANNED = (delete_master, roll_front)


@pytest.mark.parametrize(
    "fault", [kill_master, delete_master, force_delete_master, hang_master, roll_front], ids=lambda fault: fault.__name__
)
def test_clients_of_the_front_go_on(group: Group, fault: Fault) -> None:
    assert group.known["host"] == "cache-front.fronted.svc"
    group.await_whole()
    with group.writing("service", "service+wait") as result:
        group.await_writes()
        fault(group)
        group.await_whole(quiet=False)
        group.await_writes()
    assert result["service+wait"]["lost"] == 0, "a write that a replica had"
    if fault in PLANNED:
        assert result["service"]["lost"] == 0, "a write that was acknowledged"
    assert result["service"]["longest_gap_seconds"] < 10


def test_readers_of_the_front_reach_the_replicas(group: Group) -> None:
    host, password = group.known["reader_host"], group.known["password"]

    def roles() -> set[str]:
        return {reply[0] for _ in range(4) if isinstance(reply := call(host, password, "ROLE", port=group.known["reader_port"]), list)}

    eventually(lambda: roles() == {"slave"}, "replicas answer")
