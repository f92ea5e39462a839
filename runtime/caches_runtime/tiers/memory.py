"""Values in the process, bounded by their number, their size and their age."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager


class Fill:
    """A read of the server under way, whose result may be kept."""

    def __init__(self, keys: Collection[bytes]) -> None:
        self.keys = set(keys)
        """Those that have not been invalidated since it began."""
        self.began = time.monotonic()


class Memory:
    """What was used longest ago goes first. For any number of threads; each method takes time by the keys it is given."""

    def __init__(self, *, entries: int = 10_000, size_bytes: int = 64 * 1024**2, seconds: float = 5.0) -> None:
        """At most so many values, so many bytes of keys and values, and each for so long after its read began.

        Raises ValueError for what is not above 0.
        """
        for name, limit in (("entries", entries), ("size_bytes", size_bytes), ("seconds", seconds)):
            if not limit > 0:
                raise ValueError(f"{name} = {limit!r}: it is more than 0")
        self._entries = entries
        self._most_bytes = size_bytes
        self._seconds = seconds
        self._held: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._fills: set[Fill] = set()
        self._lock = threading.Lock()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def get_many(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """The values that there are."""
        now = time.monotonic()
        found = {}
        with self._lock:
            for key in keys:
                if not (held := self._held.get(key)):
                    continue
                value, ends = held
                if now < ends:
                    found[key] = value
                    self._held.move_to_end(key)
                else:
                    self._remove(key)
        return found

    @contextmanager
    def filling(self, keys: Collection[bytes]) -> Iterator[Fill]:
        """Around a read of the server: notes what is invalidated meanwhile, because the read may have been earlier."""
        fill = Fill(keys)
        with self._lock:
            self._fills.add(fill)
        try:
            yield fill
        finally:
            with self._lock:
                self._fills.discard(fill)

    def keep(self, fill: Fill, values: Mapping[bytes, bytes]) -> None:
        """Holds those that have not been invalidated since the fill began; what is larger than all may be is not held."""
        ends = fill.began + self._seconds  # what was read may have been replaced at once
        with self._lock:
            for key in fill.keys & values.keys():
                size = len(key) + len(values[key])
                if size > self._most_bytes:
                    continue
                self._remove(key)
                self._held[key] = values[key], ends
                self.size_bytes += size
            while len(self._held) > self._entries or self.size_bytes > self._most_bytes:
                self._remove(next(iter(self._held)))

    def drop(self, keys: Collection[bytes]) -> None:
        """Removes them, also from fills under way."""
        with self._lock:
            for key in keys:
                self._remove(key)
            for fill in self._fills:
                fill.keys.difference_update(keys)

    def drop_where(self, changed: Callable[[bytes], bool]) -> None:
        """Removes the keys of which that is true, also from fills under way. Takes time by all that is held."""
        with self._lock:
            for key in [key for key in self._held if changed(key)]:
                self._remove(key)
            for fill in self._fills:
                fill.keys = {key for key in fill.keys if not changed(key)}

    def clear(self) -> None:
        """Removes all, also from fills under way."""
        with self._lock:
            self._held.clear()
            self.size_bytes = 0
            for fill in self._fills:
                fill.keys.clear()

    def _remove(self, key: bytes) -> None:
        if held := self._held.pop(key, None):
            self.size_bytes -= len(key) + len(held[0])
