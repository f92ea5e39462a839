"""Control groups: what belongs to the cluster is what is in them, so they are also how it is ended.

Machines of today have version 2, one tree; older ones and some containers have version 1, a tree per controller. Version 1
is what this was run on; version 2 follows the kernel's documentation.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from common.console import Failure
from common.waiting import until

_ROOT = Path("/sys/fs/cgroup")


def is_version_2() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


@lru_cache(maxsize=1)
def _trees() -> list[Path]:
    if is_version_2():
        return [_ROOT]
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    # "cgroup2" beside version 1 has no controller of use, but the container runtime makes its groups there as well.
    trees = [Path(fields[1]) for fields in mounts if fields[2] in ("cgroup", "cgroup2")]
    if not trees:
        raise Failure(f"no control groups are mounted under {_ROOT}, the nodes can't run containers without: mount them first")
    return trees


def create(name: str) -> list[Path]:
    """The folders (one per tree) of the group for the cluster's own processes, beside which the kubelet makes its pods'."""
    folders = []
    for tree in _trees():
        group = tree / name
        for folder in (group, group / "system"):
            folder.mkdir(exist_ok=True)
            # A new cpuset is empty and takes no process until it has been given what its parent has.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if not is_version_2() and (folder / setting).exists():
                    (folder / setting).write_text((folder.parent / setting).read_text())
        if is_version_2():
            for folder in (tree, group):
                available = (folder / "cgroup.controllers").read_text().split()
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in available))
        folders.append(group / "system")
    return folders


def _groups(name: str) -> Iterator[Path]:
    """The group and all groups in it, in every tree, the innermost first."""
    for tree in _trees():
        for folder, _, _ in os.walk(tree / name, topdown=False):
            yield Path(folder)


@contextmanager
def _unless_gone() -> Iterator[None]:
    """The container runtime removes groups too, at any moment; before and after opening a file, the kernel calls it differently."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def _read(file: Path) -> str:
    with _unless_gone():
        return file.read_text()
    return ""


def processes(name: str) -> set[int]:
    return {int(pid) for group in _groups(name) for pid in _read(group / "cgroup.procs").split()}


def exists(name: str) -> bool:
    return any((tree / name).exists() for tree in _trees())


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _thaw(name: str) -> None:
    """A frozen process takes no signal, not even the one that kills."""
    for group in _groups(name):
        for setting, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            # Opened so that nothing is made: where the setting doesn't exist, none is needed.
            with _unless_gone(), (group / setting).open("r+") as file:
                file.write(value)


def ask_to_end(name: str, seconds: float) -> None:
    """Lets programs close their files in order; those that don't take the hint are left for `remove`."""
    _thaw(name)
    _signal(processes(name), signal.SIGTERM)
    until(lambda: not processes(name), seconds, every=0.05)


def remove(name: str) -> None:
    """Ends every process of the group and removes it."""

    def removed() -> bool:
        _thaw(name)
        _signal(processes(name), signal.SIGKILL)
        try:
            for group in _groups(name):
                with _unless_gone():
                    group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        return not exists(name)

    if not until(removed, 30, every=0.05):
        left = ", ".join(str(pid) for pid in sorted(processes(name)))
        raise Failure(f"processes {left} of the control group {name} don't end: see `cat /proc/PID/stack`, or reboot the machine")


def memory(name: str) -> int:
    """Bytes of memory in use, without the page cache, which the kernel gives back when it must."""
    wanted, folder = ("anon", _ROOT / name) if is_version_2() else ("total_rss", _ROOT / "memory" / name)
    fields = (line.split() for line in _read(folder / "memory.stat").splitlines())
    return sum(int(value) for key, value in fields if key == wanted)
