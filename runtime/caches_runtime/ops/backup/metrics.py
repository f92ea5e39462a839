"""What Prometheus can know of backups: what is in the bucket, rather than what a Job believed to have done."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily

from caches_runtime.ops.backup import manifest
from caches_runtime.ops.backup.store import Store
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError

_DRILL = "drill.json"
_NEWEST = {
    "timestamp_seconds": "When the newest complete backup was finished.",
    "duration_seconds": "How long it took to make.",
    "size_bytes": "How large it is in the bucket.",
    "keys": "How many keys it has.",
}


def note_drill(store: Store, backup: str) -> None:
    """Notes beside the backups that one was loaded and is whole."""
    store.write(_DRILL, json.dumps({"backup": backup, "finished": time.time()}).encode())


@dataclass(eq=False)
class Collector:
    """The gauges of one cache's backups. The bucket is asked at most every so many seconds, however often it is scraped."""

    store: Store
    every_seconds: float
    _found: list[Metric] = field(default_factory=list)
    _asked: float | None = None

    def register(self) -> CollectorRegistry:
        """A registry with nothing else in it."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def collect(self) -> Iterator[Metric]:
        """What Prometheus gets."""
        if self._asked is None or time.monotonic() - self._asked > self.every_seconds:
            self._found, self._asked = list(self._ask()), time.monotonic()
        yield from self._found

    def _ask(self) -> Iterator[Metric]:
        try:
            backups = manifest.backups(self.store)
            drill = json.loads(self.store.read(_DRILL) or b"{}")
        except (RefusedError, UnfinishedError):
            yield self._gauge("bucket_up", "Whether the bucket answers; nothing else is known when it does not.", 0)
            return
        yield self._gauge("bucket_up", "Whether the bucket answers.", 1)
        yield self._gauge("complete", "How many complete backups there are.", len(backups))
        if backups:
            newest = backups[-1]
            values = (newest.finished, newest.finished - newest.started, newest.bytes, newest.keys)
            for (name, help_), value in zip(_NEWEST.items(), values, strict=True):
                yield self._gauge(f"last_{name}", help_, value)
        if "finished" in drill:
            yield self._gauge("last_drill_timestamp_seconds", "When a backup was last loaded, and found whole.", drill["finished"])

    def _gauge(self, name: str, help_: str, value: float) -> Metric:
        # Without labels: who scrapes it says whose it is, as of all other series of a cache.
        return GaugeMetricFamily(f"caches_backup_{name}", help_, value)
