"""What is brought into a cache: entries, and records that are none."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

# One value that is larger is none for a cache; and what a run's memory must hold, several times.
VALUE_BYTES = 64 * 1024 * 1024
STRING, DUMP = "string", "dump"
# By type, what adds members to it.
COMMANDS = {"hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}

# How far a source was read, as it is kept between runs: what JSON can hold.
Position = Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value."""

    key: bytes
    kind: str
    """STRING, DUMP, or one of COMMANDS."""
    value: Sequence[bytes]
    """The one string or dump; else what follows the key in its command."""
    until: float | None
    """When it expires, by time.monotonic(); None for never."""
    place: str
    """Where it comes from, for people."""

    @staticmethod
    def expiry(seconds: float) -> float:
        """When what has so many seconds to live from now on expires."""
        return time.monotonic() + seconds

    @property
    def bytes(self) -> int:
        """About what it takes."""
        return len(self.key) + sum(map(len, self.value))

    def milliseconds(self) -> int:
        """How long it still has to live; below 1 when it has expired. Only asked of one that expires."""
        return int(((self.until or 0) - time.monotonic()) * 1000)


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that can't be brought."""

    place: str
    reason: str
    """Never has a key or a value in it: it is shown."""


class Outcome(StrEnum):
    """What has become of an entry; where it could not be written there is a reason instead."""

    WRITTEN = "written"
    THERE = "there"
    """The key was there, and was left alone."""
    EXPIRED = "expired"


@dataclass(frozen=True)
class Source:
    """What entries come from, while it is open."""

    title: str
    """For people; has no secret."""
    identity: str
    """Differs when another run's position says nothing about this one."""
    read: Callable[[Position], Iterator[tuple[Entry | Bad, Position]]]
    """All records after a position, None being the beginning; each with the position to go on from once it is dealt with."""


class Target(Protocol):
    """What entries are written to, while it is open. Every method raises RefusedError, UnfinishedError, or what LOST and AGAIN are."""

    def put(self, entries: Sequence[Entry], *, overwrite: bool) -> list[Outcome | str]:
        """Writes entries; what has become of each, or why it could not be written."""

    def notes(self, name: str) -> list[bytes | None]:
        """What each server has noted under a name."""

    def note(self, name: str, text: str, seconds: int) -> None:
        """Notes a text on each server, for so long."""

    def forget(self, name: str) -> None:
        """Removes the note."""

    def count(self) -> int:
        """How many keys there are, those with notes too."""

    def evicted(self) -> int:
        """How many keys were evicted since this was opened."""

    def settle(self) -> None:
        """Returns once a failover would lose nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
