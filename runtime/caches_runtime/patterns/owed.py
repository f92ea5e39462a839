"""Invalidations that have still to be carried out."""

import threading
import time
from collections.abc import Iterable, Mapping

MOST = 10_000
"""More are not remembered one by one."""


class Owed:
    """For any number of threads. Beyond MOST keys the cache is not used until nothing that it holds can be served any more."""

    def __init__(self, longest_seconds: float) -> None:
        self._longest_seconds = longest_seconds
        self._lock = threading.Lock()
        self._numbers: dict[bytes, int] = {}
        self._last = 0
        self._blocked_until = 0.0

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def blocked(self) -> bool:
        """Whether there are too many of them."""
        return time.monotonic() < self._blocked_until

    def add(self, keys: Iterable[bytes]) -> None:
        """Notes that these are to be deleted."""
        with self._lock:
            for key in keys:
                self._last += 1
                self._numbers[key] = self._last
            if len(self._numbers) > MOST:
                self._numbers.clear()
                self._blocked_until = time.monotonic() + self._longest_seconds

    def now(self) -> dict[bytes, int]:
        """Those that there are."""
        with self._lock:
            return dict(self._numbers)

    def paid(self, keys: Mapping[bytes, int]) -> None:
        """They were deleted. One that was added once more meanwhile stays."""
        with self._lock:
            for key, number in keys.items():
                if self._numbers.get(key) == number:
                    del self._numbers[key]
