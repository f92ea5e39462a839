"""HAProxy in a pod of its own, as a SentinelGroup configures it, and clients of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from availability import unavailable
from common.waiting import until
from pulumi_caches.kubernetes.haproxy import FILE, READ_PORT, STATUS_PORT, render
from unit.sentinel.group import DRIVER, GROUP, Group, end
from unit.servers import PASSWORD, Pod, Programs, Script, pods

# HAProxy's own command is a program's, and a client's that waits is too; pods run scripts.
_SCRIPTS = {
    "front.sh": f'exec haproxy -db $OPTIONS -f "$(dirname "$0")/{FILE}"\n',
    "wait.sh": "exec $ENGINE-cli -p $1 blpop never 0\n",
}
GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"


class Front:
    """Nothing runs yet."""

    def __init__(self, pod: Pod, members: Sequence[Pod]) -> None:
        if not pod.programs.root and not shutil.which("haproxy"):
            unavailable("haproxy not found, and there is no Debian to take it from")
        self.pod = pod
        self.process: Script
        self._members = members
        config = {FILE: render([member.name for member in members], 100)}
        for name, content in {**_SCRIPTS, **config}.items():
            (pod.folder / "etc" / "config" / name).write_text(content)

    def check(self, addresses: str) -> str:
        """What HAProxy has to say of its configuration in a pod with these addresses."""
        checked = self.pod.run("front.sh", OPTIONS="-c -q", POD_IPS=addresses)
        return f"{checked.stdout}{checked.stderr}" + (f"ended with {checked.returncode}" if checked.returncode else "")

    def start(self) -> None:
        """Runs it, until it listens."""
        self.process = self.pod.begin("front.sh", OPTIONS="", POD_IPS=self.pod.address)
        assert until(lambda: self.get("/alive") is not None, 15, every=0.05), self.process.output

    def call(self, *words: str, port: int = 6379) -> str:
        """What a client is told that knows the front only."""
        return self.pod.cli(*words, port=port, user="default", password=PASSWORD)

    def read(self, *words: str) -> str:
        return self.call(*words, port=READ_PORT)

    def wait(self, port: int = 6379) -> Script:
        """A client that keeps its connection and never gets its answer."""
        return self.pod.begin("wait.sh", str(port), REDISCLI_AUTH=PASSWORD)

    def get(self, path: str) -> str | None:
        """The page, or None when there is none."""
        host = f"[{self.pod.address}]" if ":" in self.pod.address else self.pod.address
        words = self.pod.beside(sys.executable, "-c", GET, f"http://{host}:{STATUS_PORT}{path}")
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        return done.stdout if done.returncode == 0 else None


class Told:
    """Servers of which each is what a test says."""

    def __init__(self, front: Front, members: Sequence[Pod], closing: ExitStack) -> None:
        self.front = front
        self.members = list(members)
        for member in self.members:
            # With data it would keep the next one from starting empty.
            member.serve()
        for member in self.members:
            member.connect().set("name", member.name)
            self._file(member).write_text("")
            given: dict[str, Any] = {"file": str(self._file(member))}
            words = member.beside("setpriv", "--pdeathsig=KILL", sys.executable, str(DRIVER), "status", json.dumps(given))
            closing.callback(end, subprocess.Popen(words, stdin=subprocess.DEVNULL))

    def say(self, *roles: str) -> None:
        """`master`, `slave` or nothing, of each member in turn."""
        for member, role in zip(self.members, roles, strict=True):
            unfinished = self._file(member).with_suffix(".new")
            unfinished.write_text(role)
            unfinished.rename(self._file(member))

    def _file(self, member: Pod) -> Path:
        return member.folder / "role"


@contextmanager
def fronted(programs: Programs, network: str = "10.0.0.") -> Iterator[tuple[Front, list[Pod]]]:
    """The pods of a group, and one for a front."""
    with pods(programs, *(f"{GROUP}-{ordinal}" for ordinal in range(3)), "front", network=network) as (*members, front):
        yield Front(front, members), members


@contextmanager
def told(programs: Programs) -> Iterator[Told]:
    """A front that runs, and servers that nobody has told yet what they are."""
    with fronted(programs) as (front, members), ExitStack() as closing:
        made = Told(front, members, closing)
        front.start()
        yield made


@contextmanager
def fronted_group(programs: Programs, network: str = "10.0.0.") -> Iterator[tuple[Front, Group]]:
    """A group of which nothing runs yet, and a front that doesn't either."""
    with fronted(programs, network) as (front, members), ExitStack() as closing:
        yield front, Group(members, members[0].folder.parent, closing)
