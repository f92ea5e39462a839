"""Hears of changes at a site whose keyspace events are off, by client-side caching, where the user may ask for that."""

import threading
from contextlib import ExitStack

import redis

from caches_runtime.ops.migrate.link import LOST, Link, Watch
from caches_runtime.replication.backlog import Backlog
from caches_runtime.replication.site import Site
from caches_runtime.replication.wanted import Wanted

_EVERY_SECONDS = 0.02


class Tracker(threading.Thread):
    """Of one master, until the connection is lost or this is closed."""

    def __init__(self, link: Link, site: int, backlog: Backlog, wanted: Wanted) -> None:
        """Raises redis.ResponseError when the server does not do that for this user, or one of LOST."""
        super().__init__(daemon=True)
        self.lost: Exception | None = None
        self._site, self._backlog, self._wanted = site, backlog, wanted
        self._watch = Watch(link.endpoint, "")
        self._closed = threading.Event()
        self.start()

    def run(self) -> None:
        """Hears."""
        try:
            while not self._closed.wait(_EVERY_SECONDS):
                if names := self._wanted.of(list(self._watch.take())):
                    self._backlog.add(names, self._site)
                if self._watch.flushed:
                    self._watch.flushed = False
                    self._backlog.drop()
        except (*LOST, redis.RedisError) as error:
            self.lost = error

    def close(self) -> None:
        """Ends it."""
        self._closed.set()
        self.join()
        self._watch.close()


def track(site: Site, number: int, backlog: Backlog, wanted: Wanted, closing: ExitStack) -> list[Tracker]:
    """One for each master; none where that is refused."""
    made: list[Tracker] = []
    for link in site.links:
        try:
            made.append(Tracker(link, number, backlog, wanted))
        except redis.ResponseError:
            return []
        closing.callback(made[-1].close)
    return made
