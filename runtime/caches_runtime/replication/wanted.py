"""Which keys are replicated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache

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
    return any(_compiled(pattern).match(key) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[bytes]:
    # Any bytes are text so.
    return re.compile(translate(pattern.encode().decode("latin-1")).encode("latin-1"))
