"""What replication is tested with: connections in files, runs in this process or in one of their own, and servers that refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from caches_runtime.ops.migrate.errors import InterruptedMigrationError
from caches_runtime.replication.notes import Notes
from caches_runtime.replication.replicator import Replicator, identity
from caches_runtime.replication.settings import Done, Settings
from caches_runtime.replication.site import Place
from caches_runtime.replication.wanted import Wanted
from common.waiting import until
from unit.backup.caches import standalone
from unit.migrate.servers import PASSWORD, Server, content

EVENTS = "notify-keyspace-events AE"
# What clouds let nobody do, and more: only what a replicator needs is left.
REFUSING = (
    f"user limited on >{PASSWORD} ~* &* +@all -psync -sync -replicaof -config -monitor -object -client -command -acl -debug -save -bgsave",
    "rename-command DEBUG ''",
)


class Sites:
    """Caches by name, and what was replicated between them."""

    def __init__(self, folder: Path, **connections: dict[str, Any]) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.said: list[str] = []
        self.files = {name: folder / f"{name}.json" for name in connections}
        for name, connection in connections.items():
            self.files[name].write_text(json.dumps(connection))
        self.places = [Place(file) for file in self.files.values()]

    def replicate(self, *, leader: bool = True, interrupted: Callable[[], bool] = lambda: False, **settings: Any) -> Done:
        """One run, in this process; to its end unless told otherwise."""
        chosen = Settings(**{"leader": leader, "wanted": Wanted(), "once": True, **settings})
        with Notes(self.state, identity(self.places, leader=leader)) as notes:
            return Replicator(self.places, chosen, notes, self.said.append, interrupted).run()

    @contextmanager
    def replicating(self, **settings: Any) -> Iterator[Replicator]:
        """A run in a thread, once it is through its first sweep."""
        ended, trouble = threading.Event(), list[BaseException]()
        chosen = Settings(**{"leader": True, "wanted": Wanted(), "sweep_seconds": 3600, **settings})
        made: list[Replicator] = []

        def run() -> None:
            try:
                with Notes(self.state, identity(self.places, leader=chosen.leader)) as notes:
                    made.append(Replicator(self.places, chosen, notes, self.said.append, ended.is_set))
                    made[0].run()
            except InterruptedMigrationError:
                pass
            except BaseException as error:
                trouble.append(error)

        swept = self.sweeps()
        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert until(lambda: self.sweeps() > swept or bool(trouble), 60, every=0.01), self.said
            if not trouble:
                yield made[0]
        finally:
            ended.set()
            thread.join()
            if trouble:
                raise trouble[0]

    def sweeps(self) -> int:
        """How many have ended."""
        return sum(line.startswith("sweep") for line in self.said)

    def command(self, *words: str) -> subprocess.Popen[str]:
        """The command, as a process of its own; `{name}` in a word is the file of that cache."""
        given = [word.format(**self.files, state=self.state) for word in words]
        return subprocess.Popen(
            [sys.executable, "-c", "from caches_runtime.cli import main; main()", "replicate", *given],
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ends(self, *words: str) -> tuple[int, str]:
        """How it ends, and what it says."""
        started = self.command(*words)
        output, _ = started.communicate(timeout=120)
        return started.returncode, output


def of(folder: Path, **servers: Server) -> Sites:
    """Single servers."""
    return Sites(folder, **{name: standalone(server) for name, server in servers.items()})


def equal(one: Any, other: Any) -> bool:
    """Whether two clients' servers hold the same; the same to 2 s of a time to live."""
    try:
        ours, theirs = content(one), content(other)
    except redis.ResponseError:
        return False  # a key was deleted, or has become another type, between two looks
    return ours.keys() == theirs.keys() and all(
        value[:2] == theirs[key][:2] and abs(value[2] - theirs[key][2]) < 2000 for key, value in ours.items()
    )


def alike(one: Any, other: Any, seconds: float = 30) -> bool:
    """Waits until they do."""
    return until(lambda: equal(one, other), seconds, every=0.05)


def limited(server: Server) -> dict[str, Any]:
    """The connection of a user who may do little."""
    return standalone(server, username="limited", password=PASSWORD)


def commands_seen(client: redis.Redis) -> int:
    """How many a server has carried out."""
    return int(client.info("stats")["total_commands_processed"])
