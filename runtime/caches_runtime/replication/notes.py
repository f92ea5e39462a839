"""What a replicator remembers on its disk: for each key what all sites had in common last, so that it is known who has changed it."""

import json
import sqlite3
from ast import literal_eval
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.replication.decision import NOTHING, Mark, Note

_TABLES = """
CREATE TABLE IF NOT EXISTS notes (key BLOB PRIMARY KEY, digest BLOB, deadline INTEGER, sweep INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intended (key BLOB PRIMARY KEY, digest BLOB, deadline INTEGER, giver INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (number INTEGER PRIMARY KEY, intended TEXT);
CREATE TABLE IF NOT EXISTS shards (site INTEGER, shard INTEGER, run_id TEXT, keys INTEGER, PRIMARY KEY (site, shard)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
_TOGETHER = 500
# A process that is killed leaves a file that is whole, and a machine that stops one that lacks the last seconds at most.
_SETTINGS = """
PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 10000; PRAGMA cache_size = -32768;
"""

Intended = tuple[bytes, Mark, int]
"""A key, what all sites are to have there, and the site that has it."""


class Notes:
    """One file, that one process uses at a time. Raises UnfinishedError when it can't be written."""

    def __init__(self, folder: Path, identity: str) -> None:
        """Raises RefusedError when another process uses it, or it was made for other sites."""
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "replicate.db"
        self._unsure = True
        self._database = sqlite3.connect(self.file, isolation_level=None, timeout=0)
        try:
            self._database.executescript(_SETTINGS + _TABLES)
            known = self.fact("identity")
        except sqlite3.OperationalError as error:
            self._database.close()
            if "locked" in str(error):
                raise RefusedError(f"another replicator is at work with {self.file}: give this one its own --state") from None
            raise UnfinishedError(f"the disk: {self.file}: {error}") from None
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise RefusedError(f"{self.file} is no state of a replicator ({error}): give another --state") from None
        if known not in (None, identity):
            self._database.close()
            raise RefusedError(f"{self.file} is of {known}, and not of {identity}: give another --state")
        self.began = known is not None
        """Whether an earlier run has written anything."""
        self._identity = identity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def begin(self) -> None:
        """Says that sites will be written to."""
        self._write(("INSERT OR REPLACE INTO facts VALUES (?, ?)", [("identity", self._identity)]))
        self.began = True

    def fact(self, name: str) -> str | None:
        """What was noted under a name."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def next_sweep(self) -> int:
        """A number that no earlier sweep had."""
        number = int(self.fact("sweep") or 0) + 1
        self._write(("INSERT OR REPLACE INTO facts VALUES (?, ?)", [("sweep", str(number))]))
        return number

    def recover(self) -> None:
        """Before anything is intended: of an attempt that was ended between writing and noting, each key is unsure."""
        left = self._database.execute("SELECT intended FROM batch").fetchone()
        rows = literal_eval(left[0]) if left else []
        self._write(("INSERT OR REPLACE INTO intended VALUES (?, ?, ?, ?)", rows), ("DELETE FROM batch WHERE number = ?", [(1,)]))
        self._unsure = self._database.execute("SELECT 1 FROM intended LIMIT 1").fetchone() is not None

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Note]:
        """Those that there are."""
        found: dict[bytes, Note] = {}
        for some in _portions(keys):
            asked = ",".join("?" * len(some))
            for key, digest, deadline in self._database.execute(f"SELECT key, digest, deadline FROM notes WHERE key IN ({asked})", some):  # noqa: S608
                found[key] = Note(Mark(digest, deadline))
            if not self._unsure:
                continue
            for key, *mark, giver in self._database.execute(f"SELECT * FROM intended WHERE key IN ({asked})", some):  # noqa: S608
                found[key] = Note(found.get(key, NOTHING).agreed, Mark(*mark), giver)
        return found

    def swept(self, keys: Sequence[bytes], sweep: int) -> set[bytes]:
        """Which of the keys this sweep has dealt with."""
        found: set[bytes] = set()
        for some in _portions(keys):
            asked = ",".join("?" * len(some))
            query = f"SELECT key FROM notes WHERE sweep = ? AND key IN ({asked})"  # noqa: S608
            found.update(key for (key,) in self._database.execute(query, (sweep, *some)))
        return found

    def unswept(self, sweep: int) -> Iterator[list[bytes]]:
        """Keys that this sweep has not dealt with, in batches."""
        last = b""
        query = "SELECT key FROM notes WHERE sweep < ? AND key >= ? ORDER BY key LIMIT ?"
        while keys := [key for (key,) in self._database.execute(query, (sweep, last, _TOGETHER))]:
            yield keys
            last = keys[-1] + b"\0"

    def intend(self, marks: Sequence[Intended]) -> None:
        """Notes what all sites are about to be given, and which has it; in one row, which is much quicker than one for each key."""
        if marks:
            self._write(("INSERT OR REPLACE INTO batch VALUES (1, ?)", [(repr([(key, *mark, giver) for key, mark, giver in marks]),)]))

    def settle(self, agreed: Iterable[tuple[bytes, Mark]], absent: Iterable[bytes], unsure: Sequence[Intended], sweep: int) -> None:
        """Notes what all sites have, and forgets what none has; `unsure` stays intended, and nothing else of the last batch."""
        rows = [(key, *mark, sweep) for key, mark in agreed]
        gone = [(key,) for key in absent]
        sure = [*((key,) for key, *_ in rows), *gone] if self._unsure else []
        self._write(
            ("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", rows),
            ("DELETE FROM notes WHERE key = ?", gone),
            ("DELETE FROM intended WHERE key = ?", sure),
            ("INSERT OR REPLACE INTO intended VALUES (?, ?, ?, ?)", [(key, *mark, giver) for key, mark, giver in unsure]),
            ("DELETE FROM batch WHERE number = ?", [(1,)]),
        )
        self._unsure = self._unsure or bool(unsure)

    def shards(self, site: int) -> dict[int, tuple[str, int]]:
        """What each master's process was, and how many keys it had, by its first slot."""
        rows = self._database.execute("SELECT shard, run_id, keys FROM shards WHERE site = ?", (site,))
        return {shard: (run_id, keys) for shard, run_id, keys in rows}

    def note_shards(self, site: int, shards: dict[int, tuple[str, int]]) -> None:
        """Notes that."""
        rows = [(site, shard, run_id, keys) for shard, (run_id, keys) in shards.items()]
        self._write(("INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?)", rows))

    def _write(self, *steps: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        """At once."""
        if not any(rows for _, rows in steps):
            return
        try:
            with self._database:
                self._database.execute("BEGIN")
                for query, rows in steps:
                    self._database.executemany(query, rows)
        except sqlite3.OperationalError as error:
            raise UnfinishedError(f"the disk: {self.file}: {error}") from None


def identity_of(kind: str, names: Sequence[str]) -> str:
    """What tells the state of these sites from that of others, for people too."""
    return json.dumps([kind, *names])


def _portions(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for at in range(0, len(keys), _TOGETHER):
        yield keys[at : at + _TOGETHER]
