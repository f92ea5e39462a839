"""What has changed, as observers say it, and as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from caches_runtime.patterns.keys import Key


class MalformedEventError(ValueError):
    """An event that can't be understood: nothing was invalidated by it."""


@dataclass(frozen=True)
class Change:
    """Values that may be others now. Raises ValueError for one that names nothing, or a single text where several are meant."""

    keys: tuple[Key, ...] = ()
    prefixes: tuple[Key, ...] = ()
    """All keys that begin so."""
    tags: tuple[Key, ...] = ()
    everything: bool = False
    """Anything may have changed."""

    def __post_init__(self) -> None:
        for name in ("keys", "prefixes", "tags"):
            if isinstance(getattr(self, name), str | bytes):
                raise ValueError(f"{name} = {getattr(self, name)!r}: it is a tuple of keys, and no single one")
        if not (self.keys or self.prefixes or self.tags or self.everything):
            raise ValueError("a change names nothing: give keys, prefixes, tags or everything=True")


class Invalidates(Protocol):
    """Who holds values. Called by the threads of observers, perhaps by several at once."""

    def invalidated(self, change: Change) -> None:
        """Nobody gets what was there before from now on. Whatever it raises is told again by the observer, or by who sends events."""


class Said(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """A change as JSON. A field that is not known could be something to invalidate, so it is refused."""

    keys: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    everything: bool = False


def message(change: Change) -> bytes:
    """What PubSubObserver understands, for a client's `publish`. Raises ValueError for a key that is not UTF-8."""
    return msgspec.json.encode(Said(texts(change.keys), texts(change.prefixes), texts(change.tags), change.everything))


def read(text: bytes) -> Change:
    """From a message. Raises MalformedEventError."""
    try:
        said = msgspec.json.decode(text, type=Said)
        return Change(said.keys, said.prefixes, said.tags, said.everything)
    except ValueError as error:  # of msgspec too
        raise MalformedEventError(f"a message of changes: {error}") from error


def texts(keys: Iterable[Key]) -> tuple[str, ...]:
    """As JSON can have them. Raises ValueError."""
    try:
        return tuple(key if isinstance(key, str) else key.decode() for key in keys)
    except UnicodeDecodeError as error:
        raise ValueError(f"key {error.object!r}: is not UTF-8, which JSON needs; name a prefix, a tag, or everything=True") from None
