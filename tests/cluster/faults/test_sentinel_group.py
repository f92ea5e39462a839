"""SentinelGroup while things break: each fault, with clients that write; the group heals by itself and keeps what it acknowledged."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from cluster.deployed import NODE, call, eventually, writers
from cluster.faults.group import Group

pytestmark = pytest.mark.cluster

Fault = Callable[[Group], None]


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    with Group(tmp_path_factory.mktemp("group"), "group").deployed() as group:
        yield group


def delete_master(group: Group) -> None:
    group.kubectl("delete", "pod", group.master())


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
        eventually(lambda: group.master() != hung, "another master")
    finally:
        group.signal(hung, "server", signal.SIGCONT)
    assert "NOREPLICAS" in (reply := str(group.ask(hung, "SET", "woken", "1"))) or "ReadOnlyError" in reply, reply


def cut_master_off(group: Group) -> None:
    """No packet reaches or leaves the master's pod until another one is the master."""
    cut = group.master()
    group.cut(cut)
    try:
        eventually(lambda: group.master() != cut, "another master")
    finally:
        group.heal(cut)


def kill_twice(group: Group) -> None:
    """The second master as soon as it is one."""
    first = group.master()
    group.signal(first, "server", signal.SIGKILL)
    eventually(lambda: group.master() != first, "another master")
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


def drain_masters_node(group: Group) -> None:
    node = str(group.get("pod", group.master())["spec"]["nodeName"])
    try:
        group.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s", "--pod-selector=!unrelated")
    finally:
        group.kubectl("uncordon", node)


def cut_masters_node_off(group: Group) -> None:
    """The node, and with it its zone, is away until another one is the master."""
    master = group.master()
    number = group.node_number(master)
    subprocess.run([NODE, "cut", number], check=True)
    try:
        eventually(lambda: group.master() != master, "another master")
    finally:
        subprocess.run([NODE, "heal", number], check=True)


def change_configuration(group: Group) -> None:
    group.arguments(hz=20)
    group.up()
    group.await_ready()


def restart_all(group: Group) -> None:
    group.kubectl("rollout", "restart", "statefulset/cache")
    group.await_ready()


def rotate_password(group: Group) -> None:
    group.arguments(hz=20, password_version=2)
    group.up()
    group.connect()


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
    Case(cut_masters_node_off, long=True),
    Case(restart_all, planned=True, long=True),
]


PARAMETERS = [pytest.param(case, id=case.fault.__name__, marks=[pytest.mark.long] if case.long else []) for case in CASES]


@pytest.mark.parametrize("case", PARAMETERS)
def test_heals_and_keeps_what_it_acknowledged(group: Group, case: Case) -> None:
    group.await_whole()
    with writers(group.known, "sentinel+wait", "service") as result:
        group.await_writes()
        case.fault(group)
        group.await_whole(quiet=False)
        group.await_writes()
    print(json.dumps({kind: {**said, "gaps": len(said["gaps"])} for kind, said in result.items()}))
    if case.survivors:
        assert result["sentinel+wait"]["lost"] == 0, "a write that a replica had"
    if case.planned:
        assert result["service"]["lost"] == 0, "a write that was acknowledged"
    group.await_whole()


def test_a_client_may_ask_the_sentinels_and_not_tell_them(group: Group) -> None:
    for forbidden in (["SENTINEL", "FAILOVER", "cache"], ["PUBLISH", "__sentinel__:hello", "x"], ["SENTINEL", "RESET", "*"]):
        assert "NoPermissionError" in str(group.ask("cache-0", *forbidden, port=26379))
    assert "AuthenticationError" in str(call(f"cache-0.{group.namespace}.svc", "wrong", "PING", port=26379))


def test_up_again_and_refresh_change_nothing(group: Group) -> None:
    group.preview("--expect-no-changes")
    group.refresh("--expect-no-changes")
