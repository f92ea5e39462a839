"""What the tiers count, by the name that their link was given."""

from prometheus_client import Counter, Gauge

_BY = ["cache"]

READS = Counter("caches_tier_reads", "Keys that were read, by where they were found: memory, server, nowhere.", [*_BY, "found"])
INVALIDATIONS = Counter("caches_tier_invalidations", "Keys that the server has said are another value's now.", _BY)
LINK_UP = Gauge("caches_tier_link_up", "1 while invalidations come, and the memory is read.", _BY)
LINK_LOSSES = Counter("caches_tier_link_losses", "How often that ended, and the memory was emptied.", _BY)
MEMORY_BYTES = Gauge("caches_tier_memory_bytes", "Keys and values that the memory holds.", _BY)
