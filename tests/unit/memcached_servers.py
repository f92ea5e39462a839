"""Pods of Memcached without a cluster: the scripts and real servers, each in its own network and with the files of its pod."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.waiting import until
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import memcached_pod
from pulumi_caches.kubernetes.memcached import Memcached, read_memcached
from pulumi_caches.kubernetes.memcached_shards import MemcachedShardsArgs
from unit.servers import PASSWORD, Pod, Script

CLIENT = Path(__file__).resolve().parents[1] / "memcached_client.py"
USER = "cache"


def read(**arguments: Any) -> Memcached:
    reader = Arguments("Test", "cache", 63, arguments, MemcachedShardsArgs)
    memcached = read_memcached(reader)
    reader.finish()
    return memcached


class MemcachedPod(Pod):
    """A pod that runs Memcached."""

    port = "11211"
    """Where the probes ask."""

    def configure(self, **_: Any) -> Any:
        """Writes the ConfigMap's files."""
        for name, content in memcached_pod.script_files().items():
            (self.folder / "etc" / "config" / name).write_text(content)

    def start(self, role: str = "", *, path: str = "", **arguments: Any) -> Script:
        """Runs start.sh, with the component's arguments and perhaps another search path for programs."""
        self.port = "11212" if "tls_secret_name" in arguments else "11211"
        self.server = self.begin("start.sh", *read(**arguments).command_line(), **({"PATH": path} if path else {}))
        return self.server

    def call(self, *commands: str, user: str = USER, password: str | None = PASSWORD, port: str = "11211", **login: Any) -> Any:
        """The replies to commands of a new connection; a dictionary with `error` when it is refused."""
        given = json.dumps({"user": user, "password": password, "commands": commands, **login})
        done = subprocess.run(self.client("call", port), input=f"{given}\n", capture_output=True, text=True, timeout=20, check=True)
        return json.loads(done.stdout)

    def client(self, action: str, port: str = "11211") -> list[str]:
        """The command of a client in the pod's network."""
        return [*self.network.entering(self._holder), sys.executable, str(CLIENT), self.address, port, action]

    def accepts(self, password: str | None, user: str = USER) -> bool:
        """Whether a new connection with that password, or without one, can do anything."""
        return bool(self.call("version", user=user, password=password) == ["VERSION 1.6.38"])

    def settings(self) -> dict[str, str]:
        """What the server says of its settings."""
        found: dict[str, str] = self.call("stats settings")[0]
        return found

    def _answers(self) -> bool:
        done = self.run("probe.sh", "alive")
        return done.returncode == 0

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return super()._environment({"PORT": self.port, **more})

    def await_refused(self, password: str) -> None:
        """Waits until the server has read its file of logins again."""
        assert until(lambda: not self.accepts(password), 10, every=0.1), self.server.output
