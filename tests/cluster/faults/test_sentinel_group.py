"""SentinelGroup while things break: each fault, with clients that write; the group heals by itself and keeps what it acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster.deployed import call
from cluster.faults import group_faults as faults
from cluster.faults.group import Group

pytestmark = pytest.mark.cluster

# How long a master that hung or was cut off goes on before it has noticed that its replicas have left: min-replicas-max-lag and
# the second between two looks at it.
WOKEN_SECONDS = 4.0
# How long a client may be with a server that was the master before it is sent on.
SENT_ON_SECONDS = 5.0


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    with Group(tmp_path_factory.mktemp("group"), "group").deployed() as group:
        yield group


@dataclass(frozen=True)
class Case:
    """A fault, and whether clients may lose what only the master had acknowledged."""

    fault: faults.Fault
    planned: bool = False
    survivors: bool = True
    """Whether a replica goes on running. Without, the disk decides, which is up to two seconds behind with everysec."""
    long: bool = False


CASES = [
    Case(faults.kill_master),
    Case(faults.delete_master, planned=True),
    Case(faults.hang_master),
    Case(faults.kill_all, survivors=False),
    Case(faults.change_configuration, planned=True),
    Case(faults.rotate_password, planned=True),
    Case(faults.force_delete_master, long=True),
    Case(faults.cut_master_off),
    Case(faults.kill_replica, planned=True, long=True),
    Case(faults.kill_masters_sentinel, planned=True, long=True),
    Case(faults.kill_two_sentinels, planned=True, long=True),
    Case(faults.kill_twice, long=True),
    Case(faults.delete_all_pods, survivors=False, long=True),
    Case(faults.lose_masters_volume, long=True),
    Case(faults.garble_sentinels_file, planned=True, long=True),
    Case(faults.drain_masters_node, planned=True, long=True),
    Case(faults.cut_masters_node_off),
    Case(faults.restart_all, planned=True, long=True),
    Case(faults.run_out_of_memory, long=True),
    Case(faults.fill_masters_disk, long=True),
    Case(faults.upgrade_engine, planned=True, long=True),
    Case(Group.grow_volumes, planned=True, long=True),
    Case(faults.grow_and_shrink, planned=True, long=True),
    Case(faults.lose_masters_node_for_good, long=True),
]


PARAMETERS = [pytest.param(case, id=case.fault.__name__, marks=[pytest.mark.long] if case.long else []) for case in CASES]


@pytest.mark.parametrize("case", PARAMETERS)
def test_heals_and_keeps_what_it_acknowledged(group: Group, case: Case) -> None:
    group.await_whole(quiet=False)
    group.renew_crashed()
    group.empty()
    with group.watched() as together, group.writing("sentinel+wait", "service") as result:
        group.await_writes()
        case.fault(group)
        group.await_whole(quiet=False)
        group.await_writes()
    assert together["watched"] <= (0 if case.planned else WOKEN_SECONDS), "two masters"
    assert max(said["silent_seconds"] for said in result.values()) < SENT_ON_SECONDS, "a client that was left behind"
    if case.survivors:
        assert result["sentinel+wait"]["lost"] == 0, "a write that a replica had"
    if case.planned:
        assert result["service"]["lost"] == 0, "a write that was acknowledged"
    group.await_whole()


def test_a_client_may_ask_the_sentinels_and_not_tell_them(group: Group) -> None:
    for forbidden in (["SENTINEL", "FAILOVER", "cache"], ["PUBLISH", "__sentinel__:hello", "x"], ["SENTINEL", "RESET", "*"]):
        assert "NoPermissionError" in str(group.ask("cache-0", *forbidden, port=26379))
    assert "AuthenticationError" in str(call(f"cache-0.{group.namespace}.svc", "wrong", "PING", port=26379))


def test_what_volumes_can_not_become_is_refused_in_the_preview_with_a_way_out(group: Group) -> None:
    group.arguments(**{**group.args, "engine": "valkey"})
    try:
        output = group.preview(succeeds=False).stdout
    finally:
        group.arguments(**group.args)
    assert "engine: 'redis' can't become 'valkey': Redis and Valkey do not read each other's files" in output
    assert "make a second cache under another name" in output


@pytest.mark.long
def test_destroyed_and_made_again_with_the_volumes_it_has_its_data(tmp_path: Path) -> None:
    with Group(tmp_path, "again").deployed(storage_retained=True) as group:
        with group.writing("sentinel+wait") as written:
            group.await_writes()
        group.await_whole()
        keys = group.ask(group.master(), "DBSIZE")
        namespace = next(entry["urn"] for entry in group.export() if entry["type"].endswith(":Namespace"))
        group.destroy("--exclude", namespace)
        group.up()
        group.connect()
        group.await_whole()
        assert keys >= written["sentinel+wait"]["written"] > 0
        assert group.ask(group.master(), "DBSIZE") == keys


def test_up_again_and_refresh_change_nothing(group: Group) -> None:
    group.preview("--expect-no-changes")
    group.refresh("--expect-no-changes")
