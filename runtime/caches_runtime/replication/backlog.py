"""Keys that have changed and are not dealt with: each once, however often it changes, so that only its newest state is ever read."""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple


class Change(NamedTuple):
    """What was heard of a key."""

    since: float
    """When it was heard first, by time.monotonic()."""
    site: int
    """Where it was heard last."""


class Backlog:
    """Written to by who listens, and read by who copies. Holds so many keys at most, and then says that some were dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changes: dict[bytes, Change] = {}
        self._dropped = False
        self._some = threading.Condition()

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, keys: Sequence[bytes], site: int) -> None:
        """Notes changes that were just heard."""
        now = time.monotonic()
        with self._some:
            for key in keys:
                known = self._changes.get(key)
                if known is None and len(self._changes) >= self._limit:
                    self._dropped = True
                else:
                    self._changes[key] = Change(known.since if known else now, site)
            self._some.notify()

    def take(self, count: int) -> dict[bytes, Change]:
        """The oldest."""
        with self._some:
            keys = [key for key, _ in zip(self._changes, range(count), strict=False)]
            return {key: self._changes.pop(key) for key in keys}

    def give_back(self, changes: dict[bytes, Change]) -> None:
        """What was taken and not dealt with; what was heard meanwhile is newer."""
        with self._some:
            self._changes = {**changes, **{key: Change(changes.get(key, new).since, new.site) for key, new in self._changes.items()}}

    def drop(self) -> None:
        """Says that something has changed, and nobody knows what."""
        with self._some:
            self._dropped = True
            self._some.notify()

    def dropped(self) -> bool:
        """Whether keys were, since this was last asked: only looking at all of them finds those."""
        with self._some:
            dropped, self._dropped = self._dropped, False
            return dropped

    def oldest_seconds(self) -> float:
        """How long the oldest has been waiting."""
        with self._some:
            first = next(iter(self._changes.values()), None)
            return time.monotonic() - first.since if first else 0.0

    def wait(self, seconds: float) -> None:
        """Returns when there is something, or after so long."""
        with self._some:
            if not self._changes and not self._dropped:
                self._some.wait(seconds)
