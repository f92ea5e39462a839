"""Whether clouds have the same: by the stamps of the newest writes, key by key."""

from collections.abc import Iterable

from caches_runtime.multicloud.cloud import Cloud
from caches_runtime.multicloud.stamps import STAMP_LENGTH


async def different(clouds: Iterable[Cloud], only: set[bytes] | None = None) -> set[bytes]:
    """Stored keys, of all or of `only` some, whose newest writes are not the same in all clouds. Raises AwayError."""
    stamps = [await _stamps(cloud, only) for cloud in clouds]
    return {key for found in stamps for key in found if any(other.get(key) != found[key] for other in stamps)}


async def _stamps(cloud: Cloud, only: set[bytes] | None) -> dict[bytes, bytes]:
    batches = [list(only)] if only is not None else [batch async for batch in cloud.all_keys()]
    found: dict[bytes, bytes] = {}
    for batch in batches:
        found |= {key: stored[:STAMP_LENGTH] for key, stored in zip(batch, await cloud.stored(batch), strict=True) if stored}
    return found
