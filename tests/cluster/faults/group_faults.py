"""What happens to a SentinelGroup and what people do to it, and what must come of each by itself; for the tests and the bench."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

from cluster.deployed import NODE, eventually
from cluster.faults.disk import full, small
from cluster.faults.group import Group

Fault = Callable[[Group], None]
UPGRADED_IMAGE = "docker.io/library/redis:8.0.3"


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


def delete_master(group: Group) -> None:
    group.kubectl("delete", "pod", group.master())


def drain_masters_node(group: Group) -> None:
    node = str(group.get("pod", group.master())["spec"]["nodeName"])
    try:
        group.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s", "--pod-selector=!unrelated")
    finally:
        group.kubectl("uncordon", node)


def change_configuration(group: Group) -> None:
    group.change(hz=group.args.get("hz", 10) + 10)


def restart_all(group: Group) -> None:
    group.kubectl("rollout", "restart", "statefulset/cache")
    group.await_ready()


def rotate_password(group: Group) -> None:
    group.change(password_version=group.args.get("password_version", 1) + 1)
    group.connect()


def upgrade_engine(group: Group) -> None:
    """To an image with another name; what is in it is the same here."""
    subprocess.run([NODE, "images", UPGRADED_IMAGE], check=True)
    group.change(image=UPGRADED_IMAGE)
    images = {container["image"] for pod in group.get("pods")["items"] for container in pod["spec"]["containers"]}
    assert UPGRADED_IMAGE in images


def grow_and_shrink(group: Group) -> None:
    for members in (5, 3):
        group.change(members=members)
        group.await_whole(quiet=False)
        group.await_writes()
