"""What happens to a cache over several clouds, for who wants to know: metrics, a log, and a stream of events."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

_EVENTS_KEPT = 1000
_LOG = logging.getLogger(__name__)

SECONDS = Histogram("caches_multicloud_seconds", "How long reads and writes took.", ["cache", "what", "outcome"])
ANSWERS = Counter("caches_multicloud_answers", "What clouds answered.", ["cache", "cloud", "outcome"])
STATE = Gauge("caches_multicloud_circuit_open", "1 while a cloud is not asked.", ["cache", "cloud"])
WHOLE = Gauge("caches_multicloud_whole", "0 while a cloud has lost its data and is filled anew.", ["cache", "cloud"])
BACKLOG = Gauge("caches_multicloud_backlog", "Keys that a cloud has missed.", ["cache", "cloud"])
REPAIRS = Counter(
    "caches_multicloud_repairs", "Records brought to clouds that lacked them, by how that was noticed.", ["cache", "cloud", "by"]
)
ROUND_TRIP = Gauge("caches_multicloud_round_trip_seconds", "Mean time of a cloud's answers.", ["cache", "cloud"])


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    what: str
    """opened, closed, emptied, filled, repaired, given up, failed over, failed back."""
    cloud: str
    details: dict[str, Any] = field(default_factory=dict)


class Events:
    """A stream that any number may follow; who is slow misses the oldest."""

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._followers: set[asyncio.Queue[Event]] = set()

    def tell(self, what: str, cloud: str, **details: Any) -> None:
        """Says that something happened."""
        _LOG.info("%s", what, extra={"cache": self._cache, "cloud": cloud, **details})
        for follower in self._followers:
            if follower.full():
                follower.get_nowait()
            follower.put_nowait(Event(what, cloud, details))

    async def follow(self) -> AsyncIterator[Event]:
        """What happens from now on."""
        follower: asyncio.Queue[Event] = asyncio.Queue(_EVENTS_KEPT)
        self._followers.add(follower)
        try:
            while True:
                yield await follower.get()
        finally:
            self._followers.discard(follower)
