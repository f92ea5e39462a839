"""Pods of Memcached without a cluster: the scripts and real servers, each in its own network and with the files of its pod."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.waiting import until
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import memcached_pod, memcached_proxy
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


def read_proxy(**arguments: Any) -> Memcached:
    reader = Arguments("Test", "cache", 63, {"proxy": True, "auth": "none", **arguments}, MemcachedShardsArgs)
    proxy = memcached_proxy.read_proxy(reader, read_memcached(reader), stable_names=True)
    reader.finish()
    assert proxy
    return proxy


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
        return self._start(read(**arguments), path)

    def start_proxy(self, hosts: list[str], *, path: str = "", **arguments: Any) -> Script:
        """Runs start.sh as a proxy before these shards."""
        proxy = read_proxy(**arguments)
        (self.folder / "etc" / "config" / "proxy.lua").write_text(memcached_proxy.config(proxy, hosts))
        self.without_passwords()
        return self._start(proxy, path)

    def serve_proxy(self, hosts: list[str], **arguments: Any) -> Script:
        """Runs start.sh as a proxy and waits until it answers."""
        started = self.start_proxy(hosts, **arguments)
        assert until(lambda: started.process.poll() is not None or self._answers(), 10, every=0.01), started.output
        assert started.process.poll() is None, started.output
        return started

    def without_passwords(self) -> None:
        """As with auth none: nothing is mounted where they would be."""
        shutil.rmtree(self.folder / "etc" / "credentials", ignore_errors=True)

    def built_without_anything(self) -> str:
        """The folder of a memcached that was built with no option."""
        folder = self.folder / "data" / "bin"
        folder.mkdir()
        (folder / "memcached").write_text('#!/bin/sh\necho "memcached 1.6.99"\n')
        (folder / "memcached").chmod(0o755)
        return "/data/bin"

    def _start(self, memcached: Memcached, path: str) -> Script:
        self.server = self.begin("start.sh", *memcached.command_line(), **({"PATH": path} if path else {}))
        if memcached.warm_restart:
            self._closing.callback(self._kill_server)
        return self.server

    def _kill_server(self) -> None:
        # In a container it ends with start.sh, which is the container's first process.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "run" / "pid").read_text()), signal.SIGKILL)

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
