"""Where pods run: how far apart, on which nodes, with what priority."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_caches.arguments import LABEL_KEY, LABEL_VALUE, Arguments, suggest


class Spread(StrEnum):
    """How strictly pods are kept apart."""

    NONE = "none"
    PREFERRED = "preferred"
    """Apart where possible, together where there is no room."""
    REQUIRED = "required"
    """Apart, or not scheduled."""


class Toleration(TypedDict):
    """A taint that pods tolerate."""

    key: NotRequired[str]
    """Of the taint; absent with operator Exists is every taint."""
    operator: NotRequired[str]
    """Equal or Exists. Default: Equal."""
    value: NotRequired[str]
    """Of the taint, with operator Equal."""
    effect: NotRequired[str]
    """NoSchedule, PreferNoSchedule or NoExecute; absent is every effect."""


class PlacementArgs(TypedDict):
    """Arguments of everything that runs pods."""

    node_spread: NotRequired[Spread]
    """Pods of one cache on different nodes: none, preferred or required. Default: preferred."""
    zone_spread: NotRequired[Spread]
    """Pods of one cache in different zones, evenly: none, preferred, or required, in at least two. Default: preferred."""
    node_selector: NotRequired[dict[str, str]]
    """Only nodes with these labels. Default: any node."""
    tolerations: NotRequired[list[Toleration]]
    """Taints to tolerate. Default: none."""
    dedicated_nodes: NotRequired[str]
    """KEY=VALUE of nodes kept for caches: selects the label and tolerates the taint of that name. Default: none."""
    priority_class_name: NotRequired[pulumi.Input[str]]
    """PriorityClass of the pods. Default: the cluster's default."""


@dataclass(frozen=True)
class Placement:
    """Checked placement."""

    node_spread: Spread
    zone_spread: Spread
    node_selector: dict[str, str]
    tolerations: tuple[dict[str, Any], ...]


_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def read_placement(arguments: Arguments) -> Placement:
    """Reads and checks PlacementArgs (but for `priority_class_name`)."""
    node_selector = arguments.labels("node_selector")
    tolerations = _read_tolerations(arguments)
    key, separator, value = arguments.text(
        "dedicated_nodes", "", re.compile(f"{LABEL_KEY.pattern}={LABEL_VALUE.pattern}"), "must be KEY=VALUE, such as dedicated=caches"
    ).partition("=")
    if separator:
        node_selector = {**node_selector, key: value}
        tolerations.append({"key": key, "operator": "Equal", "value": value})
    return Placement(
        node_spread=arguments.choice("node_spread", Spread.PREFERRED),
        zone_spread=arguments.choice("zone_spread", Spread.PREFERRED),
        node_selector=node_selector,
        tolerations=tuple(tolerations),
    )


def pod_placement(placement: Placement, selector: dict[str, str]) -> dict[str, Any]:
    """The placement's part of a pod's spec; `selector` matches the pods to keep apart."""
    spec: dict[str, Any] = {}
    if placement.node_spread is not Spread.NONE:
        spec["affinity"] = {"pod_anti_affinity": _anti_affinity(placement.node_spread, selector)}
    if placement.zone_spread is not Spread.NONE:
        constraint = {"max_skew": 1, "topology_key": "topology.kubernetes.io/zone", "label_selector": {"match_labels": selector}}
        if placement.zone_spread is Spread.REQUIRED:
            # Where all nodes are in one zone, nothing in it is uneven: without a least number all pods would be scheduled there.
            constraint |= {"when_unsatisfiable": "DoNotSchedule", "min_domains": 2}
        else:
            constraint["when_unsatisfiable"] = "ScheduleAnyway"
        spec["topology_spread_constraints"] = [constraint]
    if placement.node_selector:
        spec["node_selector"] = placement.node_selector
    if placement.tolerations:
        spec["tolerations"] = list(placement.tolerations)
    return spec


def _anti_affinity(spread: Spread, selector: dict[str, str]) -> dict[str, Any]:
    term = {"topology_key": "kubernetes.io/hostname", "label_selector": {"match_labels": selector}}
    if spread is Spread.REQUIRED:
        return {"required_during_scheduling_ignored_during_execution": [term]}
    return {"preferred_during_scheduling_ignored_during_execution": [{"weight": 100, "pod_affinity_term": term}]}


def _read_tolerations(arguments: Arguments) -> list[dict[str, Any]]:
    given = arguments.mappings("tolerations", list(Toleration.__annotations__))
    for toleration in given:
        operator, effect = toleration.get("operator", "Equal"), toleration.get("effect")
        if operator not in ("Equal", "Exists"):
            arguments.refuse("tolerations", f"operator {operator!r} is neither Equal nor Exists")
        elif operator == "Exists" and "value" in toleration:
            arguments.refuse("tolerations", "operator Exists takes no value")
        elif operator == "Equal" and "key" not in toleration:
            arguments.refuse("tolerations", "operator Equal needs a key")
        if effect is not None and effect not in _EFFECTS:
            arguments.refuse("tolerations", f"effect {effect!r} is not one of {', '.join(_EFFECTS)}{suggest(str(effect), list(_EFFECTS))}")
    return given
