"""Brings a backup back: into a server that is thrown away, and from there, where asked for, into a cache of any topology."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from caches_runtime.ops.backup import manifest
from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.backup.manifest import Manifest, Part
from caches_runtime.ops.backup.sealing import Sealing
from caches_runtime.ops.backup.store import Store
from caches_runtime.ops.backup.throwaway import Throwaway
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import LOST, Link
from caches_runtime.ops.migrate.migration import Migration
from caches_runtime.ops.migrate.target import MARKER, NAME, Target


@dataclass
class Restore:
    """One run. `folder` has room for the largest shard, twice when it is encrypted; memory holds all data."""

    store: Store
    folder: Path
    sealing: Sealing | None
    report: Callable[[str], None]
    interrupted: Callable[[], bool] = lambda: False

    def choose(self, id_: str | None) -> Manifest:
        """The backup of that name, or the newest. Raises RefusedError when there is none."""
        if id_ is not None:
            if found := manifest.read(self.store, id_):
                return found
            raise RefusedError(f"there is no complete backup {id_!r}: `caches backup list` says which there are")
        if all_ := manifest.backups(self.store):
            return all_[-1]
        raise RefusedError("there is no complete backup")

    def drill(self, chosen: Manifest) -> None:
        """Loads it and throws it away. Raises RefusedError when it is not what its manifest says."""
        with self._loaded(chosen):
            pass

    def run(self, chosen: Manifest, cache: Cache, *, force: bool, seconds: float) -> int:
        """Brings it into the cache; how many keys live there then. Raises what a migration does.

        A cache with keys is refused, or, with force, emptied once the backup is known to be whole.
        """
        if not force:
            _refuse_keys(cache)
        with self._loaded(chosen) as server:
            if force:
                self._empty(cache)
            done = Migration(server.endpoint, cache.writes, cut_over=True, report=self.report, interrupted=self.interrupted).run(seconds)
            with _target(cache) as target:
                _bring_functions(server, target)
                # The note is of a source that will be no longer.
                target.every([("DEL", MARKER)])
        return done.keys

    @contextlib.contextmanager
    def _loaded(self, chosen: Manifest) -> Iterator[Throwaway]:
        with Throwaway(chosen.engine) as server:
            for part in chosen.parts:
                self.report(f"loading {part.file} of {chosen.id}: {part.keys} keys")
                self._load(chosen, part, server)
            yield server

    def _load(self, chosen: Manifest, part: Part, server: Throwaway) -> None:
        fetched, opened = self.folder / f"{part.file}.fetched", self.folder / part.file.removesuffix(f".{chosen.encryption}")
        try:
            if self.store.download(f"{chosen.id}/{part.file}", fetched) != part.sha256:
                raise RefusedError(f"{part.file} of {chosen.id} is not what was written: its SHA-256 differs. Take another backup")
            if not chosen.encryption:
                fetched.rename(opened)
            elif self.sealing:
                self.sealing.open(fetched, opened)
            else:
                raise RefusedError(f"{chosen.id} is encrypted: give its key")
            if (keys := server.load(opened)) != part.keys:
                raise RefusedError(f"{part.file} of {chosen.id} has {keys} keys and not {part.keys}, as its manifest says")
        finally:
            fetched.unlink(missing_ok=True)
            opened.unlink(missing_ok=True)

    def _empty(self, cache: Cache) -> None:
        with _target(cache) as target:
            self.report(f"emptying {cache.writes} of {sum(target.keyspace().values())} keys")
            for link in target.links:
                link.call("FLUSHALL")


def _refuse_keys(cache: Cache) -> None:
    """Before anything is fetched; the migration looks again."""
    with _target(cache) as target:
        there = sum(target.keyspace().values())
        if there or target.marker():
            holds = f"{there} keys, which would be lost" if there else "the note of a copy that was begun"
            raise RefusedError(f"{cache.writes} holds {holds}: take an empty cache, or give --force")


def _bring_functions(server: Throwaway, target: Target) -> None:
    """Which are in every shard."""
    with Link(server.endpoint, NAME) as source:
        functions = source.call("FUNCTION", "DUMP") if source.call("FUNCTION", "LIST") else None
    for link in target.links if functions else ():
        link.call("FUNCTION", "RESTORE", functions, "REPLACE")


@contextlib.contextmanager
def _target(cache: Cache) -> Iterator[Target]:
    try:
        with Target(cache.writes, f"{NAME}{secrets.token_hex(4)}") as target:
            yield target
    except (*LOST, redis.ResponseError) as error:
        raise UnfinishedError(f"{cache.writes}: {error}") from None
