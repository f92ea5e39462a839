"""What is stored under a key: a value with what must be known of it, or the place that somebody keeps for one."""

import enum
import math
import os
import random
import struct
import zlib
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Self

from caches_runtime.patterns.codecs import UndecodableError, pack, unpack
from caches_runtime.patterns.store import VERSION_BYTES
from caches_runtime.patterns.strategy import Strategy

# Version, mark of the form, kind, compression, begun, fresh until, kept until, leased until, seconds of the load, tags, size, checksum,
# length of the codec's name.
_HEADER = struct.Struct(f"!{VERSION_BYTES}s3sBBddddf16sIIB")
_FORM = b"\xc5P1"
NO_TAGS = bytes(16)


class Kind(enum.IntEnum):
    """Of what is under a key."""

    PLACE = 0
    """Nothing to serve: somebody loads or writes."""
    VALUE = 1
    NOTHING = 2
    """The source has nothing."""


class Step(enum.Enum):
    """What a reader does with what it found."""

    SERVE = enum.auto()
    SERVE_AND_REFRESH = enum.auto()
    WAIT = enum.auto()
    LOAD = enum.auto()


@dataclass(frozen=True)
class Entry:
    """Times are seconds since 1970, of the clock of whoever stored it."""

    version: bytes
    kind: Kind
    begun: float
    """When the load or the write of the value began."""
    fresh_until: float
    kept_until: float
    leased_until: float
    """Until then somebody loads another value."""
    load_seconds: float
    tags: bytes
    size: int = 0
    checksum: int = 0
    compression: int = 0
    codec: str = ""
    packed: bytes = b""

    @classmethod
    def place(cls, now: float, seconds: float, tags: bytes) -> Self:
        """Kept for so long for a value."""
        return cls(new_version(), Kind.PLACE, now, now, now + seconds, now + seconds, 0.0, tags)

    @classmethod
    def of(cls, value: Any, begun: float, load_seconds: float, tags: bytes, strategy: Strategy) -> Self | None:
        """For a value, or for the knowledge that there is none; None where that is not kept. Raises ValueTooLargeError."""
        if value is None:
            if strategy.negative_ttl_seconds is None:
                return None
            until = begun + strategy.jittered(strategy.negative_ttl_seconds)
            return cls(new_version(), Kind.NOTHING, begun, until, until, 0.0, load_seconds, tags)
        raw = strategy.serialise(value)
        compression, packed = pack(raw, strategy.compression, strategy.compress_above_bytes)
        until = begun + strategy.jittered(strategy.ttl_seconds)
        return cls(
            *(new_version(), Kind.VALUE, begun, until, until + strategy.stale_seconds, 0.0, load_seconds, tags),
            *(len(raw), zlib.crc32(raw), compression, strategy.codec.name, packed),
        )

    @classmethod
    def read(cls, stored: bytes) -> Self:
        """Raises UndecodableError."""
        try:
            version, form, kind, compression, begun, fresh, kept, leased, load, tags, size, checksum, length = _HEADER.unpack_from(stored)
            end = _HEADER.size + length
            if form != _FORM:
                raise UndecodableError("another form")
            codec = stored[_HEADER.size : end].decode("ascii")
            more = (size, checksum, compression, codec, stored[end:])
            return cls(version, Kind(kind), begun, fresh, kept, leased, load, tags, *more)
        except (struct.error, ValueError) as error:
            raise UndecodableError(str(error)) from error

    def stored(self) -> bytes:
        """As it is stored."""
        times = (self.begun, self.fresh_until, self.kept_until, self.leased_until, self.load_seconds)
        more = (self.tags, self.size, self.checksum, len(self.codec))
        return _HEADER.pack(self.version, _FORM, self.kind, self.compression, *times, *more) + self.codec.encode() + self.packed

    def leased(self, now: float, seconds: float) -> Self:
        """The same value, with a place for the next one."""
        return replace(self, version=new_version(), leased_until=now + seconds)

    def value(self, strategy: Strategy) -> Any:
        """Raises UndecodableError."""
        if self.kind is Kind.NOTHING:
            return None
        if self.size > strategy.max_value_bytes:
            raise UndecodableError(f"{self.size} bytes: max_value_bytes is {strategy.max_value_bytes}")
        return strategy.parse(self.codec, unpack(self.compression, self.packed, self.size, self.checksum))


def next_step(entry: Entry | None, tags: bytes, now: float, strategy: Strategy) -> Step:
    """What a reader does that found this, when its tags have these versions."""
    if entry is None or entry.tags != tags:
        return Step.LOAD
    leased = entry.leased_until > now
    if entry.kind is Kind.PLACE or now >= entry.kept_until:
        return Step.WAIT if leased else Step.LOAD
    if leased or (now < entry.fresh_until and not _early(entry, now, strategy)):
        return Step.SERVE
    return Step.SERVE_AND_REFRESH


def _early(entry: Entry, now: float, strategy: Strategy) -> bool:
    ahead = strategy.refresh_ahead * (entry.fresh_until - entry.begun)
    # Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015.
    chance = -entry.load_seconds * strategy.early_refresh * math.log(1 - random.random())  # noqa: S311
    return now + max(ahead, chance) >= entry.fresh_until


def new_version() -> bytes:
    """One that nothing else has."""
    return os.urandom(VERSION_BYTES)


def digest(versions: dict[bytes, bytes]) -> bytes:
    """What stands for tags with their versions."""
    return blake2b(b"".join(key + b" " + versions[key] for key in sorted(versions)), digest_size=16).digest() if versions else NO_TAGS
