"""Writes that the source has still to get, on the local disk: SQLite, one file for one process."""

import fcntl
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SCHEMA = """
CREATE TABLE IF NOT EXISTS writes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL,
    codec TEXT NOT NULL,
    value BLOB,
    queued_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL DEFAULT 0, -- not before
    refusal TEXT
);
CREATE INDEX IF NOT EXISTS by_key ON writes (key, number) WHERE refusal IS NULL;
"""
# Only the oldest of each key may go.
_NEXT = """
SELECT * FROM writes AS this
WHERE refusal IS NULL AND due_at <= ? AND NOT EXISTS (
    SELECT 1 FROM writes AS older WHERE older.key = this.key AND older.number < this.number AND older.refusal IS NULL
) ORDER BY number LIMIT 1
"""
_PUT = "INSERT INTO writes (key, codec, value, queued_at) VALUES (?, ?, ?, ?)"


class QueueFullError(Exception):
    """The source is too far behind. Nothing was written: try later, or write to the source itself."""


@dataclass(frozen=True)
class QueuedWrite:
    """One; a value of None removes."""

    number: int
    key: bytes
    codec: str
    value: bytes | None
    queued_at: float
    """Seconds since 1970."""
    attempts: int
    due_at: float
    refusal: str | None
    """The last error, of one that was set aside."""


class WriteQueue:
    """For any number of threads of one process. What `put` has returned from survives the process and the machine."""

    def __init__(self, path: Path, most: int, coalescing: bool) -> None:
        """Raises BlockingIOError, naming the file, where another process has it."""
        self._most, self._coalescing = most, coalescing
        self._lock = threading.Lock()
        self._held = _held(path.with_name(f"{path.name}.lock"))
        # Others on the machine must not read what applications write.
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
        self._under_way = 0

    def put(self, key: bytes, codec: str, value: bytes | None) -> None:
        """Adds one. Raises QueueFullError."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if self._coalescing:
                self._database.execute(
                    "DELETE FROM writes WHERE key = ? AND refusal IS NULL AND number != ?",
                    (key, self._under_way),
                )
            [(length,)] = self._database.execute("SELECT count(*) FROM writes")
            if length >= self._most:
                raise QueueFullError(f"{length} writes wait for the source, or were set aside: at most {self._most} may")
            self._database.execute(_PUT, (key, codec, value, time.time()))

    def newest(self, key: bytes) -> QueuedWrite | None:
        """The newest write of a key that is still to go."""
        found = self._select("SELECT * FROM writes WHERE key = ? AND refusal IS NULL ORDER BY number DESC LIMIT 1", key)
        return found[0] if found else None

    def take(self) -> QueuedWrite | None:
        """The next one that is due; none of its key goes before it is `done`, `failed` or `set_aside`."""
        with self._lock:
            row = self._database.execute(_NEXT, (time.time(),)).fetchone()
            self._under_way = row[0] if row else 0
        return QueuedWrite(*row) if row else None

    def done(self, write: QueuedWrite) -> None:
        """The source has it."""
        self._change("DELETE FROM writes WHERE number = ?", write.number)

    def failed(self, write: QueuedWrite, pause_seconds: float) -> None:
        """It is tried again after so long."""
        self._change("UPDATE writes SET attempts = attempts + 1, due_at = ? WHERE number = ?", time.time() + pause_seconds, write.number)

    def set_aside(self, write: QueuedWrite, refusal: str) -> None:
        """It is not tried again, and no longer holds up its key."""
        self._change("UPDATE writes SET attempts = attempts + 1, refusal = ? WHERE number = ?", refusal, write.number)

    def aside(self) -> list[QueuedWrite]:
        """Those that were set aside, oldest first."""
        return self._select("SELECT * FROM writes WHERE refusal IS NOT NULL ORDER BY number")

    def discard(self, number: int) -> bool:
        """Forgets one that was set aside; says whether there is one."""
        return self._change("DELETE FROM writes WHERE number = ? AND refusal IS NOT NULL", number) > 0

    def lengths(self) -> tuple[int, int, float]:
        """How many are to go, how many were set aside, and the age of the oldest that is to go, in seconds."""
        with self._lock:
            [(waiting, aside, oldest)] = self._database.execute(
                "SELECT count(*) - count(refusal), count(refusal), min(CASE WHEN refusal IS NULL THEN queued_at END) FROM writes"
            )
        return waiting, aside, 0.0 if oldest is None else max(0.0, time.time() - oldest)

    def close(self) -> None:
        """Another process may have the file then."""
        with self._lock:
            self._database.close()
            self._held.close()

    def _select(self, query: str, *values: object) -> list[QueuedWrite]:
        with self._lock:
            return [QueuedWrite(*row) for row in self._database.execute(query, values)]

    def _change(self, command: str, *values: object) -> int:
        with self._lock:
            return self._database.execute(command, values).rowcount


def _held(path: Path) -> IO[bytes]:
    path.touch(mode=0o600)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise BlockingIOError(error.errno, "another process has this queue: give each process a file of its own", str(path)) from None
    return file
