"""What there is in the emulated cloud: its resources in a file, which outlives the plugin, and the faults that it has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any

from clouds.emulator.faults import Faults
from clouds.emulator.servers import run, stop

Problems = Iterator[tuple[str, str]]

# Where resources note processes.
_SERVERS = ("processes", "reader", "replicator")


class ConflictError(Exception):
    """What the cloud says when it refuses."""


class HalfMadeError(Exception):
    """A resource that is there, and did not become ready."""

    def __init__(self, resource: Resource, reason: str) -> None:
        super().__init__(reason)
        self.resource = resource


@dataclass
class Resource:
    """One thing in the cloud."""

    id: str
    token: str
    inputs: dict[str, Any]
    outputs: dict[str, Any] = field(default_factory=dict)
    hidden: dict[str, Any] = field(default_factory=dict)
    """What the cloud knows and does not say: keys, processes."""

    @property
    def processes(self) -> list[int]:
        """Its servers."""
        return [process for what in _SERVERS for process in self.hidden.get(what, [])]


def _nothing(*_: Any) -> Problems:
    yield from ()


def _nothing_else(*_: Any) -> set[str]:
    return set()


def _no_work(*_: Any) -> None:
    """Some resources are only noted."""


@dataclass(frozen=True)
class Kind:
    """How one type of resource behaves."""

    id: Callable[[Cloud, dict[str, Any]], str]
    replaces: frozenset[str]
    """Inputs that can't change in place."""
    problems: Callable[[dict[str, Any]], Problems] = _nothing
    """What is wrong with inputs, of which those not known yet are None."""
    conflicts: Callable[[Cloud, dict[str, Any]], Problems] = _nothing
    """What is wrong with them in this cloud."""
    in_place: Callable[[dict[str, Any], dict[str, Any]], set[str]] = _nothing_else
    """Which of what it `replaces` can, in a change from old inputs to new ones."""
    change_problems: Callable[[dict[str, Any], dict[str, Any]], Problems] = _nothing
    make: Callable[[Cloud, Resource], None] = _no_work
    """Starts what serves, and fills in outputs. Also called after a change."""
    end: Callable[[Cloud, Resource], None] = _no_work


class Cloud:
    """Resources by id, in a folder that is called as the cloud. `kinds` and `invokes` are by token."""

    def __init__(self, folder: Path, kinds: dict[str, Kind], invokes: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]]) -> None:
        self.folder = folder
        self.faults = Faults(folder)
        self._kinds = kinds
        self._invokes = invokes
        self._lock = RLock()
        folder.mkdir(parents=True, exist_ok=True)
        self.config: dict[str, Any] = {}

    def configure(self, config: dict[str, Any]) -> None:
        self.config = config

    def kind(self, token: str) -> Kind:
        if token not in self._kinds:
            raise ConflictError(f"{token} is not emulated")
        return self._kinds[token]

    def problems(self, token: str, inputs: dict[str, Any]) -> Problems:
        return self.kind(token).problems(inputs)

    def replaced(self, token: str, old: dict[str, Any], new: dict[str, Any]) -> set[str]:
        """Inputs whose change takes another resource."""
        kind = self.kind(token)
        return {key for key in kind.replaces if old.get(key) != new.get(key)} - kind.in_place(old, new)

    def read(self, resource_id: str) -> Resource | None:
        with self._lock:
            return self._load().get(resource_id.lower())

    def everything(self) -> list[Resource]:
        with self._lock:
            return list(self._load().values())

    def inside(self, resource_id: str) -> list[Resource]:
        """Every resource whose address begins with another's."""
        return [resource for resource in self.everything() if resource.id.lower().startswith(f"{resource_id.lower()}/")]

    def all(self, token: str) -> list[Resource]:
        """Every resource of a type."""
        return [resource for resource in self.everything() if resource.token == token]

    def create(self, token: str, inputs: dict[str, Any]) -> Resource:
        with self._lock:
            kind = self.kind(token)
            self._refuse(kind.conflicts(self, inputs))
            resource = Resource(kind.id(self, inputs), token, inputs)
            if self.read(resource.id):
                raise ConflictError(f"cannot create already existing resource '{resource.id}'")
            kind.make(self, resource)
            self.save(resource)
            if self.faults.take("half-made", token):
                resource.outputs["provisioningState"] = "Failed"
                self.save(resource)
                raise HalfMadeError(resource, f"{token}: InternalServerError: it did not become ready")
            return resource

    def update(self, resource_id: str, inputs: dict[str, Any]) -> Resource:
        with self._lock:
            resource = self._existing(resource_id)
            kind = self.kind(resource.token)
            self._refuse(kind.change_problems(resource.inputs, inputs))
            self._refuse(kind.conflicts(self, inputs))
            resource.inputs = inputs
            kind.make(self, resource)
            self.save(resource)
            return resource

    def delete(self, resource_id: str) -> None:
        with self._lock:
            resource = self._existing(resource_id)
            if inside := self.inside(resource.id):
                raise ConflictError(f"{resource.id} can't be deleted: there is {inside[0].id} in it")
            self.kind(resource.token).end(self, resource)
            resources = self._load()
            del resources[resource.id.lower()]
            self._store(resources)

    def invoke(self, token: str, args: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if token not in self._invokes:
                raise ConflictError(f"{token} is not emulated")
            return self._invokes[token](self, args)

    def revive(self) -> list[str]:
        """Starts the servers of caches that have lost some; ids of these."""
        found = [resource for resource in self.everything() if not run(resource.processes)]
        # What follows another one comes after it.
        lost = [resource.id for resource in sorted(found, key=lambda resource: "follows" in resource.hidden)]
        for resource_id in lost:
            resource = self._existing(resource_id)
            stop(resource.processes)
            for what in (*_SERVERS, "nodes"):
                resource.hidden.pop(what, None)
            self.save(resource)
            self.update(resource_id, resource.inputs)
        return lost

    def remove(self) -> None:
        """Ends every server, and forgets everything."""
        for resource in self.everything():
            stop(resource.processes)
        shutil.rmtree(self.folder)

    def save(self, resource: Resource) -> None:
        resources = self._load()
        resources[resource.id.lower()] = resource
        self._store(resources)

    def _existing(self, resource_id: str) -> Resource:
        if (resource := self.read(resource_id)) is None:
            raise ConflictError(f"{resource_id} was not found")
        return resource

    def _refuse(self, problems: Problems) -> None:
        if found := [f"{key}: {reason}" for key, reason in problems]:
            raise ConflictError("; ".join(found))

    def _load(self) -> dict[str, Resource]:
        file = self.folder / "resources.json"
        if not file.exists():
            return {}
        return {key: Resource(**resource) for key, resource in json.loads(file.read_text()).items()}

    def _store(self, resources: dict[str, Resource]) -> None:
        written = self.folder / "written.json"
        written.write_text(json.dumps({key: asdict(resource) for key, resource in resources.items()}, indent=1))
        written.rename(self.folder / "resources.json")
