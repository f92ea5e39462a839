"""How values become bytes: serialised by a codec, compressed where that is worth it."""

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import msgspec
import zstandard


class ValueTooLargeError(ValueError):
    """A value is larger than the strategy allows. Nothing was written."""


class UndecodableError(Exception):
    """A stored value that this strategy can't read."""


@dataclass(frozen=True)
class Codec:
    """A pair of functions. The name, 1 to 32 characters of ASCII, is stored with each value: another form needs another name."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def __post_init__(self) -> None:
        if not (self.name.isascii() and self.name.isprintable() and 1 <= len(self.name) <= 32):
            raise ValueError(f"codec {self.name!r}: its name has 1 to 32 printable characters of ASCII")


def _whole(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is not bytes: choose a codec that takes it, such as json()")
    return value


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not text: choose a codec that takes it, such as json()")
    return value.encode()


BYTES = Codec("bytes", _whole, bytes)
TEXT = Codec("text", _text, bytes.decode)


def json(kind: Any = Any) -> Codec:
    """JSON of msgspec, decoded to that type: what is built in, dataclasses, msgspec's Structs, and containers of them.

    JSON has no infinity and no NaN: a value with one is refused with ValueError, and nothing is written.
    """
    encoder = msgspec.json.Encoder()

    def encode(value: Any) -> bytes:
        encoded = encoder.encode(value)
        # As which msgspec writes them, without a word.
        if b"null" in encoded and not _is_finite(msgspec.to_builtins(value)):
            raise ValueError("JSON has no infinity and no NaN: choose a codec that has, such as msgpack()")
        return encoded

    return Codec("json", encode, msgspec.json.Decoder(kind).decode)


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_is_finite, value))


def msgpack(kind: Any = Any) -> Codec:
    """MessagePack of msgspec, decoded to that type."""
    return Codec("msgpack", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(kind).decode)


MSGPACK = msgpack()

COMPRESSIONS: Mapping[str, tuple[int, Callable[[bytes], bytes], Callable[[bytes, int], bytes]]] = {
    "none": (0, lambda raw: raw, lambda packed, _: packed),
    "zstd": (1, lambda raw: zstandard.ZstdCompressor().compress(raw), lambda packed, size: _unzstd(packed, size)),
    "lz4": (
        2,
        lambda raw: lz4.block.compress(raw, store_size=False),
        lambda packed, size: lz4.block.decompress(packed, uncompressed_size=size),
    ),
}
"""By name: the number in stored values, to and from. Sizes are of what comes out."""
_UNPACKED_BY = {number: unpack for number, _, unpack in COMPRESSIONS.values()}


def _unzstd(packed: bytes, size: int) -> bytes:
    # A frame says its own size, which must not be taken on trust.
    if zstandard.frame_content_size(packed) != size:
        raise zstandard.ZstdError("the size is another than was noted")
    return zstandard.ZstdDecompressor().decompress(packed)


def pack(raw: bytes, name: str, above_bytes: int) -> tuple[int, bytes]:
    """The number of the compression, and the value so compressed; as it is where it is small or does not shrink."""
    if len(raw) > above_bytes:
        number, compress, _ = COMPRESSIONS[name]
        if len(packed := compress(raw)) < len(raw):
            return number, packed
    return 0, raw


def unpack(number: int, packed: bytes, size: int, checksum: int) -> bytes:
    """What was packed. Raises UndecodableError."""
    try:
        raw = _UNPACKED_BY[number](packed, size)
    except (KeyError, zstandard.ZstdError, lz4.block.LZ4BlockError) as error:
        raise UndecodableError(f"compression {number}: {error}") from error
    if len(raw) != size or zlib.crc32(raw) != checksum:
        raise UndecodableError("the value is not what was stored")
    return raw
