"""One command at a time on what two would spoil."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.console import say


@contextmanager
def locked(file: Path, what: str) -> Iterator[None]:
    """Waits until no other command works on it. The kernel lets go of the lock of a command that died."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another command works on {what}: waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
