"""The volume of each server, and what can't change once there is data on it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.guard import Check, Checked, Facts, guard
from pulumi_caches.kubernetes.server import MIB_PER_GIB, Server
from pulumi_caches.kubernetes.volume_growth import VOLUME, growable, quantity

# The data once as kept, once while it is rewritten, and what is written meanwhile.
STORAGE_PER_MEMORY = 3


class StorageArgs(TypedDict):
    """Arguments of the volumes."""

    storage_gib: NotRequired[int]
    """Size of each server's volume in GiB. May grow where the class allows it. Default: three times the first memory_gib, at least 1."""
    storage_class: NotRequired[pulumi.Input[str]]
    """StorageClass of the volumes. Default: the cluster's default."""
    storage_retained: NotRequired[bool]
    """Whether the volumes outlive the cache, so that destroying it loses no data. Default: true."""


@dataclass(frozen=True)
class Storage:
    """Checked storage; absent without persistence."""

    gib: int
    stated: bool
    """Whether the person gave the size; else an existing volume's is kept when memory grows."""
    retained: bool


@dataclass(frozen=True)
class Agreed:
    """Where a cache is made and how large its volumes are, known once nothing was refused.

    Everything is made in the namespace, so nothing is made before.
    """

    facts: pulumi.Output[Checked]

    @property
    def namespace(self) -> pulumi.Output[str]:
        return self.facts.apply(lambda facts: str(facts.now["namespace"]))

    @property
    def gib(self) -> pulumi.Output[float]:
        """Of the volumes as they were made, which is what a StatefulSet's template says for ever."""
        return self.facts.apply(lambda facts: float(facts.first["storage_gib"]))

    @property
    def size(self) -> pulumi.Output[str]:
        """The same as Kubernetes writes it."""
        return self.gib.apply(quantity)


def read_storage(arguments: Arguments, server: Server) -> Storage | None:
    """Reads and checks StorageArgs (but for `storage_class`)."""
    default = max(1, math.ceil(server.memory_mib * STORAGE_PER_MEMORY / MIB_PER_GIB))
    storage = Storage(
        gib=arguments.whole("storage_gib", default, 1, 16_384),
        stated=arguments.given("storage_gib"),
        retained=arguments.flag("storage_retained", True),
    )
    if not server.persistent:
        for key in ("storage_gib", "storage_class", "storage_retained"):
            if arguments.given(key):
                arguments.refuse(key, "there is no volume with persistence none")
        return None
    if storage.gib * MIB_PER_GIB < server.maxmemory_mib:
        arguments.refuse("storage_gib", f"holds less than maxmemory, {server.maxmemory_mib} MiB: give at least {default}")
    return storage


def claim_template(size: pulumi.Input[str], storage_class: pulumi.Input[str] | None, labels: dict[str, str]) -> dict[str, Any]:
    """The StatefulSet's volume claim template."""
    spec: dict[str, Any] = {
        "access_modes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class is not None:
        spec["storage_class_name"] = storage_class
    return {"metadata": {"name": VOLUME, "labels": labels}, "spec": spec}


def agree(
    cache: str,
    server: Server,
    storage: Storage,
    storage_class: pulumi.Input[str] | None,
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    more_facts: Mapping[str, pulumi.Input[Any]] | None = None,
    more_advice: Mapping[str, str] | None = None,
    grows_like: str | None = None,
) -> Agreed:
    """
    Refuses what can't change once there is data: what volumes are made with, and the component's own facts with their advice.

    Volumes may grow when there is a pod, `grows_like`, whose volume's class allows it; without such a pod they may not.
    """
    facts = {
        "engine": server.engine.value,
        "namespace": namespace,
        "persistence": server.data_file,
        "storage_gib": storage.gib,
        "storage_class": storage_class or "",
        **(more_facts or {}),
    }
    inherited = [] if storage.stated else ["storage_gib"]
    checked = guard(f"{cache}-volume", facts, inherited, refuse_changes(cache, server, more_advice, may_grow=grows_like is not None), opts)
    if grows_like is None:
        return Agreed(checked)
    return Agreed(checked.apply(lambda facts: growable(cache, facts, grows_like, _WAY_OUT, opts)))


def refuse_changes(cache: str, server: Server, more_advice: Mapping[str, str] | None = None, *, may_grow: bool) -> Check:
    """A check for `guard`: what a volume was made with can't change, but for more storage, nor can the own facts in `more_advice`.

    Kubernetes has no way to do it in place: the provider would replace the StatefulSet, whose old volumes keep the old
    size, class and format.
    """
    advice = {**_ADVICE, **(more_advice or {})}

    def can(key: str, first: Any, now: Any) -> bool:
        return bool(first == now or (may_grow and key == "storage_gib" and now > first))

    def check(first: Facts, now: Facts) -> None:
        first = {**_BEFORE, **first}
        if changed := [key for key in now if not can(key, first[key], now[key])]:
            problems = "".join(f"\n  * {key}: {_shown(first[key])} can't become {_shown(now[key])}: {advice[key]}" for key in changed)
            raise ArgumentError(f"{cache!r} holds data, and can't be changed like that:{problems}\n{_WAY_OUT}")

        if now["storage_gib"] * MIB_PER_GIB < server.maxmemory_mib:
            too_small = f"storage_gib: the volume's {now['storage_gib']:g} GiB hold less than maxmemory, {server.maxmemory_mib} MiB"
            raise ArgumentError(f"{cache!r} can't grow like that:\n  * {too_small}: give more storage_gib")

    return check


def _shown(value: Any) -> str:
    # The engine hands whole numbers back as floats.
    return f"{value:g}" if isinstance(value, float) else repr(value)


_ADVICE = {
    "engine": "Redis and Valkey do not read each other's files",
    "persistence": "the server would not load what the other kind has written, and start empty; where purpose chose it, say it yourself",
    "namespace": "a volume can't move to another namespace",
    "storage_gib": "a volume can't shrink",
    "storage_class": "a volume keeps the class it was made with",
}
# What held of caches that were made before these were noted.
_BEFORE = {"tls": "off", "announce": "address"}
_WAY_OUT = (
    "Put the old value back; or make a second cache under another name with the new value, copy the data, "
    "let the clients move and remove this one."
)
