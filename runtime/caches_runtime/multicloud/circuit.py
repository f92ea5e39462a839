"""Whether a cloud is asked: not while it has failed lately, but for a question now and then."""

import time
from collections.abc import Callable

_FAILURES = 3
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0


class Circuit:
    """Closed, open, or half-open while one question finds out. `now` is monotonic, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._pause = _FIRST_PAUSE_SECONDS
        self._next_question: float | None = None

    @property
    def closed(self) -> bool:
        """Whether the cloud is asked."""
        return self._next_question is None

    @property
    def state(self) -> str:
        """closed, open or half-open."""
        if self._next_question is None:
            return "closed"
        return "half-open" if self._now() >= self._next_question else "open"

    def failed(self) -> bool:
        """Notes that it did not answer; says whether that has opened the circuit."""
        self._failures += 1
        if self._next_question is not None:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
            self._next_question = self._now() + self._pause
            return False
        if self._failures < _FAILURES:
            return False
        self._pause = _FIRST_PAUSE_SECONDS
        self._next_question = self._now() + self._pause
        return True

    def answered(self) -> bool:
        """Notes that it did; says whether that has closed the circuit."""
        was_open = self._next_question is not None
        self._failures, self._next_question = 0, None
        return was_open
