"""Brings all records of a source into a cache, portion by portion, and goes on where an earlier run was ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import redis
from redis.exceptions import NoPermissionError

from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import LOST
from caches_runtime.ops.warmup.checkpoint import Checkpoint, name_of
from caches_runtime.ops.warmup.entries import Bad, Entry, Outcome, Position, Source
from caches_runtime.ops.warmup.memcached_target import MemcachedTarget
from caches_runtime.ops.warmup.pace import Pace, jittered
from caches_runtime.ops.warmup.redis_target import RedisTarget

_BATCH_BYTES = 4 * 1024 * 1024
_NOTE_SECONDS = 1.0
_REPORT_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
AnyTarget = RedisTarget | MemcachedTarget


@dataclass(frozen=True)
class Settings:
    """How entries are written."""

    overwrite: bool = False
    jitter: float = 0.1
    """Which part of a time to live may be taken away."""
    default_seconds: float | None = None
    """How long entries live of which the source says nothing; None for ever."""
    bad_maximum: int = 100
    """How many records may be bad."""


@dataclass(frozen=True)
class Done:
    """What a warm-up has come to, with what runs before had done."""

    written: int
    there: int
    """Keys that were there, and were left alone."""
    expired: int
    bad: int
    keys: int
    """In the cache now."""
    keys_before: int
    full: bool
    """Whether it was ended because the cache began to evict."""


@dataclass
class WarmUp:
    """One run. `report` gets a line for people now and then; `interrupted` is asked between any two portions."""

    cache: Cache
    open_source: Callable[[AnyTarget], AbstractContextManager[Source]]
    settings: Settings
    keys_per_second: float | None
    report: Callable[[str], None]
    interrupted: Callable[[], bool] = lambda: False
    _furthest: int = -1
    _since: float = 0

    def run(self, seconds: float) -> Done:
        """Raises RefusedError, UnfinishedError after so many seconds without progress, or InterruptedMigrationError."""
        self._since = time.monotonic()
        while True:
            try:
                with self._open_target() as target, self.open_source(target) as source:
                    return self._attempt(target, source)
            except redis.AuthenticationError as error:
                raise RefusedError(f"a server does not let in: {error}; check the connection's username and password") from None
            except NoPermissionError as error:
                raise RefusedError(f"a right is missing: {error}") from None
            except (*LOST, redis.ResponseError, UnfinishedError) as error:
                trouble = f"{error}" or type(error).__name__
            if time.monotonic() - self._since > seconds:
                raise UnfinishedError(trouble)
            self.report(f"trying again: {trouble}")
            self._look()
            time.sleep(_AGAIN_SECONDS)

    def _open_target(self) -> AnyTarget:
        return MemcachedTarget(self.cache) if self.cache.engine == "memcached" else RedisTarget(self.cache)

    def _attempt(self, target: AnyTarget, source: Source) -> Done:
        name = name_of(source.identity, repr(self.settings.overwrite))
        done = Checkpoint.load(target, name)
        self._progress(done)
        self.report(f"filling {target.title} from {source.title}{f', going on after {done.read} records' if done.read else ''}")
        pace, began, since = Pace(self.keys_per_second, self._look), done.read, time.monotonic()
        noted = reported = since
        full = False
        for entries, bad, position in _portions(source, done.position, pace.batch, self._timed):
            pace.wait(len(entries))
            self._put(target, entries, bad, done)
            done.position, done.read = position, done.read + len(entries) + len(bad)
            now = time.monotonic()
            if now - noted > _NOTE_SECONDS:
                noted = now
                done.save(target, name)
                self._progress(done)
                if full := target.evicted() > 0:
                    break
            if now - reported > _REPORT_SECONDS:
                reported = now
                self.report(f"{_counted(done)}, {(done.read - began) / (now - since):.0f} records/s")
        # A server only waits for what came over this connection: also where an earlier one has written all, the note does.
        done.save(target, name)
        target.settle()
        full = full or target.evicted() > 0
        target.forget(name)
        counts = done.outcomes
        return Done(
            written=counts[Outcome.WRITTEN],
            there=counts[Outcome.THERE],
            expired=counts[Outcome.EXPIRED],
            bad=done.bad,
            keys=target.count(),
            keys_before=done.before,
            full=full,
        )

    def _put(self, target: AnyTarget, entries: list[Entry], bad: list[Bad], done: Checkpoint) -> None:
        for entry, outcome in zip(entries, target.put(entries, overwrite=self.settings.overwrite), strict=True):
            if isinstance(outcome, Outcome):
                done.outcomes[outcome] += 1
            else:
                bad = [*bad, Bad(entry.place, outcome)]
        for each in bad:
            done.bad += 1
            self.report(f"{each.place} {each.reason}")
            if done.bad > self.settings.bad_maximum:
                raise RefusedError(
                    f"{done.bad} records are bad, the last one {each.place}, which {each.reason}; at most {self.settings.bad_maximum} "
                    f"may be. {done.outcomes[Outcome.WRITTEN]} keys were written"
                )

    def _timed(self, entry: Entry) -> Entry:
        if entry.until is None and self.settings.default_seconds is not None:
            entry = replace(entry, until=Entry.expiry(self.settings.default_seconds))
        return jittered(entry, self.settings.jitter, time.monotonic())

    def _progress(self, done: Checkpoint) -> None:
        if done.read > self._furthest:
            self._furthest, self._since = done.read, time.monotonic()

    def _look(self) -> None:
        if self.interrupted():
            raise InterruptedMigrationError


def _counted(done: Checkpoint) -> str:
    counts = done.outcomes
    return f"{counts[Outcome.WRITTEN]} keys written, {counts[Outcome.THERE]} were there, {done.bad} records bad"


def _portions(
    source: Source, after: Position, keys: int, timed: Callable[[Entry], Entry]
) -> Iterator[tuple[list[Entry], list[Bad], Position]]:
    """Entries to write at once, the bad records among them, and the position after both."""
    entries, bad, size, position = list[Entry](), list[Bad](), 0, after
    for record, next_ in source.read(after):
        position = next_
        if isinstance(record, Bad):
            bad.append(record)
        else:
            entries.append(timed(record))
            size += record.bytes
        if len(entries) + len(bad) >= keys or size >= _BATCH_BYTES:
            yield entries, bad, position
            entries, bad, size = [], [], 0
    if entries or bad:
        yield entries, bad, position
