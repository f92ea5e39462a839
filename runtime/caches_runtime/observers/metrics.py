"""What the observers count, by the name that each was given."""

from prometheus_client import Counter, Gauge

_BY = ["observer"]

CHANGES = Counter("caches_observer_changes", "Changes that were told: keys, prefixes, tags, everything.", [*_BY, "what"])
UP = Gauge("caches_observer_up", "1 while all that changes is heard.", _BY)
LOSSES = Counter("caches_observer_losses", "How often that ended, or failed for another reason than before.", _BY)
MALFORMED = Counter("caches_observer_malformed", "Messages that could not be understood.", _BY)
