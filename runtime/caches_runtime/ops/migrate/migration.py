"""Copies a source into a target while clients write to the source; where asked for, holds those writes, copies the rest and cuts over.

What makes it whole: the source names every key that changes from before the first key is read until its writes are held. So
whatever was read too early is read again, and it does not matter in which order. Each key is compared once it is written, and what
has changed since it was compared is copied and compared again, the last of it while nothing can change.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.exceptions import NoPermissionError

from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError, StartOverError, UnfinishedError
from caches_runtime.ops.migrate.link import LOST, SCAN_COUNT, Command, Endpoint, sound
from caches_runtime.ops.migrate.source import HELD_SECONDS, MIB, PAUSE_SECONDS, Source, engine
from caches_runtime.ops.migrate.target import MARKER, MARKER_SECONDS, NAME, Target
from caches_runtime.ops.migrate.values import Look, same_look, same_ttl, same_value

# So few are copied in a moment: writes may be held for them.
FEW_KEYS = 500
MANY_KEYS = 100_000
# A busy source always has a few more; so often is enough to see whether they become fewer.
ROUNDS = 20
HOLD_LIMIT_SECONDS = 30.0
AGAIN_SECONDS = 1.0
REPORT_SECONDS = 5.0
COPYING, CUT_OVER = "copying", "cut over"


@dataclass(frozen=True)
class Done:
    """What a migration has come to."""

    keys: int
    cut_over: bool
    held_seconds: float = 0
    """How long writes waited until all was known to be equal."""
    already: bool = False
    """Whether an earlier run had cut over."""


@dataclass
class Migration:
    """One run. `report` gets a line for people now and then; `interrupted` is asked between any two portions of keys."""

    source: Endpoint
    target: Endpoint
    cut_over: bool
    report: Callable[[str], None]
    interrupted: Callable[[], bool] = lambda: False
    _furthest: int = 0
    _since: float = field(default_factory=time.monotonic)

    def run(self, seconds: float) -> Done:
        """Raises RefusedError, UnfinishedError after so many seconds without progress, or InterruptedMigrationError."""
        self._since, said = time.monotonic(), ""
        while True:
            try:
                return self._attempt()
            except NoPermissionError as error:
                raise RefusedError(f"a right is missing: {error}") from None
            except (*LOST, redis.ResponseError, StartOverError, UnfinishedError) as error:
                trouble = f"{error}" or type(error).__name__
            if time.monotonic() - self._since > seconds:
                raise UnfinishedError(trouble)
            if trouble != said:
                self.report(f"starting over: {trouble}")
            said = trouble
            self._pause(AGAIN_SECONDS)

    def _attempt(self) -> Done:
        name = f"{NAME}{secrets.token_hex(4)}"
        with Target(self.target, name) as target:
            self._await_turn(target)
            # Before the source is asked, which may be gone by now.
            if target.marker().get("state") == CUT_OVER:
                return Done(sum(target.keyspace().values()), cut_over=True, already=True)
            with Source(self.source, name) as source:
                _refuse(source, target)
                target.mark(self.source, COPYING)
                return _Copy(source, target, self.report, self._progress).run(self.cut_over)

    def _await_turn(self, target: Target) -> None:
        said = ""
        while other := target.other_migration():
            if other != said:
                self.report(f"waiting for another migration to end ({other})")
            said = other
            self._pause(AGAIN_SECONDS)

    def _progress(self, compared: int) -> None:
        if self.interrupted():
            raise InterruptedMigrationError
        if compared > self._furthest:
            self._furthest, self._since = compared, time.monotonic()

    def _pause(self, seconds: float) -> None:
        if self.interrupted():
            raise InterruptedMigrationError
        time.sleep(seconds)


def _refuse(source: Source, target: Target) -> None:
    """Raises RefusedError when the source can't be copied into this target, before anything is changed."""
    marker, there, keys = target.marker(), target.keyspace(), source.keyspace()
    if source.info["run_id"] in target.run_ids():
        raise RefusedError(f"{source.endpoint} is the new cache itself: migrate_from must name another server")
    if marker and marker["source"] != str(source.endpoint):
        raise RefusedError(f"the new cache holds a copy of {marker['source']}: FLUSHALL it to copy {source.endpoint}")
    if there and not marker:
        found = ", ".join(f"{count} keys in database {database}" for database, count in sorted(there.items()))
        raise RefusedError(f"the new cache holds other data ({found}), which would be lost: take an empty one, or FLUSHALL it")
    if target.clustered and (others := sorted(database for database in keys if database)):
        raise RefusedError(f"{source.endpoint} has keys in databases {', '.join(map(str, others))}, and a cluster only has database 0")
    try:
        for database in keys:
            target.every([("EXISTS", MARKER)], database)
    except redis.ResponseError:
        raise RefusedError(f"{source.endpoint} has keys in database {max(keys)}: give databases = {max(keys) + 1} or more") from None
    used, limit = int(source.info["used_memory"]), target.memory()
    if limit and used > limit:
        needs = f"uses {used // MIB + 1} MiB, and the new cache may hold {limit // MIB}"
        raise RefusedError(f"{source.endpoint} {needs}: give it more memory_gib or maxmemory_mib")
    for database in keys:
        batch = next(source.link.scan(database), [])
        sizes = [memory or 0 for memory in source.link.every([("MEMORY", "USAGE", key) for key in batch], database)]
        if not sizes or not (payload := source.link.call("DUMP", batch[sizes.index(min(sizes))], database=database)):
            continue
        if problem := target.try_value(payload):
            raise RefusedError(
                f"the new cache ({engine(target.info)}) can't read the values of {source.title}: {problem}. "
                "Take the same engine, in a version not older than the source's"
            )


