"""Real servers that stand for clouds, each behind toxiproxy, which makes their networks slow, silent or gone."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from availability import unavailable
from common import go_build
from common.console import Failure
from common.waiting import until
from unit.client.processes import Processes, processes
from unit.multicloud.clouds import NAMES

_API_PORT = 8474


class Proxied:
    """Three clouds, by name."""

    def __init__(self, under: Processes, api: str) -> None:
        self._under = under
        self._api = api
        for number, name in enumerate(NAMES, 1):
            under.serve(number)
            listen, upstream = f"{under.host(number + 10)}:6379", f"{under.host(number)}:6379"
            self._call("POST", "proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})

    def connections(self) -> dict[str, dict[str, Any]]:
        """Through the proxies."""
        return {name: self._under.connection(number + 10) for number, name in enumerate(NAMES, 1)}

    def delay(self, name: str, milliseconds: int) -> None:
        """Answers come so much later."""
        self._poison(name, "latency", {"latency": milliseconds, "jitter": milliseconds // 5})

    def silence(self, name: str) -> None:
        """Nothing passes, and nothing is closed: as when a network loses all packets."""
        self._poison(name, "timeout", {"timeout": 0})

    def reset(self, name: str) -> None:
        """Connections are reset."""
        self._poison(name, "reset_peer", {"timeout": 0})

    def cut(self, name: str) -> None:
        """Nobody gets a connection, and those that there are end."""
        self._call("POST", f"proxies/{name}", {"enabled": False})

    def stop(self, name: str) -> None:
        """The server itself hangs."""
        self._under.signal(NAMES.index(name) + 1, signal.SIGSTOP)

    def kill(self, name: str) -> None:
        """The server itself ends."""
        self._under.signal(NAMES.index(name) + 1, signal.SIGKILL)

    def empty(self, name: str) -> None:
        """The server is killed and comes back without its data."""
        self.kill(name)
        self._under.serve(NAMES.index(name) + 1)

    def heal(self, name: str) -> None:
        """All is well again, but for what was lost, and delays."""
        self._under.signal(NAMES.index(name) + 1, signal.SIGCONT)
        self._call("POST", f"proxies/{name}", {"enabled": True})
        for toxic in self._call("GET", f"proxies/{name}")["toxics"]:
            if toxic["type"] != "latency":
                self._call("DELETE", f"proxies/{name}/toxics/{toxic['name']}")

    def stored(self, name: str, cache: str = "caches") -> dict[str, str]:
        """What a server has of a cache's records."""
        number = NAMES.index(name) + 1
        keys = self._under.ask(number, "KEYS", f"multicloud:{cache}:*:v:*")
        return {key.partition(":v:")[2]: self._under.ask(number, "GET", key) for key in keys}

    def _poison(self, name: str, kind: str, attributes: dict[str, int]) -> None:
        for stream in ("downstream",) if kind == "latency" else ("downstream", "upstream"):
            toxic = {"name": f"{kind}_{stream}", "type": kind, "stream": stream, "attributes": attributes}
            self._call("POST", f"proxies/{name}/toxics", toxic)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self._api}/{path}", data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def proxied(engine: str = "redis") -> Iterator[Proxied]:
    """Ended afterwards."""
    try:
        program = go_build.build(["toxiproxy"])["toxiproxy"] / "toxiproxy"
    except Failure as failure:
        unavailable(f"toxiproxy can't be built: {failure}")
    with processes(engine) as under, ExitStack() as closing:
        host = under.host(9)
        quiet = subprocess.DEVNULL
        toxiproxy = subprocess.Popen([str(program), "-host", host, "-port", str(_API_PORT)], stdin=quiet, stdout=quiet, stderr=quiet)
        closing.callback(toxiproxy.wait)
        closing.callback(toxiproxy.kill)
        api = f"http://{host}:{_API_PORT}"
        assert until(lambda: _answers(api), 20, every=0.05)
        yield Proxied(under, api)


def _answers(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/version", timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False
