"""The settings of a cache: in which form values are stored, how long they are served, how large they may be."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from caches_runtime.patterns.codecs import COMPRESSIONS, MSGPACK, Codec, UndecodableError, ValueTooLargeError


@dataclass(frozen=True)
class Strategy:
    """Raises ValueError, naming the setting, for one that is out of its limits.

    Two programs may use one cache with different strategies: what is stored says in which form it is. What a strategy can't read is a miss.
    """

    ttl_seconds: float = 300.0
    """How old a value may be that is served as fresh, counted from when its load or its write began. From 1 second to 30 days."""
    ttl_jitter: float = 0.1
    """The share of that by which it is shortened at random, so that values stored together don't expire together. 0 to 0.5."""
    stale_seconds: float = 0.0
    """For how long after that a value is still served, while one reader loads another in the background."""
    negative_ttl_seconds: float | None = None
    """How long it is remembered that the source has nothing, None. Not at all by default."""
    refresh_ahead: float = 0.0
    """The share of the time to live, at its end, in which a read loads another value in the background. 0 to 0.9."""
    early_refresh: float = 0.0
    """XFetch's beta: the larger, the earlier one reader at random does so; the longer a load takes, the earlier. 1 is usual, 0 never."""
    load_seconds: float = 10.0
    """How long others wait for one that loads, before they load themselves. Its place is kept for so long."""
    rest_seconds: float = 1.0
    """How long a cache that failed is left alone."""
    codec: Codec = MSGPACK
    also_reads: Sequence[Codec] = ()
    """Codecs of values that were stored by other strategies."""
    compression: Literal["none", "zstd", "lz4"] = "zstd"
    compress_above_bytes: int = 1024
    max_value_bytes: int = 1_000_000
    """Of a value that is serialised, before compression. Memcached's own limit is 1 MiB with the key, by default."""

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "ttl_seconds": (1, 30 * 86_400),
            "ttl_jitter": (0, 0.5),
            "stale_seconds": (0, 30 * 86_400),
            "refresh_ahead": (0, 0.9),
            "early_refresh": (0, 100),
            "load_seconds": (0.1, 3600),
            "rest_seconds": (0, 3600),
            "compress_above_bytes": (0, 1 << 30),
            "max_value_bytes": (1, 1 << 29),
            **({} if self.negative_ttl_seconds is None else {"negative_ttl_seconds": (1, 30 * 86_400)}),
        }
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} = {getattr(self, name)}: must be from {least} to {most}")
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression = {self.compression!r}: must be one of {', '.join(COMPRESSIONS)}")

    @property
    def longest_seconds(self) -> float:
        """After so long nothing that was stored is served any more."""
        return max(self.ttl_seconds + self.stale_seconds, self.negative_ttl_seconds or 0)

    def jittered(self, seconds: float) -> float:
        """A time to live somewhat below."""
        return seconds * (1 - self.ttl_jitter * random.random())  # noqa: S311

    def serialise(self, value: Any) -> bytes:
        """Raises ValueTooLargeError, and what the codec does."""
        raw = self.codec.encode(value)
        if len(raw) > self.max_value_bytes:
            raise ValueTooLargeError(
                f"a value of {len(raw)} bytes: max_value_bytes is {self.max_value_bytes}; store less under one key, "
                "or raise it within the cache's own limit"
            )
        return raw

    def parse(self, name: str, raw: bytes) -> Any:
        """The value. Raises UndecodableError."""
        for codec in (self.codec, *self.also_reads):
            if codec.name == name:
                try:
                    return codec.decode(raw)
                except Exception as error:
                    raise UndecodableError(f"codec {name}: {type(error).__name__}") from error
        raise UndecodableError(f"codec {name}: not among those that this strategy reads")
