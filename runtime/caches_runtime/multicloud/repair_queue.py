"""What clouds have missed: on disk, so that a process that is killed goes on with it. Of each key only the newest record."""

import sqlite3
from pathlib import Path

from caches_runtime.multicloud.errors import QueueFullError, RefusedError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS missed (cloud TEXT, key BLOB, stamp TEXT, record BLOB, PRIMARY KEY (cloud, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS given_up (cloud TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_NOTE = """
INSERT INTO missed VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET stamp = excluded.stamp, record = excluded.record WHERE excluded.stamp > missed.stamp
"""


class RepairQueue:
    """In the file `repair.sqlite` of a folder that no other process uses. It survives the process, and not a lost machine."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._limit = limit
        self._file = sqlite3.connect(folder / "repair.sqlite", timeout=0, isolation_level=None, check_same_thread=False)
        try:
            # The operating system writes it down; a process that is killed loses nothing by that.
            for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = OFF"):
                self._file.execute(f"PRAGMA {setting}")
            self._file.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            self._file.close()
            raise RefusedError(f"{folder}: another process uses this folder: give each one of its own") from None
        self._missed: dict[str, dict[bytes, str]] = {}
        for cloud, key, stamp in self._file.execute("SELECT cloud, key, stamp FROM missed"):
            self._missed.setdefault(cloud, {})[key] = stamp

    def __len__(self) -> int:
        return sum(map(len, self._missed.values()))

    def refuse_if_full(self) -> None:
        """Raises QueueFullError."""
        if len(self) >= self._limit:
            away = ", ".join(f"{cloud} {len(keys)}" for cloud, keys in self._missed.items() if keys)
            raise QueueFullError(f"{len(self)} writes wait for clouds that are away ({away}), and queue_limit = {self._limit}: try later")

    def note(self, cloud: str, key: bytes, stamp: str, record: bytes) -> None:
        """Remembers that a cloud has missed a record, unless it waits for a newer one."""
        known = self._missed.setdefault(cloud, {})
        if known.get(key, "") < stamp:
            self._file.execute(_NOTE, (cloud, key, stamp, record))
            known[key] = stamp

    def done(self, cloud: str, key: bytes, stamp: str) -> None:
        """Forgets what a cloud has now."""
        known = self._missed.get(cloud, {})
        if key in known and known[key] <= stamp:
            self._file.execute("DELETE FROM missed WHERE cloud = ? AND key = ? AND stamp <= ?", (cloud, key, stamp))
            del known[key]

    def waits(self, cloud: str, key: bytes) -> bool:
        """Whether a cloud is known to lack the newest record of a key."""
        return key in self._missed.get(cloud, {})

    def backlog(self, cloud: str) -> int:
        """How many keys a cloud has missed."""
        return len(self._missed.get(cloud, {}))

    def some(self, cloud: str, count: int) -> list[tuple[bytes, bytes]]:
        """Keys that a cloud has missed, with their records."""
        return list(self._file.execute("SELECT key, record FROM missed WHERE cloud = ? LIMIT ?", (cloud, count)))

    def give_up(self, cloud: str) -> None:
        """Forgets all that a cloud has missed: it has to be filled anew, and that is remembered instead."""
        self._file.execute("INSERT OR IGNORE INTO given_up VALUES (?)", (cloud,))
        self._file.execute("DELETE FROM missed WHERE cloud = ?", (cloud,))
        self._missed.pop(cloud, None)

    def given_up(self, cloud: str) -> bool:
        """Whether a cloud has to be filled anew."""
        return bool(self._file.execute("SELECT 1 FROM given_up WHERE cloud = ?", (cloud,)).fetchone())

    def begun_anew(self, cloud: str) -> None:
        """Forgets that it has."""
        self._file.execute("DELETE FROM given_up WHERE cloud = ?", (cloud,))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
