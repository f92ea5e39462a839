"""Shows that the embedded cluster's Prometheus sees what a stack monitors, and what it says of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from common.console import Failure, say, step
from common.waiting import until

from driver.stack import Stack

# Of the API server, which passes on to the Prometheus that `tools/node prometheus` installs.
_API = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1"
# A monitor is found, becomes configuration, and is asked for the first time; an alert of what was restarted has ended.
SECONDS = 300


def prove(stack: Stack, namespaces: Iterable[str]) -> None:
    """Waits until every server is asked and answers, and no alert fires. Raises Failure when that does not come."""
    wanted = {*namespaces}
    with step("monitoring: waiting until Prometheus has asked every server"):
        if not until(lambda: _all_well(stack, wanted), SECONDS, every=2):
            raise Failure(f"monitoring: {describe(stack, wanted)}")
    say(f"monitoring: {describe(stack, wanted)}")


def describe(stack: Stack, namespaces: Iterable[str]) -> str:
    """How many targets there are, and which alerts fire, in a line."""
    wanted = {*namespaces}
    health = _health(stack, wanted)
    down = sorted(instance for instance, state in health if state != "up")
    text = f"{len(health) - len(down)} of {_endpoints(stack, wanted)} targets are up"
    if down:
        text += f" (not {', '.join(dict.fromkeys(down))})"
    firing = _firing(stack, wanted)
    return f"{text}; {'alerts that fire: ' + ', '.join(firing) if firing else 'no alert fires'}"


def _all_well(stack: Stack, namespaces: set[str]) -> bool:
    try:
        health = _health(stack, namespaces)
        return len(health) == _endpoints(stack, namespaces) and all(state == "up" for _, state in health) and not _firing(stack, namespaces)
    except Failure:  # it has just been installed
        return False


def _health(stack: Stack, namespaces: set[str]) -> list[tuple[str, str]]:
    targets = _ask(stack, "targets?state=active")["activeTargets"]
    of_caches = [target for target in targets if "cache" in target["labels"] and target["labels"]["namespace"] in namespaces]
    return [(target["labels"]["instance"], target["health"]) for target in of_caches]


def _firing(stack: Stack, namespaces: set[str]) -> list[str]:
    alerts = [alert for alert in _ask(stack, "alerts")["alerts"] if alert["state"] == "firing"]
    return sorted(
        f"{alert['labels']['alertname']} of {alert['labels']['cache']}"
        for alert in alerts
        if "cache" in alert["labels"] and alert["labels"]["namespace"] in namespaces
    )


def _endpoints(stack: Stack, namespaces: set[str]) -> int:
    """How many targets the stack's monitors name."""
    monitors = _json(stack, "get", "servicemonitors,podmonitors", "--all-namespaces", "--output=json")["items"]
    here = [monitor["spec"] for monitor in monitors if monitor["metadata"]["namespace"] in namespaces]
    return sum(len(spec.get("endpoints", [])) + len(spec.get("podMetricsEndpoints", [])) for spec in here)


def _ask(stack: Stack, path: str) -> Any:
    return _json(stack, "get", "--raw", f"{_API}/{path}")["data"]


def _json(stack: Stack, *arguments: str) -> Any:
    done = stack.kubectl(*arguments)
    if done.returncode:
        raise Failure(f"monitoring: Prometheus could not be asked: {done.stderr.strip()}")
    return json.loads(done.stdout)
