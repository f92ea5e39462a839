"""What people do to a running SentinelGroup; clients notice next to nothing of it."""

from __future__ import annotations

import subprocess

from cluster.deployed import NODE
from cluster.faults.group import Group

UPGRADED_IMAGE = "docker.io/library/redis:8.0.3"


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
