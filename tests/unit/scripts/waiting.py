"""Waiting for what servers and probes do in their own time."""

from __future__ import annotations

import redis
from common.waiting import until
from unit.servers import Pod

PASSES = ""


def await_copy(replica: Pod) -> None:
    """Waits until a replica has the primary's data, also on disk: before, it does not end when it is asked to."""
    replica.await_info("master_link_status", "up")
    replica.await_info("aof_rewrite_in_progress", "0")


def await_probe(pod: Pod, kind: str, passes: bool, seconds: float = 10, **environment: str) -> str:
    """What probe.sh says once it passes, or does not."""
    said = ["nothing yet"]

    def as_wanted() -> bool:
        said.append(pod.probe(kind, **environment))
        return (said[-1] == PASSES) is passes

    assert until(as_wanted, seconds, every=0.05), said[-1]
    return said[-1]


def await_value(pod: Pod, key: str, value: str) -> None:
    """Waits until the pod's server has a key so; one that has just started may still be loading it."""
    found: list[object] = []

    def has_value() -> bool:
        try:
            found.append(pod.connect().get(key))
        except redis.BusyLoadingError as loading:
            found.append(loading)
        return found[-1] == value

    assert until(has_value, 10, every=0.02), f"{pod.name}: {key} is {found[-1]!r}"
