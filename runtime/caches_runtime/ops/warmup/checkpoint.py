"""How far a warm-up has come: noted on each server of the cache itself, so that one that has lost its data has lost the note too."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from caches_runtime.ops.warmup.entries import Position, Target

PREFIX = b"pulumi-caches:warmup:"
# Long enough for a Job that is tried again, and for a person who mends the source.
_SECONDS = 24 * 3600


def name_of(identity: str, settings: str) -> str:
    """The note of a source: another source, or the same one changed or written otherwise, has another one."""
    return PREFIX.decode() + hashlib.sha256(f"{identity}\n{settings}".encode()).hexdigest()[:24]


@dataclass
class Checkpoint:
    """What all runs so far have done."""

    position: Position = None
    read: int = 0
    """Records, bad ones too."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Entries by what has become of them."""
    bad: int = 0
    before: int = 0
    """Keys that the cache had when the first run began."""

    @classmethod
    def load(cls, target: Target, name: str) -> Self:
        """The least that all servers have noted; the beginning when one of them has not noted anything."""
        notes = target.notes(name)
        if None in notes:
            return cls(before=target.count())
        least = min((json.loads(note or b"") for note in notes), key=lambda note: note["read"])
        return cls(**{**least, "outcomes": Counter(least["outcomes"])})

    def save(self, target: Target, name: str) -> None:
        """Notes it on each server, after all that it counts was answered."""
        target.note(name, json.dumps(vars(self)), _SECONDS)
