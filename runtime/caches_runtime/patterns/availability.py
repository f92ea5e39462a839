"""Whether the cache may be used now: one that failed is left alone, and what it missed is made up for first."""

import logging
import threading
import time
from collections.abc import Collection, Mapping

from caches_runtime.patterns import metrics
from caches_runtime.patterns.keys import Namespace
from caches_runtime.patterns.owed import Owed
from caches_runtime.patterns.store import Store, StoreError
from caches_runtime.patterns.strategy import Strategy

log = logging.getLogger(__name__)


class Availability:
    """Of one namespace in one store, for any number of threads."""

    def __init__(self, store: Store, namespace: Namespace, strategy: Strategy) -> None:
        self._store, self._namespace = store, namespace
        self._rest_seconds = strategy.rest_seconds
        self._owed = Owed(strategy.longest_seconds)
        self._lock = threading.Lock()
        self._away = False
        self._rest_until = 0.0

    async def usable(self, wires: Collection[bytes]) -> bool:
        """Whether the cache answers and owes nothing about these keys any more. What failed is tried by one caller at a time."""
        if self._owed.blocked:
            return False
        owed = self._owed.now()
        if not owed and not self._away:
            return True
        mine = {wire: owed[wire] for wire in wires if wire in owed}
        if self._store.fails_by_key:
            if mine and not await self._deleted(mine):
                return False
            if self._may_try():
                await self._deleted(owed)
            return True
        if self._away and not self._may_try():
            return False
        return await self._deleted(owed)

    def owe(self, wires: Collection[bytes]) -> None:
        """Notes that these are to be deleted before they are read again."""
        self._owed.add(wires)
        metrics.OWED.labels(self._namespace.name).set(len(self._owed))

    def failed(self, error: StoreError) -> None:
        """Notes that a call of the cache failed."""
        metrics.FAILURES.labels(self._namespace.name).inc()
        log.warning("the cache failed: %s", error, extra={"cache": self._namespace.name})
        self._away, self._rest_until = True, time.monotonic() + self._rest_seconds

    def _may_try(self) -> bool:
        with self._lock:
            if time.monotonic() < self._rest_until:
                return False
            self._rest_until = time.monotonic() + self._rest_seconds
            return True

    async def _deleted(self, owed: Mapping[bytes, int]) -> bool:
        try:
            if owed:
                await self._store.delete(list(owed))
            else:
                await self._store.get_many([self._namespace.everything])
        except StoreError as error:
            self.failed(error)
            return False
        self._away = False
        self._owed.paid(owed)
        metrics.OWED.labels(self._namespace.name).set(len(self._owed))
        return not self._owed.blocked
