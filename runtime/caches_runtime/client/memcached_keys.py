"""Keys and times to live, in the form that Memcached takes."""

import re
import time
from hashlib import blake2b

Key = str | bytes

_LEGAL = re.compile(rb"[^\x00-\x20\x7f]{1,250}")
_HASHED = b"~blake2b:"
# What is longer is taken for a date.
_RELATIVE_SECONDS = 30 * 24 * 3600


def legal(key: Key) -> bytes:
    """The key that a server sees. A text is its UTF-8, so "k" and b"k" are one key.

    What Memcached takes, 1 to 250 bytes without spaces and control characters, stays as it is. Anything else, and what looks like a hash
    of ours, becomes a hash of 256 bits: no two keys meet.
    """
    raw = key.encode(errors="surrogatepass") if isinstance(key, str) else key
    if _LEGAL.fullmatch(raw) and not raw.startswith(_HASHED):
        return raw
    return _HASHED + blake2b(raw, digest_size=32).hexdigest().encode()


def expiry(seconds: int | None) -> int:
    """What stands for a time to live in whole seconds, or for none. Raises ValueError below 1."""
    if seconds is None:
        return 0
    if seconds < 1:
        raise ValueError(f"ttl_seconds = {seconds}: must be at least 1, or None for an item that does not expire")
    return seconds if seconds <= _RELATIVE_SECONDS else int(time.time()) + seconds
