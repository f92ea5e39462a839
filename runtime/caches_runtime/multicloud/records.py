"""How a value is kept in each cloud: with the stamp of its write, and when it ends. Deleted keys are kept too, for a while."""

import math
import re
import zlib
from dataclasses import dataclass

from caches_runtime.multicloud.errors import RefusedError
from caches_runtime.multicloud.stamps import STAMP_LENGTH

KEY_BYTES = 512
# Keys are in so many groups, each with a marker in the same slot of a cluster: one command sees a value and whether its server is whole.
_GROUPS = 64
_VALUE = ":v:"
_EXPIRY = slice(STAMP_LENGTH, STAMP_LENGTH + 12)
_KIND = STAMP_LENGTH + 12
_HEADER = _KIND + 1


@dataclass(frozen=True)
class Record:
    """What a key is since a write: a value, or nothing."""

    stamp: str
    value: bytes | None
    """None when the key was deleted."""
    expires: int
    """Milliseconds since 1970 by the writer's clock; 0 for never."""

    @classmethod
    def decode(cls, stored: bytes) -> "Record":
        """From what is stored."""
        deleted = stored[_KIND : _KIND + 1] == b"d"
        return cls(stored[:STAMP_LENGTH].decode(), None if deleted else stored[_HEADER:], int(stored[_EXPIRY], 16))

    def encode(self) -> bytes:
        """What is stored."""
        header = f"{self.stamp}{self.expires:012x}{'d' if self.value is None else 'v'}"
        return header.encode() + (self.value or b"")

    def current(self, now_milliseconds: int) -> bytes | None:
        """The value at a time."""
        return None if self.expires and self.expires <= now_milliseconds else self.value

    def kept_milliseconds(self, now_milliseconds: int, tombstone_milliseconds: int) -> int:
        """How long servers have to keep it; 0 for ever, -1 no more.

        Longer than the value lives: until no cloud can have an older one, which would be read instead.
        """
        if self.value is not None and not self.expires:
            return 0
        ends = self.expires or int(self.stamp[:12], 16)
        left = ends + tombstone_milliseconds - now_milliseconds
        return left if left > 0 else -1


@dataclass(frozen=True)
class Names:
    """What is where in each cloud, of the caches of one name."""

    cache: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", self.cache):
            raise RefusedError(f"name = {self.cache!r}: must be 1 to 60 letters, digits, or one of _.-")

    @property
    def pattern(self) -> str:
        """All records."""
        return f"multicloud:{self.cache}:*{_VALUE}*"

    @property
    def filling(self) -> str:
        """Who fills the cloud."""
        return f"multicloud:{self.cache}:{{g0}}:filling"

    def record(self, key: bytes) -> bytes:
        """Where a key's record is."""
        return f"multicloud:{self.cache}:{{{_group(key)}}}{_VALUE}".encode() + key

    def marker(self, key: bytes) -> str:
        """The marker of the key's group."""
        return self._marker(_group(key))

    def markers(self) -> list[str]:
        """All of them."""
        return [self._marker(f"g{number}") for number in range(_GROUPS)]

    def _marker(self, group: str) -> str:
        return f"multicloud:{self.cache}:{{{group}}}:marker"


def key_of(stored: bytes) -> bytes:
    """The key whose record that is."""
    return stored.split(_VALUE.encode(), 1)[1]


def _group(key: bytes) -> str:
    return f"g{zlib.crc32(key) % _GROUPS}"


def normal_key(key: str | bytes) -> bytes:
    """A key as bytes. Raises RefusedError for one that can't be."""
    if not isinstance(key, str | bytes):
        raise RefusedError(f"a key is text or bytes, and no {type(key).__name__}")
    normal = key.encode() if isinstance(key, str) else key
    if not 1 <= len(normal) <= KEY_BYTES:
        raise RefusedError(f"a key has 1 to {KEY_BYTES} bytes, and this one {len(normal)}: use a digest of it")
    if any(byte < 32 or byte == 127 for byte in normal):
        raise RefusedError(f"the key {normal[:60]!r} has a control character, which a key may not have")
    return normal


def expiry(ttl_seconds: float | None, now_milliseconds: int) -> int:
    """When a value ends that lives so long; 0 for never. Raises RefusedError."""
    if ttl_seconds is None:
        return 0
    if isinstance(ttl_seconds, bool) or not isinstance(ttl_seconds, int | float) or not math.isfinite(ttl_seconds) or ttl_seconds <= 0:
        raise RefusedError(f"ttl_seconds = {ttl_seconds!r}: must be a number above 0, or None for ever")
    return now_milliseconds + max(1, int(ttl_seconds * 1000))


def refuse_value(value: bytes, max_value_bytes: int) -> None:
    """Raises RefusedError for what can't be a value."""
    if not isinstance(value, bytes):
        raise RefusedError(f"a value is bytes, and no {type(value).__name__}")
    if len(value) > max_value_bytes:
        raise RefusedError(f"the value has {len(value)} bytes, and max_value_bytes = {max_value_bytes}: store less, or allow more")
