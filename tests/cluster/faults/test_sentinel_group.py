"""SentinelGroup while things break: each fault, with clients that write; the group heals by itself and keeps what it acknowledged."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import NODE, call, eventually
from cluster.faults.changes import (
    change_configuration,
    delete_master,
    drain_masters_node,
    grow_and_shrink,
    restart_all,
    rotate_password,
    upgrade_engine,
)
from cluster.faults.disk import full, small
from cluster.faults.group import Group

pytestmark = pytest.mark.cluster

Fault = Callable[[Group], None]
# How long a master that hung or was cut off goes on before it has noticed that its replicas have left: min-replicas-max-lag and
# the second between two looks at it.
WOKEN_SECONDS = 4.0
# How long a client may be with a server that was the master before it is sent on.
SENT_ON_SECONDS = 5.0


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    with Group(tmp_path_factory.mktemp("group"), "group").deployed() as group:
        yield group


def force_delete_master(group: Group) -> None:
    group.kubectl("delete", "pod", group.master(), "--grace-period=0", "--force")


def kill_master(group: Group) -> None:
    group.signal(group.master(), "server", signal.SIGKILL)


def kill_replica(group: Group) -> None:
    group.signal(group.replicas()[0], "server", signal.SIGKILL)


def kill_masters_sentinel(group: Group) -> None:
    group.signal(group.master(), "sentinel", signal.SIGKILL)


def kill_two_sentinels(group: Group) -> None:
    for pod in group.replicas():
        group.signal(pod, "sentinel", signal.SIGKILL)


def hang_master(group: Group) -> None:
    """Stops the process, and lets it go on once another one is the master."""
    hung = group.master()
    group.signal(hung, "server", signal.SIGSTOP)
    try:
        group.await_another_master(hung)
    finally:
        group.signal(hung, "server", signal.SIGCONT)
    # In its first moment awake it has not noticed yet that its replicas have left.
    eventually(lambda: refuses(group, hung), "the woken master refuses writes", 5)
    assert all(refuses(group, hung) for _ in range(20))


def refuses(group: Group, pod: str) -> bool:
    reply = str(group.ask(pod, "SET", "woken", "1"))
    return "NOREPLICAS" in reply or "ReadOnlyError" in reply or "ConnectionError" in reply


def cut_master_off(group: Group) -> None:
    """No packet reaches or leaves the master's pod until another one is the master. What it accepts alone is lost, and nothing else."""
    cut = group.master()
    group.cut(cut)
    try:
        print(f"written to the master that was cut off: {group.write_alone(cut, 'alone:')}")
        group.await_another_master(cut)
    finally:
        group.heal(cut)
    group.await_whole(quiet=False)
    assert [group.ask(pod, "KEYS", "alone:*") for pod in group.pod_names()] == [[]] * 3


def kill_twice(group: Group) -> None:
    """The second master as soon as it is one."""
    first = group.master()
    group.signal(first, "server", signal.SIGKILL)
    group.await_another_master(first)
    group.signal(group.master(), "server", signal.SIGKILL)


def kill_all(group: Group) -> None:
    for pod in group.pod_names():
        group.signal(pod, "server", signal.SIGKILL)


def delete_all_pods(group: Group) -> None:
    group.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")


def lose_masters_volume(group: Group) -> None:
    master = group.master()
    group.kubectl("delete", "persistentvolumeclaim", f"data-{master}", "--wait=false")
    group.kubectl("delete", "pod", master, "--grace-period=0", "--force")


def garble_sentinels_file(group: Group) -> None:
    pod = group.replicas()[0]
    group.kubectl("exec", pod, "-c", "sentinel", "--", "sh", "-c", "printf 'sentinel monitor cac\\0\\377' >/data/sentinel.conf")
    group.signal(pod, "sentinel", signal.SIGKILL)


def cut_masters_node_off(group: Group) -> None:
    with group.masters_node_cut():
        pass


def fill_masters_disk(group: Group) -> None:
    """Its server refuses writes then: another one takes them."""
    pod = group.replicas()[0]
    with small(group, pod) as folder:
        # What was started last is handed over to.
        group.kubectl("delete", "pod", group.master())
        group.await_whole(quiet=False)
        assert group.master() == pod
        with full(group, pod, folder):
            group.await_another_master(pod)


def run_out_of_memory(group: Group) -> None:
    """A command that needs more than the container may have: the kernel ends the server."""
    master = group.master()
    assert "ConnectionError" in str(group.ask(master, "EVAL", "return #string.rep('x', 400000000)", "0"))
    eventually(lambda: _last_end(group, master) == "OOMKilled", "the kernel ended it")


def _last_end(group: Group, pod: str) -> str:
    [server] = [status for status in group.get("pod", pod)["status"]["containerStatuses"] if status["name"] == "redis"]
    return str(server["lastState"].get("terminated", {}).get("reason", ""))


def lose_masters_node_for_good(group: Group) -> None:
    """What a person does then: the node is removed, and what was bound to it. Afterwards an empty node takes its place."""
    with group.masters_node_cut() as lost:
        number = group.node_number(lost)
        group.kubectl("delete", "node", f"node-{number}")
        group.kubectl("delete", "persistentvolumeclaim", f"data-{lost}", "--wait=false")
        group.kubectl("delete", "pod", lost, "--grace-period=0", "--force")
        group.await_whole(quiet=False)
    subprocess.run([NODE, "restart", number], check=True)


@dataclass(frozen=True)
class Case:
    """A fault, and whether clients may lose what only the master had acknowledged."""

    fault: Fault
    planned: bool = False
    survivors: bool = True
    """Whether a replica goes on running. Without, the disk decides, which is up to two seconds behind with everysec."""
    long: bool = False


CASES = [
    Case(kill_master),
    Case(delete_master, planned=True),
    Case(hang_master),
    Case(kill_all, survivors=False),
    Case(change_configuration, planned=True),
    Case(rotate_password, planned=True),
    Case(force_delete_master, long=True),
    Case(cut_master_off),
    Case(kill_replica, planned=True, long=True),
    Case(kill_masters_sentinel, planned=True, long=True),
    Case(kill_two_sentinels, planned=True, long=True),
    Case(kill_twice, long=True),
    Case(delete_all_pods, survivors=False, long=True),
    Case(lose_masters_volume, long=True),
    Case(garble_sentinels_file, planned=True, long=True),
    Case(drain_masters_node, planned=True, long=True),
    Case(cut_masters_node_off),
    Case(restart_all, planned=True, long=True),
    Case(run_out_of_memory, long=True),
    Case(fill_masters_disk, long=True),
    Case(upgrade_engine, planned=True, long=True),
    Case(grow_and_shrink, planned=True, long=True),
    Case(lose_masters_node_for_good, long=True),
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "valkey"}, "engine: 'redis' can't become 'valkey': Redis and Valkey do not read each other's files"),
        ({"storage_gib": 2}, "storage_gib: 1 can't become 2: a StatefulSet's volumes keep the size they were made with"),
    ],
)
def test_what_volumes_can_not_become_is_refused_in_the_preview_with_a_way_out(group: Group, change: dict[str, Any], said: str) -> None:
    group.arguments(**{**group.args, **change})
    try:
        output = group.preview(succeeds=False).stdout
    finally:
        group.arguments(**group.args)
    assert said in output
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
