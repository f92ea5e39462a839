"""Makes one backup: reads each shard, verifies what was read, encrypts and sends it, and calls it a backup once all is there."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from caches_runtime.ops.backup import manifest, retention, shards, stream, throwaway
from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.backup.manifest import Manifest, Part
from caches_runtime.ops.backup.retention import Retention
from caches_runtime.ops.backup.sealing import METHOD, Sealing
from caches_runtime.ops.backup.shards import Shard
from caches_runtime.ops.backup.store import Store
from caches_runtime.ops.migrate.errors import UnfinishedError


@dataclass
class Backup:
    """One run. `folder` has room for the largest shard, twice when it is encrypted."""

    cache: Cache
    store: Store
    folder: Path
    sealing: Sealing | None
    report: Callable[[str], None]
    interrupted: Callable[[], bool] = lambda: False

    def run(self) -> Manifest:
        """Raises RefusedError, UnfinishedError or InterruptedMigrationError; then there is no new backup."""
        started = time.time()
        self.store.check()
        found = shards.find(self.cache)
        began = datetime.fromtimestamp(started, UTC).strftime(manifest.TIME_FORMAT)
        id_ = f"{began}-{secrets.token_hex(4)}"
        parts = [self._part(id_, shard) for shard in found]
        if _layout(shards.find(self.cache)) != _layout(found):
            raise UnfinishedError("slots to stay where they are: some have moved while their shards were read")
        made = Manifest(
            id=id_,
            engine=self.cache.engine,
            mode=self.cache.mode,
            started=started,
            finished=time.time(),
            encryption=METHOD if self.sealing else "",
            parts=tuple(parts),
        )
        manifest.write(self.store, made)
        return made

    def prune(self, keep: Retention) -> list[str]:
        """Removes what is to be kept no longer, and what runs that were ended have left."""
        now, complete = time.time(), manifest.backups(self.store)
        known = {each.id for each in complete}
        gone = [each.id for each in retention.superfluous(complete, keep, now)]
        left = [id_ for id_ in self.store.folders() if id_ not in known and retention.abandoned(id_, now)]
        for id_ in (*gone, *left):
            retention.remove(self.store, id_)
        return gone

    def _part(self, id_: str, shard: Shard) -> Part:
        file = self.folder / f"{shard.name}.rdb"
        sealed = file.with_suffix(f".rdb.{METHOD}") if self.sealing else file
        try:
            self.report(f"reading {shard.endpoint}, a {shard.role} ({shard.version})")
            stream.read(shard.endpoint, file, self.report, self.interrupted)
            self.report(f"verifying {file.stat().st_size // stream.MIB} MiB")
            keys = throwaway.count(self.cache.engine, file)
            if self.sealing:
                self.sealing.seal(file, sealed)
            self.report(f"sending {keys} keys")
            digest = self.store.upload(sealed, f"{id_}/{sealed.name}")
            return Part(
                file=sealed.name,
                node_id=shard.node_id,
                slots=shard.slots,
                read_from=f"{shard.endpoint} ({shard.role})",
                version=shard.version,
                keys=keys,
                bytes=sealed.stat().st_size,
                sha256=digest,
            )
        finally:
            file.unlink(missing_ok=True)
            sealed.unlink(missing_ok=True)


def _layout(found: list[Shard]) -> set[tuple[str, str]]:
    return {(shard.node_id, shard.slots) for shard in found}
