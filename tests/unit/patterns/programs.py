"""Random programs of readers, writers, invalidations and faults, and what each reader must see.

A program is one thread of control: whatever happens meanwhile happens inside the loader or the writer of the source, so that each
schedule is exact and can be shrunk.
"""

from __future__ import annotations

import itertools
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from caches_runtime.patterns import Namespace, Strategy
from hypothesis import strategies as st
from unit.patterns.sides import Side

PROCESSES = 2
KEYS = ("a", "b")
FAULTS = ("hang", "go on", "kill", "evict")


@dataclass(frozen=True)
class Step:
    """What a process does with a key."""

    what: str
    process: int
    key: str
    before: tuple[Step, ...] = ()
    """Meanwhile, before the source reads or writes."""
    after: tuple[Step, ...] = ()
    """Meanwhile, after that."""


def programs(*more: str) -> st.SearchStrategy[list[Step]]:
    """Of the steps that there are without faults, and more."""
    what = st.sampled_from(["read", "write", "invalidate", "invalidate tag", "clear", "refresh", *more])
    asks = st.sampled_from(["read", "read", "write", "refresh"])
    # Mostly of one key: others are there to be left alone.
    processes, keys = st.integers(0, PROCESSES - 1), st.sampled_from([KEYS[0], KEYS[0], KEYS[0], KEYS[1]])
    inner = st.lists(st.builds(Step, what, processes, keys), max_size=2).map(tuple)
    step = st.builds(Step, asks, processes, keys, inner, inner) | st.builds(Step, what, processes, keys)
    return st.lists(step, min_size=2, max_size=8)


class World:
    """Processes with a cache each, and the source: values are numbers, each written once."""

    def __init__(self, over: Side, strategy: Strategy) -> None:
        self._over = over
        first = over.cache(strategy)
        self._namespace: Namespace = first.namespace
        self._caches = [first, *(over.cache(strategy, first.namespace) for _ in range(PROCESSES - 1))]
        self._evicting = over.client()
        self._source = dict.fromkeys(KEYS, 0)
        self._values, self._commits = itertools.count(1), itertools.count(1)
        self._commit_of = {0: 0}
        self._least: dict[tuple[int, str], int] = defaultdict(int)
        """The commit that a process must see, or a newer one."""
        self._alive, self._hung = True, False

    async def run(self, program: list[Step] | tuple[Step, ...]) -> None:
        """Raises AssertionError for a value that is older than was promised."""
        for step in program:
            if step.what in ("read", "refresh"):
                await self._read(step)
            elif step.what == "write":
                await self._write(step)
            elif step.what in FAULTS:
                await self._suffer(step)
            else:
                await self._change(step)

    async def end(self) -> None:
        """All read once more, with what there is then."""
        for process, key in itertools.product(range(PROCESSES), KEYS):
            await self._read(Step("read", process, key))

    async def recover(self) -> None:
        """Ends all faults, and whatever runs beside."""
        if self._hung:
            self._over.signal(signal.SIGCONT)
        if not self._alive:
            self._over.start_again()
        for cache in self._caches:
            await cache.aclose()

    def _meanwhile(self, step: Step, what: Callable[[], Any]) -> Callable[..., Any]:
        async def body(*_: Any) -> Any:
            await self.run(step.before)
            result = what()
            await self.run(step.after)
            return result

        return self._over.function(body)

    async def _read(self, step: Step) -> None:
        cache, least = self._caches[step.process], self._least[step.process, step.key]
        load = self._meanwhile(step, lambda: self._source[step.key])
        reads = cache.get_or_load if step.what == "read" else cache.refresh
        value = await reads(step.key, load, [f"tag-{step.key}"])
        assert self._commit_of[value] >= least, f"commit {self._commit_of[value]} was read where {least} was promised"

    async def _write(self, step: Step) -> None:
        value = next(self._values)
        write = self._meanwhile(step, lambda: self._commit(step.key, value))
        done = await self._caches[step.process].write(step.key, value, [f"tag-{step.key}"], write)
        self._promise(step.process, step.key, self._commit_of[value], everybody=done)

    async def _change(self, step: Step) -> None:
        """An application changes its source itself, and says so."""
        cache = self._caches[step.process]
        changed = KEYS if step.what == "clear" else (step.key,)
        for key in changed:
            self._commit(key, next(self._values))
        commits = {key: self._commit_of[self._source[key]] for key in changed}
        said: dict[str, Callable[[], Awaitable[bool]]] = {
            "invalidate": lambda: cache.invalidate(step.key),
            "invalidate tag": lambda: cache.invalidate_tags(f"tag-{step.key}"),
            "clear": cache.clear,
        }
        done = await said[step.what]()
        for key, commit in commits.items():
            self._promise(step.process, key, commit, everybody=done)

    async def _suffer(self, step: Step) -> None:
        if step.what == "hang" and self._alive and not self._hung:
            self._over.signal(signal.SIGSTOP)
            self._hung = True
        elif step.what == "go on":
            if self._hung:
                self._over.signal(signal.SIGCONT)
            if not self._alive:
                self._over.start_again()
            self._hung, self._alive = False, True
        elif step.what == "kill" and self._alive:
            self._over.signal(signal.SIGKILL)
            self._hung = self._alive = False
        elif step.what == "evict" and self._alive and not self._hung:
            result = self._evicting.delete(self._namespace.key(step.key))
            if isinstance(result, Awaitable):
                await result

    def _commit(self, key: str, value: int) -> None:
        self._commit_of[value] = next(self._commits)
        self._source[key] = value

    def _promise(self, process: int, key: str, commit: int, everybody: bool) -> None:
        for each in range(PROCESSES) if everybody else (process,):
            self._least[each, key] = max(self._least[each, key], commit)
