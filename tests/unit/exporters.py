"""The containers of an exporter's pod, run in the network of a test's pod, with their files where the test has them."""

from __future__ import annotations

import subprocess
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from availability import unavailable
from common.waiting import until
from unit.servers import Pod

# Also what is no success has a text.
_READ = "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=20); c.request('GET', sys.argv[2]); print(c.getresponse().read().decode())"  # noqa: E501
_PORTS = {"exporter": 9121, "certificates": 9115}


class Exporters:
    """Begins when a block does, and ends with it."""

    def __init__(self, pod: Pod, containers: Sequence[Mapping[str, Any]], files: Mapping[str, str]) -> None:
        if not pod.programs.root:
            unavailable("it takes root to use another Debian's programs")
        self._pod = pod
        self._containers = containers
        self._folder = pod.folder / "exporter"
        self._folder.mkdir()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.write(files)

    def __enter__(self) -> Self:
        for container in self._containers:
            words = [word.replace("/etc/exporter", str(self._folder)) for word in container["command"]]
            words[0] = str(self._program(words[0]))
            with self._log(container["name"]).open("wb") as log:
                process = subprocess.Popen(self._pod.beside(*words), stdout=log, stderr=subprocess.STDOUT)
            self.processes[container["name"]] = process
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def write(self, files: Mapping[str, str]) -> None:
        """As the volume has them."""
        for name, text in files.items():
            (self._folder / name).write_text(text)

    def said(self, container: str) -> str:
        """What it has printed."""
        return self._log(container).read_text()

    def arguments(self) -> str:
        """Of all processes."""
        return " ".join(str(process.args) for process in self.processes.values())

    def scrape(self, path: str, parameters: Mapping[str, str], port: str = "exporter") -> str:
        """As Prometheus does."""
        words = [sys.executable, "-c", _READ, str(_PORTS[port]), f"{path}?{urllib.parse.urlencode(parameters)}"]
        return subprocess.run(self._pod.beside(*words), capture_output=True, text=True, timeout=30).stdout

    def await_scraped(self, line: str, path: str, parameters: Mapping[str, str], port: str = "exporter") -> None:
        """Waits until a scrape has the line; every scrape has an answer, also while a server has none."""
        found = until(lambda: f"\n{line}" in self.scrape(path, parameters, port), 20, every=0.1)
        assert found, "\n".join(self.said(name) for name in self.processes)

    def _program(self, name: str) -> Path:
        """The exporters are the Debian's, and what logs in is this checkout's."""
        if name == "caches":
            return Path(sys.executable).with_name(name)
        root = self._pod.programs.root
        assert root
        found = root / name.lstrip("/")
        # A link there leads to its own root.
        return root / str(found.readlink()).lstrip("/") if found.is_symlink() else found

    def _log(self, container: str) -> Path:
        return self._pod.folder / f"{container}.log"
