"""Who serves which slot, as a cluster's node sees it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MOVING = re.compile(r"\[(\d+)-[<>]-\w+\]")


@dataclass(frozen=True)
class View:
    """Equal to another one when nothing has changed that matters here."""

    me: str
    """ID of the node that says so."""
    is_master: bool
    ranges: tuple[tuple[int, int, str], ...]
    """First slot, last slot, ID of the master."""
    moving: frozenset[int]
    """Slots on their way to or from this node. It says nothing of others' moves."""

    @classmethod
    def read(cls, nodes: bytes) -> "View":
        """From the answer to CLUSTER NODES."""
        me, is_master, ranges, moving = "", False, [], frozenset[int]()
        for line in nodes.decode().splitlines():
            identity, _, flags, _, _, _, _, _, *slots = line.split()
            if "myself" in flags.split(","):
                me, is_master = identity, "master" in flags.split(",")
                moving = frozenset(int(found[1]) for slot in slots if (found := _MOVING.fullmatch(slot)))
            for first, _, last in (slot.partition("-") for slot in slots if not slot.startswith("[")):
                ranges.append((int(first), int(last or first), identity))
        return cls(me, is_master, tuple(sorted(ranges)), moving)

    @property
    def masters(self) -> frozenset[str]:
        """IDs of those that have slots."""
        return frozenset(identity for _, _, identity in self.ranges)

    def owners(self) -> Iterator[tuple[int, str]]:
        """Each slot that somebody serves, and the master's ID."""
        for first, last, identity in self.ranges:
            for slot in range(first, last + 1):
                yield slot, identity
