"""Compares two caches, key by key and value by value, and brings to the second what it misses of the first."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from caches_runtime.ops.migrate.errors import InterruptedMigrationError
from caches_runtime.replication import values
from caches_runtime.replication.decision import Mark
from caches_runtime.replication.site import Site
from caches_runtime.replication.values import Found, Unread, Value
from caches_runtime.replication.wanted import Wanted

MISSING, EXTRA, TYPE, VALUE, EXPIRY, UNREAD = "missing", "extra", "type", "value", "expiry", "unread"
# So many are looked at once more, and listed; of two caches that have nothing in common that says nothing.
KEPT = 10_000
_AGAIN_SECONDS = 1.0


@dataclass
class Comparison:
    """One run."""

    first: Site
    second: Site
    wanted: Wanted
    repair: bool = False
    interrupted: Callable[[], bool] = lambda: False
    keys: list[int] = field(default_factory=lambda: [0, 0])
    """How many each has."""
    differences: dict[bytes, str] = field(default_factory=dict)
    """What is different about a key: at most KEPT of them."""
    counts: Counter[str] = field(default_factory=Counter)
    """Of all differences, by kind."""
    repaired: int = 0

    def run(self) -> bool:
        """Whether they are the same. Raises InterruptedMigrationError, redis.ResponseError, or one of LOST."""
        for number, (site, other) in enumerate([(self.first, self.second), (self.second, self.first)]):
            for batch in site.scan():
                if self.interrupted():
                    raise InterruptedMigrationError
                keys = self.wanted.of(batch)
                self.keys[number] += len(keys)
                if site is self.first:
                    self._compare(keys)
                elif keys:
                    heads = values.heads(other, keys)
                    self._keep({key: EXTRA for key, head in zip(keys, heads, strict=True) if head is None})
        self._look_again()
        return not self.counts.total()

    def _compare(self, keys: list[bytes]) -> None:
        different, found = self._look(keys)
        if self.repair and found:
            problems = values.put(self.second, found)
            self.repaired += len(found) - len(problems)
            different, _ = self._look(list(different))
        self._keep(different)

    def _look(self, keys: Sequence[bytes]) -> tuple[dict[bytes, str], dict[bytes, Value | None]]:
        """What differs, and what the first has there that the second lacks."""
        different: dict[bytes, str] = {}
        wanting: dict[bytes, Value | None] = {}
        if not keys:
            return different, wanting
        sites = (self.first, self.second)
        heads = [values.heads(site, keys) for site in sites]
        fields = self.first.field_expiry and self.second.field_expiry
        for group in values.portions(heads):
            named = [keys[number] for number in group]
            one, other = (
                values.contents(site, named, [of_site[number] for number in group], field_expiry=fields)
                for site, of_site in zip(sites, heads, strict=True)
            )
            for key, mine, theirs in zip(named, one, other, strict=True):
                if what := difference(mine, theirs):
                    different[key] = what
                    if isinstance(mine, Value):
                        wanting[key] = mine
        return different, wanting

    def _keep(self, different: dict[bytes, str]) -> None:
        for key, what in different.items():
            if key not in self.differences:
                self.counts[what] += 1
                if len(self.differences) < KEPT:
                    self.differences[key] = what

    def _look_again(self) -> None:
        """What was just under way when it was looked at is no difference."""
        if not self.differences:
            return
        time.sleep(_AGAIN_SECONDS)
        before, self.differences = self.differences, {}
        self.counts -= Counter(before.values())
        keys = list(before)
        for at in range(0, len(keys), 500):
            self._keep(self._look(keys[at : at + 500])[0])


def difference(one: Found, other: Found) -> str:
    """What is different; empty for nothing."""
    if isinstance(one, Unread) or isinstance(other, Unread):
        return UNREAD
    if one is None or other is None:
        return "" if one is other else MISSING if other is None else EXTRA
    if one.kind != other.kind:
        return TYPE
    if one.digest != other.digest:
        return VALUE
    return "" if Mark(b"", one.deadline).same(Mark(b"", other.deadline)) else EXPIRY
