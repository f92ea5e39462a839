"""Which backups are kept. Never is the newest one removed, however old it is: it may be all that there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from caches_runtime.ops.backup.manifest import FILE, TIME_FORMAT, Manifest
from caches_runtime.ops.backup.store import Store

DAY_SECONDS = 24 * 3600
# An upload that takes longer would lose its files.
_ABANDONED_SECONDS = DAY_SECONDS


@dataclass(frozen=True)
class Retention:
    """How many are kept at most, and for how long; None for as many, or as long, as there are."""

    count: int | None = None
    days: float | None = None


def superfluous(found: Sequence[Manifest], retention: Retention, now: float) -> list[Manifest]:
    """Those of the complete backups, the oldest first, that go."""
    newest_first = found[::-1]
    kept = newest_first[: retention.count] if retention.count else newest_first
    if retention.days is not None:
        kept = [each for each in kept if now - each.finished <= retention.days * DAY_SECONDS]
    keep = {each.id for each in kept} | {each.id for each in newest_first[:1]}
    return [each for each in newest_first if each.id not in keep]


def abandoned(id_: str, now: float) -> bool:
    """Whether a folder without a manifest is so old that nobody is still writing to it."""
    try:
        began = datetime.strptime(id_.partition("-")[0], TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return False  # nothing of ours
    return now - began.timestamp() > _ABANDONED_SECONDS


def remove(store: Store, id_: str) -> None:
    """Removes a backup, its manifest first: half removed it is one no longer."""
    manifest = f"{id_}/{FILE}"
    store.remove(*sorted(store.files(id_), key=lambda path: path != manifest))
