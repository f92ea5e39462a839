"""The cluster's processes: started in their space, recorded, recognised again.

A space's network and mounts are held by a process that only sleeps. They are nowhere mounted and have no name, so they are
gone when the last process in them is: whatever crashes, there is no mount, link, address or rule left to clean up.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from common.console import Failure, run
from common.waiting import until

from embedded import cgroups
from embedded.layout import Layout, Space

HOLDER = "holder"
# A process joins its control groups before it is the program, so that there is no moment at which it is in none.
_JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Process:
    """`start` is the kernel's clock tick at which it started: with it a process identifier is never mistaken for another's."""

    name: str
    pid: int
    start: int

    @property
    def alive(self) -> bool:
        state, start = _state(self.pid)
        return start == self.start and state not in "ZX"  # a zombie is only an entry in its parent's list


def _state(pid: int) -> tuple[str, int]:
    try:
        # The program's name is in brackets and may hold anything, so what counts begins after the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return fields[0], int(fields[19])


def log_file(layout: Layout, space: Space, name: str) -> Path:
    return layout.logs / f"{space.name}-{name}.log"


def _record(space: Space, name: str) -> Path:
    return space.run / "processes" / f"{name}.json"


def recorded(space: Space) -> list[Process]:
    """What was started in the space, alive or not."""
    records = sorted((space.run / "processes").glob("*.json"))
    return [Process(**json.loads(record.read_text())) for record in records]


def holder(space: Space) -> Process:
    record = _record(space, HOLDER)
    process = Process(**json.loads(record.read_text())) if record.exists() else None
    if process is None or not process.alive:
        raise Failure(f"{space.name} isn't running: start the cluster with `tools/node up`")
    return process


def entering(space: Space, *, mounts: bool = True) -> list[str]:
    """What to put before a command that shall run in the space's network."""
    # `ip netns exec` won't do: it mounts /sys again and hides the control groups from the kubelet.
    return ["nsenter", f"--target={holder(space).pid}", "--net", *(["--mount"] if mounts else []), "--"]


def inside(space: Space, *command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a short command in the space's network and mounts."""
    return run([*entering(space), *command], **options)


def succeeds(space: Space, *command: str | Path) -> bool:
    return subprocess.run([*entering(space), *command], capture_output=True).returncode == 0


def hold(layout: Layout, space: Space) -> None:
    """Makes the space: its control group, network and mounts."""
    cgroups.create(space.cgroup)
    (space.run / "processes").mkdir(mode=0o700, parents=True)
    _spawn(layout, space, HOLDER, ["unshare", "--net", "--mount", "--propagation=slave", "sleep", "infinity"])
    # The process is `unshare` until it is `sleep`, and only then in the new namespaces.
    executable = Path(f"/proc/{holder(space).pid}/comm")
    if not until(lambda: executable.read_text().strip() == "sleep", 10, every=0.005):
        raise Failure(f"{space.name}: no network namespace could be made, see {log_file(layout, space, HOLDER)}")


def start(layout: Layout, space: Space, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
    _spawn(layout, space, name, [*entering(space), *command], environment)


def _spawn(
    layout: Layout,
    space: Space,
    name: str,
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
) -> None:
    layout.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = space.run / "home"
    with log_file(layout, space, name).open("wb") as log:
        child = subprocess.Popen(
            ["sh", "-c", _JOIN, "sh", *cgroups.create(space.cgroup), "--", *command],
            cwd="/",
            env={"PATH": _PATH, "HOME": str(home), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _children.append(child)
    _record(space, name).write_text(json.dumps(asdict(Process(name, child.pid, _state(child.pid)[1]))))


def end(spaces: Sequence[Space], names: Collection[str], seconds: float) -> None:
    """Asks the named processes to end, and waits for it a while."""
    wanted = [process for space in spaces for process in recorded(space) if process.name in names and process.alive]
    for process in wanted:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    until(lambda: not any(process.alive for process in wanted), seconds, every=0.05)


# Kept so that a child that ends is noticed (and not left as a zombie) while this command runs.
_children: list[subprocess.Popen[bytes]] = []


def _last_lines(file: Path) -> str:
    lines = file.read_text(errors="replace").strip().splitlines() if file.exists() else []
    # What a program dies of is said before the list of what it was doing.
    panics = [number for number, line in enumerate(lines) if "panic:" in line]
    shown = lines[panics[-1] :][:3] if panics else lines[-8:]
    return "\n".join(f"    {line[:400]}" for line in shown) or "    (it printed nothing)"


def fail_on_dead(layout: Layout, spaces: Sequence[Space]) -> None:
    """Fails for a process that has ended, with what it last said."""
    for child in _children:
        child.poll()
    for space in spaces:
        for process in recorded(space):
            if not process.alive:
                log = log_file(layout, space, process.name)
                raise Failure(f"{process.name} of {space.name} has ended; the last of its log {log}:\n{_last_lines(log)}")


def await_ready(layout: Layout, spaces: Sequence[Space], what: str, condition: Callable[[], bool], seconds: float, culprit: Path) -> None:
    """Waits while all processes live; `culprit` is the log to look at when the time runs out."""

    def check() -> bool:
        fail_on_dead(layout, spaces)
        return condition()

    if not until(check, seconds):
        raise Failure(f"{what}: not so after {seconds:.0f} s; the last of {culprit}:\n{_last_lines(culprit)}")
