"""What the patterns count, in prometheus-client's default registry, by `cache`: the name of the namespace."""

from prometheus_client import Counter, Gauge, Histogram

_BY = ["cache"]
HITS = Counter("caches_pattern_hits", "Reads that were served from the cache.", _BY)
MISSES = Counter("caches_pattern_misses", "Reads that found nothing to serve.", _BY)
STALE = Counter("caches_pattern_stale", "Hits past the time to live.", _BY)
NEGATIVE = Counter("caches_pattern_negative_hits", "Hits that say that the source has nothing.", _BY)
WAITS = Counter("caches_pattern_waits", "Reads that waited for a load of somebody else.", _BY)
LOADS = Counter("caches_pattern_loads", "Calls of the source.", [*_BY, "outcome"])
LOAD_SECONDS = Histogram("caches_pattern_load_seconds", "How long calls of the source took.", _BY)
OVERTAKEN = Counter("caches_pattern_overtaken", "Loaded values that were not stored, because of a write or an invalidation meanwhile.", _BY)
FAILURES = Counter("caches_pattern_cache_failures", "Calls of the cache that failed.", _BY)
UNDECODABLE = Counter("caches_pattern_undecodable", "Stored values that could not be read.", _BY)
TOO_LARGE = Counter("caches_pattern_too_large", "Loaded values that were too large to be stored.", _BY)
RAW_BYTES = Counter("caches_pattern_raw_bytes", "Bytes of values that were stored, before compression.", _BY)
STORED_BYTES = Counter("caches_pattern_stored_bytes", "The same after compression.", _BY)
OWED = Gauge("caches_pattern_owed_invalidations", "Invalidations that have still to be carried out.", _BY)
QUEUE_LENGTH = Gauge("caches_write_behind_length", "Writes that the source has not got yet.", _BY)
QUEUE_AGE = Gauge("caches_write_behind_age_seconds", "How old the oldest of them is.", _BY)
SET_ASIDE = Gauge("caches_write_behind_set_aside", "Writes that the source refused too often.", _BY)
