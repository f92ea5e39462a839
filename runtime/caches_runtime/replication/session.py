"""All sites while the connections to them last: whether they may be replicated, and who tells of their changes."""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import redis

from caches_runtime.ops.migrate.errors import RefusedError
from caches_runtime.ops.migrate.link import Link
from caches_runtime.replication import events
from caches_runtime.replication.backlog import Backlog
from caches_runtime.replication.metrics import Metrics
from caches_runtime.replication.notes import Notes
from caches_runtime.replication.settings import Settings
from caches_runtime.replication.site import PROBE, Place, Site
from caches_runtime.replication.tracking import Tracker, track

_MARKER_SECONDS = 60
_PING_SECONDS = 1.0


class Session:
    """Of one attempt. Everything in it ends with `closing`."""

    def __init__(
        self, places: Sequence[Place], settings: Settings, notes: Notes, report: Callable[[str], None], closing: ExitStack
    ) -> None:
        """Raises RefusedError, redis.AuthenticationError, or one of LOST."""
        self._places, self._settings, self._notes, self._report, self._closing = places, settings, notes, report, closing
        self.sites = [closing.enter_context(Site(place)) for place in places]
        self.field_expiry = all(site.field_expiry for site in self.sites)
        """Whether all know fields of hashes that expire."""
        self._lost: list[set[Link]] = [set() for _ in self.sites]
        self._listeners: list[events.Listener | Tracker] = []
        self._pinged = 0.0

    def listen(self, backlog: Backlog, metrics: Metrics) -> None:
        """Finds out what was lost since the last session, and hears of changes from now on."""
        self._lost = [self._lost_links(number) for number in range(len(self.sites))]
        for number, site in enumerate(self.sites[:1] if self._settings.leader else self.sites):
            self._listen(number, site, backlog, metrics)

    def lost(self, key: bytes) -> list[int]:
        """Sites that have lost all that was where the key is."""
        if not any(self._lost):
            return []
        return [number for number, links in enumerate(self._lost) if links and self.sites[number].link_of(key) in links]

    def note_sizes(self) -> None:
        """Says that all sites are whole."""
        self._lost = [set() for _ in self.sites]
        for number, site in enumerate(self.sites):
            self._notes.note_shards(number, {shard: (run_id, site.size(shard)) for shard, run_id in site.run_ids().items()})

    def check(self) -> None:
        """Raises one of LOST when there is one no longer, also when there is nothing to do."""
        for listener in self._listeners:
            if listener.lost:
                raise listener.lost
        if time.monotonic() - self._pinged > _PING_SECONDS:
            for site in self.sites:
                for link in site.links:
                    link.call("PING")
            self._pinged = time.monotonic()

    def refuse(self) -> None:
        """Raises RefusedError when the sites are not to be replicated so, before anything is changed."""
        for number, site in enumerate(self.sites):
            for other in self.sites[:number]:
                ids = set(site.run_ids().values()) & set(other.run_ids().values()) - {""}
                if ids:
                    raise RefusedError(f"{site.name} and {other.name} are the same server: a cache can't be replicated onto itself")
        filled = [site for site in self.sites if site.has_keys()]
        harmed = [site.name for site in filled if not (self._settings.leader and site is self.sites[0])]
        if not self._settings.leader and len(filled) < 2:
            harmed = []
        if harmed and not self._notes.began and not self._settings.into_non_empty:
            raise RefusedError(f"{' and '.join(harmed)} have keys, which could be overwritten: take empty caches, or give --into-non-empty")
        for site in self.sites[1:]:
            self._refuse_itself(site)

    def check_topology(self) -> None:
        """Raises redis.ConnectionError when others than before are the masters."""
        for place, site in zip(self._places, self.sites, strict=True):
            if not site.leads() or (site.mode != "standalone" and site.moved(place)):
                raise redis.ConnectionError(f"{site.name} has other masters")

    def _refuse_itself(self, site: Site) -> None:
        """By a note that is removed at once: servers behind an address may hide what they are."""
        marker = PROBE + secrets.token_hex(8).encode()
        reply = site.each([("SET", marker, "1", "EX", _MARKER_SECONDS)])[0]
        if isinstance(reply, Exception):
            raise reply
        try:
            for other in self.sites:
                if other is not site and other.each([("EXISTS", marker)])[0] == 1:
                    raise RefusedError(f"{site.name} and {other.name} are the same cache: it can't be replicated onto itself")
        finally:
            site.each([("DEL", marker)])

    def _listen(self, number: int, site: Site, backlog: Backlog, metrics: Metrics) -> None:
        # Of these, those that turn out to be of no use are closed with the others.
        heard = events.subscribe(site, number, backlog, self._settings.wanted, self._closing)
        listeners: Sequence[events.Listener | Tracker] = heard
        missing = events.missing(site, heard) if heard else ["all: the user may not PSUBSCRIBE"]
        told = not missing
        if missing:
            late = f"its changes are found by sweeps only, every {self._settings.sweep_seconds:g} s and the time of one"
            if trackers := track(site, number, backlog, self._settings.wanted, self._closing):
                listeners, told, late = trackers, True, "CLIENT TRACKING tells of changes"
            self._report(f"{site.name} has no keyspace events ({', '.join(missing)}): {events.SETTING}; until then {late}")
        elif missing is None:
            self._report(f"{site.name} may not be written to, so nobody knows whether it has keyspace events: {events.SETTING}")
        self._listeners += listeners
        metrics.events.labels(site.name).set(told)

    def _lost_links(self, number: int) -> set[Link]:
        """Masters that are other processes than before and have lost their data, rather than their keys to clients that delete."""
        site, known = self.sites[number], self._notes.shards(number)
        lost, now = set(), {}
        for shard, run_id in site.run_ids().items():
            size = site.size(shard)
            before, keys = known.get(shard, (run_id, 0))
            if before != run_id and 2 * size < keys:
                lost.add(site.servers.by_slot[shard])
                self._report(f"{site.name} has lost its data: {size} keys instead of {keys}; what is absent there was not deleted")
            else:
                now[shard] = (run_id, size)
        self._notes.note_shards(number, now)
        return lost
