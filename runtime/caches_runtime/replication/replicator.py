"""Makes sites alike and keeps them so: takes keys that have changed or that a sweep comes to, compares, and copies."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import redis
from redis.exceptions import NoPermissionError

from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError
from caches_runtime.ops.migrate.link import LOST
from caches_runtime.ops.warmup.pace import Pace
from caches_runtime.replication import values
from caches_runtime.replication.backlog import Backlog, Change
from caches_runtime.replication.decision import ABSENT, NOTHING, Mark, Note, decide
from caches_runtime.replication.metrics import Metrics
from caches_runtime.replication.notes import Intended, Notes, identity_of
from caches_runtime.replication.session import Session
from caches_runtime.replication.settings import Done, Settings
from caches_runtime.replication.site import Place, Site
from caches_runtime.replication.values import Found, Unread, Value

BATCH_KEYS = 1000
AGAIN_SECONDS = 1.0
_IDLE_SECONDS = 0.1


@dataclass
class Replicator:
    """One run. `report` gets a line for people now and then; `interrupted` is asked between any two batches."""

    places: Sequence[Place]
    settings: Settings
    notes: Notes
    report: Callable[[str], None]
    interrupted: Callable[[], bool] = lambda: False
    done: Done = field(default_factory=Done)
    _served: bool = False

    def __post_init__(self) -> None:
        self._backlog = Backlog(self.settings.backlog_keys)
        self.metrics = Metrics(self._backlog.oldest_seconds, self._backlog.__len__)

    def run(self) -> Done:
        """Until interrupted, or with `once` until all is alike. Raises RefusedError or InterruptedMigrationError."""
        said = ""
        while True:
            try:
                with ExitStack() as closing:
                    _Attempt(self, closing).run()
                return self.done
            except (redis.AuthenticationError, NoPermissionError, RefusedError) as error:
                # Once it has worked, a password is being changed, or a right.
                trouble = f"{error}" if isinstance(error, RefusedError) else f"a right is missing: {error}"
                if not self._served:
                    raise RefusedError(trouble) from None
            except (*LOST, redis.RedisError) as error:
                trouble = f"{error}" or type(error).__name__
            self.metrics.lose()
            if trouble != said:
                self.report(f"starting over: {trouble}")
            said = trouble
            self.look()
            time.sleep(AGAIN_SECONDS)

    def look(self) -> None:
        """Raises InterruptedMigrationError when it was asked to end."""
        if self.interrupted():
            raise InterruptedMigrationError


class _Attempt:
    """While the connections last."""

    def __init__(self, run: Replicator, closing: ExitStack) -> None:
        self._run, self._settings, self._notes = run, run.settings, run.notes
        self._session = Session(run.places, run.settings, run.notes, run.report, closing)
        if not run._served:
            self._session.refuse()
            self._notes.begin()
        self._notes.recover()
        self._session.listen(run._backlog, run.metrics)
        self._sites = self._session.sites
        self._paces = (Pace(self._settings.keys_per_second, run.look), Pace(self._settings.bytes_per_second, run.look))
        self._sweep = self._notes.next_sweep()
        self._divergent = 0
        run._served = True

    def run(self) -> None:
        sweep: Iterator[list[bytes]] | None = self._keys()
        due = 0.0
        while True:
            self._run.look()
            self._session.check()
            self._run.metrics.beat()
            changes = self._run._backlog.take(BATCH_KEYS)
            if changes:
                self._deal(list(changes), changes)
            if sweep is None and (time.monotonic() >= due or self._run._backlog.dropped()):
                self._session.check_topology()
                self._sweep, self._divergent = self._notes.next_sweep(), 0
                sweep = self._keys()
            if sweep is None:
                if not changes:
                    self._run._backlog.wait(min(_IDLE_SECONDS, max(0.0, due - time.monotonic())))
            elif keys := next(sweep, None):
                self._deal(keys, {})
            elif keys is None:
                sweep, due = None, time.monotonic() + self._settings.sweep_seconds
                self._end_sweep()
                if self._settings.once:
                    return

    def _keys(self) -> Iterator[list[bytes]]:
        """All that any site has, and all that any had."""
        for number, site in enumerate(self._sites):
            for batch in site.scan():
                wanted = self._settings.wanted.of(batch)
                done = self._notes.swept(wanted, self._sweep) if number else ()
                yield [key for key in wanted if key not in done]
        for batch in self._notes.unswept(self._sweep):
            yield self._settings.wanted.of(batch)

    def _end_sweep(self) -> None:
        self._run.metrics.swept.set_to_current_time()
        self._run.metrics.divergent.set(self._divergent)
        self._session.note_sizes()
        done = self._run.done
        self._run.report(f"sweep {self._sweep}: {self._divergent} keys differed; so far {done.copied} copied, {done.errors} errors")

    def _deal(self, keys: list[bytes], changes: dict[bytes, Change]) -> None:
        """Makes all sites alike in these keys."""
        try:
            self._paces[0].wait(len(keys))
            all_heads = [values.heads(site, keys) for site in self._sites]
            for group in values.portions(all_heads):
                found = [
                    values.contents(site, [keys[n] for n in group], [heads[n] for n in group], field_expiry=self._session.field_expiry)
                    for site, heads in zip(self._sites, all_heads, strict=True)
                ]
                self._decide([keys[n] for n in group], found, changes)
        except BaseException:
            self._run._backlog.give_back(changes)
            raise
        now = time.monotonic()
        for change in changes.values():
            self._run.metrics.changes.observe(now - change.since)
        # Never between reading and writing, while clients go on.
        self._paces[1].wait(sum(head.size for heads in all_heads for head in heads if head))

    def _decide(self, keys: list[bytes], found: list[list[Found]], changes: dict[bytes, Change]) -> None:
        notes = self._notes.get(keys)
        intended: list[Intended] = []
        agreed: dict[bytes, Mark] = {}
        forgotten: list[bytes] = []
        gifts: list[dict[bytes, Value | None]] = [{} for _ in self._sites]
        for at, key in enumerate(keys):
            read = [of_site[at] for of_site in found]
            here = [value for value in read if not isinstance(value, Unread)]
            if len(here) < len(read):
                self._note_unread(key, read, changes)
                continue
            marks = [Mark(value.digest, value.deadline) if value else ABSENT for value in here]
            note = notes.get(key, NOTHING)
            decision = self._decision(key, marks, note, changes)
            if decision is None:
                forgotten += [key] if key in notes else []
                continue
            mark, value = marks[decision], here[decision]
            takers = [site for site, other in enumerate(marks) if not other.same(mark)]
            for taker in takers:
                gifts[taker][key] = value
            if takers:
                intended.append((key, mark, decision))
            if mark != ABSENT:
                agreed[key] = mark
            elif key in notes or takers:
                forgotten.append(key)
        self._give(intended, gifts, agreed, forgotten)
        if not changes:
            self._divergent += len(intended)

    def _decision(self, key: bytes, marks: list[Mark], note: Note, changes: dict[bytes, Change]) -> int | None:
        last = changes[key].site if key in changes else None
        decision = decide(marks, note, leader=self._settings.leader, lost=self._session.lost(key), last=last)
        if decision.conflict:
            self._run.done.conflicts += 1
            self._run.metrics.conflicts.inc()
        return decision.giver

    def _give(
        self,
        intended: list[Intended],
        gifts: list[dict[bytes, Value | None]],
        agreed: dict[bytes, Mark],
        forgotten: list[bytes],
    ) -> None:
        # Noted before, so that whoever goes on after a crash knows a copy from a client's write.
        self._notes.intend(intended)
        failed: set[bytes] = set()
        for site, gift in zip(self._sites, gifts, strict=True):
            problems = values.put(site, gift) if gift else {}
            self._run.done.copied += len(gift) - len(problems)
            self._run.metrics.copied.labels(site.name).inc(len(gift) - len(problems))
            for key, problem in problems.items():
                failed.add(key)
                self._fail(site, problem)
        # What failed stays intended, until the next sweep tries again.
        settled = ((key, mark) for key, mark in agreed.items() if key not in failed)
        unsure = [each for each in intended if each[0] in failed]
        self._notes.settle(settled, (key for key in forgotten if key not in failed), unsure, self._sweep)
        self._run.done.compared += len(agreed)

    def _note_unread(self, key: bytes, here: list[Found], changes: dict[bytes, Change]) -> None:
        for site, value in zip(self._sites, here, strict=True):
            if isinstance(value, Unread) and value.reason:
                self._fail(site, value.reason)
                return
        # It has just become another type.
        self._run._backlog.give_back({key: changes.get(key, Change(time.monotonic(), 0))})

    def _fail(self, site: Site, problem: str) -> None:
        if not self._run.done.errors:
            self._run.report(f"a key of {site.name} can't be brought: {problem}; later ones are only counted")
        self._run.done.errors += 1
        self._run.metrics.errors.labels(site.name).inc()


def identity(places: Sequence[Place], *, leader: bool) -> str:
    """What tells the state of these sites from that of others."""
    connections = [place.read() for place in places]
    return identity_of("follow" if leader else "mesh", [f"{each.host}:{each.port}" for each in connections])
