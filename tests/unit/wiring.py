"""How the parts that a component has registered fit each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
from unit import mocks


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector selects what has the labels."""
    return selector.items() <= labels.items()


def pod_labels(stateful_set: Any) -> dict[str, str]:
    """The labels of a StatefulSet's pods."""
    return dict(stateful_set["spec"]["template"]["metadata"]["labels"])


def pod(registered: mocks.Registered, name: str = "cache") -> Any:
    """The spec of a StatefulSet's pods."""
    return registered.named("StatefulSet")[name]["spec"]["template"]["spec"]


def environment(container: Any) -> dict[str, str]:
    """Variables of a container; the pod's own fields as $PATH."""
    return {
        entry["name"]: entry["value"] if "value" in entry else "$" + entry["valueFrom"]["fieldRef"]["fieldPath"]
        for entry in container["env"]
    }


def kinds(registered: mocks.Registered) -> list[tuple[str, str]]:
    """Kind and name of everything that was registered."""
    return sorted((resource.typ.rpartition(":")[2], resource.name) for resource in registered.resources)


def connection(component: Callable[..., Any], answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> dict[str, Any]:
    """What the component `cache` in the namespace `shop` says how to reach it."""
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = component("cache", {"namespace": "shop", **args})
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    mocks.run(program, answers=answers)
    return dict(found[0])


def request(registered: mocks.Registered, kind: str) -> Any:
    """What was asked of the engine for the one resource of a kind."""
    [found] = [item for item in registered.requests if item.type.rpartition(":")[2] == kind]
    return found