@dataclass
class _Copy:
    """One attempt, from the first key on."""

    source: Source
    target: Target
    report: Callable[[str], None]
    progress: Callable[[int], None]
    _doubtful: set[bytes] = field(default_factory=set)
    """Names of keys that were seen to differ, and have not been seen to be equal since."""
    _compared: int = 0
    _reported: float = field(default_factory=time.monotonic)
    _held: float | None = None
    """When writes were last held."""

    def run(self, cut_over: bool) -> Done:
        total, before = sum(self.source.keyspace().values()), self.target.keyspace()
        self.report(f"copying {total} keys of {self.source.title}, which goes on serving")
        for database in self._databases():
            for keys in self.source.link.scan(database):
                self._bring(database, keys, blank=not before)
                self._go_on(f"copied and compared {self._compared} of about {total} keys")
        # Of an earlier copy: what the source has no longer goes.
        for database in before:
            for keys in self.target.scan(database):
                self._bring(database, _absent(keys, self.source.link.every, database))
                self._go_on(f"looking for keys in database {database} that the source has no longer")
        changed = [FEW_KEYS + 1]
        while changed[-1] > FEW_KEYS and len(changed) <= ROUNDS:
            changed.append(self._catch_up())
        self._make_safe()
        return self._cut_over() if cut_over else Done(sum(self.target.keyspace().values()), cut_over=False)

    def _cut_over(self) -> Done:
        began = time.monotonic()
        self.report(f"writes to {self.source.endpoint} wait")
        try:
            self._hold(PAUSE_SECONDS)
            while True:
                while self._catch_up() or self._count_differently():
                    # Not tried again: clients would wait again.
                    if time.monotonic() - began > HOLD_LIMIT_SECONDS:
                        names = ", ".join(map(repr, itertools.islice(self._doubtful, 5)))
                        waited = f"after {HOLD_LIMIT_SECONDS:g} s in which writes waited {len(self._doubtful)} keys still differ ({names})"
                        raise RefusedError(f"{waited}, so writes go on at the source: cut over when fewer keys change")
                self._make_safe()
                if not self.source.still_the_same():
                    raise StartOverError(f"{self.source.endpoint} is another server now, or no master, or has swapped databases")
                held = time.monotonic() - began
                self._hold(HELD_SECONDS)
                # Had this process been stopped for longer than the short hold, this is where it is seen.
                if not (late := self.source.changed()):
                    break
                self._doubtful |= late
        except BaseException:
            self.source.release_writes()
            raise
        # Not released when this fails: it may have been noted, and then the new cache is written to.
        self.target.mark(self.source.endpoint, CUT_OVER, MARKER_SECONDS)
        return Done(sum(self.target.keyspace().values()), cut_over=True, held_seconds=held)

    def _make_safe(self) -> None:
        self.target.check_kept()
        self.target.mark(self.source.endpoint, COPYING)

    def _hold(self, seconds: int) -> None:
        self.source.hold_writes(seconds)
        self._held = time.monotonic()

    def _go_on(self, text: str) -> None:
        """Between two portions: hears what has changed, so that neither side has to keep too much of it."""
        self._doubtful |= self.source.changed()
        if len(self._doubtful) > MANY_KEYS:
            self._catch_up()
        if time.monotonic() - self._reported > REPORT_SECONDS:
            self._reported = time.monotonic()
            self.report(text)

    def _databases(self) -> list[int]:
        """Wherever there is a key to copy, or one that shall not be."""
        return sorted(self.source.keyspace().keys() | self.target.keyspace().keys())

    def _catch_up(self) -> int:
        """Copies and compares what has changed; how many keys that were, with those that differed."""
        names = list(self.source.changed() | self._doubtful)
        self._doubtful = set()
        for database in self._databases():
            for start in range(0, len(names), SCAN_COUNT):
                self._bring(database, names[start : start + SCAN_COUNT])
        return len(names)

    def _count_differently(self) -> bool:
        """Whether a key is only on one side; the keys that are become doubtful."""
        here, there = self.source.keyspace(lasting=True), self.target.keyspace(lasting=True)
        for database in self._databases():
            # Of keys that expire, some are counted that are gone already. None of them can be missing: the target evicts nothing.
            if here.get(database, 0) != there.get(database, 0):
                ours = ((keys, self.target.every) for keys in self.source.link.scan(database))
                theirs = ((keys, self.source.link.every) for keys in self.target.scan(database))
                for keys, other in itertools.chain(ours, theirs):
                    self._doubtful |= {key for key in _absent(keys, other, database) if self._differs(database, key)}
        return bool(self._doubtful)

    def _bring(self, database: int, keys: Sequence[bytes], *, blank: bool = False) -> None:
        """Copies those of the keys that do not look the same on both sides, and compares them then; a blank target has none yet."""
        for portion in self.source.portions(database, [key for key in keys if key != MARKER]):
            if self._held is not None and time.monotonic() - self._held > PAUSE_SECONDS / 3:
                self._hold(PAUSE_SECONDS)
            self._compared += len(portion)
            self.progress(self._compared)
            found = _looks(self.source.link.every(_looking(portion), database))
            if not blank:
                there = _looks(self.target.every(_looking(portion), database))
                unequal = [number for number, look in enumerate(found) if not same_look(look, there[number])]
                portion, found = [portion[number] for number in unequal], [found[number] for number in unequal]
            for key, ours, theirs in zip(portion, found, self._write(database, portion, found), strict=True):
                if not same_look(ours, theirs) and self._differs(database, key):
                    self._doubtful.add(key)

    def _write(self, database: int, keys: Sequence[bytes], found: Sequence[Look]) -> list[Look]:
        """Writes what was found in the source; how it looks in the target then."""
        writes: list[Command] = [
            ("DEL", key) if payload is None or ttl == -2 else ("RESTORE", key, self.target.deadline(ttl), payload, "REPLACE", "ABSTTL")
            for key, (payload, ttl) in zip(keys, found, strict=True)
        ]
        replies = self.target.each([*writes, *_looking(keys)], database)
        for key, reply in zip(keys, replies[: len(keys)], strict=True):
            if isinstance(reply, redis.OutOfMemoryError):
                raise RefusedError("the new cache is full: give it more memory_gib or maxmemory_mib")
            if isinstance(reply, Exception):
                if "payload" in str(reply) or "data format" in str(reply):
                    raise RefusedError(f"the new cache can't read {key!r} in database {database}: {reply}")
                raise reply
        return _looks(sound(replies[len(keys) :]))

    def _differs(self, database: int, key: bytes) -> bool:
        """Whether a key's value, or time to live, is not the same on both sides, however it looks."""

        def ours(command: Command) -> Any:
            return self.source.link.call(*command, database=database)

        def theirs(command: Command) -> Any:
            return self.target.every([command], database)[0]

        return not same_ttl(ours(("PTTL", key)), theirs(("PTTL", key))) or not same_value(key, ours, theirs)


def _looking(keys: Sequence[bytes]) -> list[Command]:
    # The time to live last, because this is what is right only for a moment.
    return [*(("DUMP", key) for key in keys), *(("PTTL", key) for key in keys)]


def _looks(replies: Sequence[Any]) -> list[Look]:
    half = len(replies) // 2
    return list(zip(replies[:half], replies[half:], strict=True))


def _absent(keys: Sequence[bytes], every: Callable[[Sequence[Command], int], list[Any]], database: int) -> list[bytes]:
    """Those of the keys that a side does not have; the marker is not one of them."""
    there = every([("EXISTS", key) for key in keys], database)
    return [key for key, exists in zip(keys, there, strict=True) if not exists and key != MARKER]
