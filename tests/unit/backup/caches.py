"""What backups are tested with: an engine's programs on PATH, connections as components export them, and runs in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from caches_runtime.ops.backup.backup import Backup
from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.backup.manifest import Manifest
from caches_runtime.ops.backup.restore import Restore
from caches_runtime.ops.backup.sealing import Sealing
from caches_runtime.ops.backup.store import Store
from unit.cluster_nodes import Nodes
from unit.migrate.servers import PASSWORD, Server
from unit.servers import find_programs

# Runs a program of the Debian with the Debian's libraries, on this machine's files. A checker goes by its own name.
_RUN = """#!/bin/sh
exec {root}/lib64/ld-linux-x86-64.so.2 --argv0 {name} --library-path {root}/usr/lib/x86_64-linux-gnu {root}/usr/bin/{name} "$@"
"""


def put_on_path(folder: Path, *engines: str) -> str:
    """A search path on which the engines' servers and checkers, and Prometheus, are those of the tests' Debian."""
    for engine in engines:
        root = find_programs(engine).root
        for name in (f"{engine}-server", f"{engine}-check-rdb", f"{engine}-cli", "prometheus") if root else ():
            (folder / name).write_text(_RUN.format(root=root, name=name))
            (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def standalone(server: Server, **more: Any) -> dict[str, Any]:
    """The connection of one server."""
    here = {"engine": "redis", "mode": "standalone", "host": server.host, "port": 6379, "password": PASSWORD}
    return {**here, "tls": False, "provider": "kubernetes", **more}


def clustered(nodes: Nodes, *places: Any, **more: Any) -> dict[str, Any]:
    """The connection of a cluster."""
    hosts = [nodes.hosts.of(place) for place in places]
    here = {"engine": "redis", "mode": "cluster", "host": hosts[0], "port": 6379, "nodes": [f"{host}:6379" for host in hosts]}
    return {**here, "tls": False, "provider": "kubernetes", **more}


class Place:
    """Where a test's backups are, and what makes and restores them."""

    def __init__(self, folder: Path, bucket: str | None = None, key: str | None = None) -> None:
        self.folder = folder
        self.bucket = bucket or (folder / "bucket").as_uri()
        self.store = Store(self.bucket)
        self.sealing = Sealing(key) if key else None
        self.said: list[str] = []

    def cache(self, connection: dict[str, Any]) -> Cache:
        return Cache.read(self.connection_file(connection), self.folder)

    def connection_file(self, connection: dict[str, Any]) -> Path:
        file = self.folder / "connection.json"
        file.write_text(json.dumps(connection))
        return file

    def backup(self, connection: dict[str, Any], **more: Any) -> Backup:
        return Backup(self.cache(connection), self.store, self.folder, self.sealing, self.said.append, **more)

    def restore(self) -> Restore:
        return Restore(self.store, self.folder, self.sealing, self.said.append)

    def bring(self, connection: dict[str, Any], backup: Manifest | None = None, *, force: bool = False) -> int:
        """Restores that backup, or the newest, into a cache."""
        run = self.restore()
        return run.run(backup or run.choose(None), self.cache(connection), force=force, seconds=10)

    def command(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """The command, as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", "from caches_runtime.cli import main; main()", "backup", *words],
            env={**os.environ, "BUCKET": self.bucket, "CONNECTION_FILE": str(self.folder / "connection.json"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def kill(command: subprocess.Popen[str]) -> str:
    """Ends a command and what it has started, as a container's end does; what it has said."""
    os.killpg(command.pid, signal.SIGKILL)
    return command.communicate()[0]
