"""A holder of values that notes what it is told."""

from __future__ import annotations

from collections.abc import Callable

from caches_runtime.observers import Change
from common.waiting import until

EVERYTHING = Change(everything=True)


class Recording:
    """It can be told to fail."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.fails = False

    def invalidated(self, change: Change) -> None:
        if self.fails:
            raise RuntimeError("the-secret-key")
        self.changes.append(change)

    def count(self, change: Change) -> int:
        return self.changes.count(change)

    def begun(self) -> bool:
        """Whether an observer has told it, as each does first, that anything may have changed."""
        return until(lambda: self.count(EVERYTHING) > 0, 30, every=0.002)

    def hears(self, change: Change, doing: Callable[[], object] = lambda: None, times: int = 1) -> bool:
        """Whether it is told that so many times more, after something was done."""
        before = self.count(change)
        doing()
        return until(lambda: self.count(change) >= before + times, 30, every=0.002)
