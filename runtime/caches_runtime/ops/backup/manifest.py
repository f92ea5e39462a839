"""What makes files a backup: a manifest, written after all else. Files without one are no backup, and are never taken for one."""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from caches_runtime.ops.backup.store import Store

FILE = "manifest.json"
_FORMAT = 1
_FILE = re.compile(r"[-+\w]+\.rdb(\.age)?")
# 20261127T220000Z-0a1b2c3d: sorted by name they are sorted by time.
TIME_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Part:
    """One file: a shard's."""

    file: str
    node_id: str
    slots: str
    read_from: str
    """host:port of the server, and its role."""
    version: str
    """Engine and version of that server."""
    keys: int
    """Those included that have a time to live."""
    bytes: int
    """Of the file as it is kept."""
    sha256: str
    """Of the file as it is kept."""


@dataclass(frozen=True)
class Manifest:
    """One complete backup."""

    id: str
    """Its folder; begins with the time."""
    engine: str
    mode: str
    started: float
    finished: float
    encryption: str
    """age, or empty."""
    parts: tuple[Part, ...]

    @property
    def keys(self) -> int:
        """How many in all."""
        return sum(part.keys for part in self.parts)

    @property
    def bytes(self) -> int:
        """Of all files as they are kept."""
        return sum(part.bytes for part in self.parts)

    def facts(self) -> dict[str, Any]:
        """For programs: without what each part is."""
        seconds = round(self.finished - self.started, 3)
        counts = {"keys": self.keys, "bytes": self.bytes, "seconds": seconds, "shards": len(self.parts)}
        return {"id": self.id, **counts, "version": self.parts[0].version}


def write(store: Store, manifest: Manifest) -> None:
    """Makes a backup of files that are all there."""
    text = json.dumps({"format": _FORMAT, **asdict(manifest)}, indent=1)
    store.write(f"{manifest.id}/{FILE}", text.encode())


def read(store: Store, id_: str) -> Manifest | None:
    """The backup; None when it is none, or one of a later version of this."""
    text = store.read(f"{id_}/{FILE}")
    try:
        given = json.loads(text or b"{}")
        format_, parts = given.pop("format"), tuple(Part(**part) for part in given.pop("parts"))
        found = Manifest(**given, parts=parts)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    # Whoever may write to the bucket chooses no other paths and programs here.
    sound = found.id == id_ and found.engine in ("redis", "valkey") and all(_FILE.fullmatch(part.file) for part in parts)
    return found if format_ == _FORMAT and parts and sound else None


def backups(store: Store) -> list[Manifest]:
    """Every complete backup, the oldest first."""
    found = (read(store, id_) for id_ in store.folders())
    return sorted((each for each in found if each), key=lambda each: (each.finished, each.id))
