"""Streams: their entries, their groups, and what is pending there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from caches_runtime.ops.migrate.link import Command

# So many of one group's at most; what is pending beyond that is not brought.
PENDING = 100_000
_EMPTY = b"0-0"


@dataclass(frozen=True, slots=True)
class Group:
    """Readers that share a stream."""

    name: bytes
    delivered: bytes
    read: int | None
    """How many entries it was given; None where the server does not say."""
    consumers: list[bytes]
    pending: list[tuple[bytes, bytes, int, int]]
    """Entry, consumer, milliseconds since it was given to it, and how often it was."""


@dataclass(frozen=True, slots=True)
class Stream:
    """All of one."""

    entries: list[tuple[bytes, list[bytes]]]
    last: bytes
    added: tuple[int, bytes] | None
    """How many entries it ever had, and the last one that was deleted; None where the server does not say."""
    groups: list[Group]

    def compared(self) -> Any:
        """What is the same where the stream is the same: not how long something has been pending."""
        groups = [(group.name, group.delivered, group.consumers, [(e, c, n) for e, c, _, n in group.pending]) for group in self.groups]
        return self.entries, self.last, groups


def read(each: Callable[..., list[Any]], key: bytes) -> Stream | None:
    """None when it changed meanwhile so that it can't be read."""
    entries, about, groups = each(("XRANGE", key, "-", "+"), ("XINFO", "STREAM", key), ("XINFO", "GROUPS", key))
    if any(isinstance(reply, Exception) for reply in (entries, about, groups)):
        return None
    there = {entry for entry, _ in entries}
    found = []
    for facts in sorted(map(_facts, groups), key=lambda facts: facts[b"name"]):
        name = facts[b"name"]
        consumers, pending = each(("XINFO", "CONSUMERS", key, name), ("XPENDING", key, name, "-", "+", PENDING))
        if isinstance(consumers, Exception) or isinstance(pending, Exception):
            return None
        names = sorted(_facts(consumer)[b"name"] for consumer in consumers)
        # Nothing can make an entry pending that was deleted.
        waiting = [(entry, consumer, idle, times) for entry, consumer, idle, times in pending if entry in there]
        found.append(Group(name, facts[b"last-delivered-id"], facts.get(b"entries-read"), names, waiting))
    facts = _facts(about)
    added = (facts[b"entries-added"], facts[b"max-deleted-entry-id"]) if b"entries-added" in facts else None
    return Stream([(entry, fields) for entry, fields in entries], facts[b"last-generated-id"], added, found)


def writes(key: bytes, stream: Stream, *, counting: bool) -> list[Command]:
    """What makes one of nothing; `counting` says whether the server counts entries, as all do since 7.0."""
    # Makes an empty one, which nothing else does.
    commands: list[Command] = [("XGROUP", "CREATE", key, "none", "0", "MKSTREAM"), ("XGROUP", "DESTROY", key, "none")]
    commands += [("XADD", key, entry, *fields) for entry, fields in stream.entries]
    if stream.last != _EMPTY:
        counted: Command = ("ENTRIESADDED", stream.added[0], "MAXDELETEDID", stream.added[1]) if counting and stream.added else ()
        commands.append(("XSETID", key, stream.last, *counted))
    for group in stream.groups:
        given: Command = ("ENTRIESREAD", group.read) if counting and group.read is not None else ()
        commands.append(("XGROUP", "CREATE", key, group.name, group.delivered, *given))
        commands += [("XGROUP", "CREATECONSUMER", key, group.name, consumer) for consumer in group.consumers]
        for entry, consumer, idle, times in group.pending:
            commands.append(("XCLAIM", key, group.name, consumer, 0, entry, "IDLE", idle, "RETRYCOUNT", times, "FORCE", "JUSTID"))
    return commands


def _facts(flat: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
