"""Names under which a cache stores its values."""

import re
from dataclasses import dataclass
from hashlib import blake2b

Key = str | bytes
# What Memcached takes, and what shows whole in any tool.
_LEGAL = re.compile(rb"[^\x00-\x20\x7f]+")
MAX_BYTES = 250
"""Of a key with its namespace: Memcached's limit."""


@dataclass(frozen=True)
class Namespace:
    """Prefix of the keys of one cache. Another `version` sees nothing of what was stored under the first: for a changed form of values.

    `clearable` lets all of it be invalidated at once, for one more key in each read.
    """

    name: str
    version: int = 1
    clearable: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.name):
            raise ValueError(f"namespace {self.name!r}: must be 1 to 64 letters, digits, '_', '.' or '-'")
        if self.version < 0:
            raise ValueError(f"version = {self.version}: must not be below 0")

    def key(self, key: Key) -> bytes:
        """What stands for a key; a text is its UTF-8, so "k" and b"k" are one. Raises ValueError for what no cache could take."""
        return self._wire(b"k", key)

    def tag(self, tag: Key) -> bytes:
        """What stands for a tag."""
        return self._wire(b"t", tag)

    @property
    def everything(self) -> bytes:
        """What stands for all of it."""
        return self._wire(b"n", b"all")

    def _wire(self, kind: bytes, key: Key) -> bytes:
        raw = key.encode() if isinstance(key, str) else key
        wire = b"%b:%d:%b:%b" % (self.name.encode(), self.version, kind, raw)
        if not _LEGAL.fullmatch(raw):
            raise ValueError(f"key {key!r}: must not be empty, nor have spaces or control characters; use `hashed` for any text")
        if len(wire) > MAX_BYTES:
            raise ValueError(f"a key of {len(wire)} bytes with its namespace: at most {MAX_BYTES}; use `hashed` for a longer one")
        return wire


def hashed(key: Key) -> bytes:
    """A legal key for any text or bytes: a hash of 256 bits, so that no two meet."""
    return blake2b(key.encode(errors="surrogatepass") if isinstance(key, str) else key, digest_size=32).hexdigest().encode()
