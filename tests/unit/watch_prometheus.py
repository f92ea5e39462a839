"""Runs in the tests' Debian: stops a server that a Prometheus watches, starts it again, and reports what was to be seen meanwhile."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

SECONDS = 25


def ask(path: str, **parameters: str) -> Any:
    prometheus = http.client.HTTPConnection("127.0.0.1", 9090, timeout=5)
    prometheus.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
    return json.load(prometheus.getresponse())["data"]


def firing() -> list[str]:
    return sorted(alert["labels"]["alertname"] for alert in ask("alerts")["alerts"] if alert["state"] == "firing")


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (OSError, json.JSONDecodeError):  # not started yet
            pass
        time.sleep(0.2)


def main() -> None:
    with open("queries.json") as file:
        queries: list[str] = json.load(file)

    def empty() -> list[str]:
        return [query for query in queries if not ask("query", query=query)["result"]]

    wait_for(lambda: not empty() and not firing())
    report: dict[str, Any] = {"empty": empty(), "before": firing()}
    subprocess.run(["redis-cli", "shutdown", "nosave"], check=True)
    wait_for(lambda: len(firing()) > 1)
    report["during"] = firing()
    subprocess.run(["redis-server", "primary.conf", "--save", "", "--daemonize", "yes"], check=True, stdout=subprocess.DEVNULL)
    wait_for(lambda: not firing())
    report["after"] = firing()
    print(json.dumps(report))


if __name__ == "__main__":
    main()
