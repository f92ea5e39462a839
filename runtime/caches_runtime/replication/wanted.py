"""Which keys are replicated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate

from caches_runtime.replication.site import RESERVED


@dataclass(frozen=True)
class Wanted:
    """By patterns of the shell's kind: `*`, `?`, `[abc]`."""

    include: tuple[str, ...] = ()
    """One of which a key matches; none for all keys."""
    exclude: tuple[str, ...] = ()
    """None of which it matches."""

    def __call__(self, key: bytes) -> bool:
        """Whether the key is one of them."""
        if key.startswith(RESERVED):
            return False
        return (not self.include or _matches(self.include, key)) and not (self.exclude and _matches(self.exclude, key))

    def of(self, keys: Sequence[bytes]) -> list[bytes]:
        """Those that are."""
        return list(filter(self, keys))


def _matches(patterns: tuple[str, ...], key: bytes) -> bool:
    # Any bytes are text so.
    return any(re.match(translate(pattern), key.decode("latin-1")) for pattern in (each.encode().decode("latin-1") for each in patterns))
