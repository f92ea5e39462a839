"""What clients send to Redis and Valkey, as far as it takes to see their logins: commands as arrays of bulk strings."""

from __future__ import annotations

from collections.abc import Callable

_LOGINS = (b"AUTH", b"HELLO")
_LONGEST_NAME = max(map(len, _LOGINS))
# Of a command that logs in; tokens have some thousand bytes.
_LONGEST_LOGIN = 65_536


class Requests:
    """Those of one client. `password_of` is given user and password of a login, and returns the password for the server.

    All else is passed on as it comes, and of values nothing is kept. So is what is typed in one line, and what the server will refuse
    as no command.
    """

    def __init__(self, password_of: Callable[[bytes, bytes], bytes]) -> None:
        self._password_of = password_of
        self._held = bytearray()
        # To come of the command that has begun: words, and bytes of one word, with its line's end.
        self._words = 0
        self._bytes = 0

    def feed(self, data: bytes) -> bytes:
        """What can be passed on after these have come."""
        self._held += data
        passed = bytearray()
        while piece := self._next():
            passed += piece
        return bytes(passed)

    def _next(self) -> bytes:
        """The next piece; empty when more has to come for it."""
        held = self._held
        if self._bytes:
            piece = self._take(min(self._bytes, len(held)))
            self._bytes -= len(piece)
            return piece
        end = held.find(b"\n") + 1
        if not end:
            return self._take(len(held) if len(held) > _LONGEST_LOGIN else 0)
        if self._words:
            self._words -= 1
            self._bytes = _number(b"$", held[:end]) + 2
            return self._take(end)
        words = _number(b"*", held[:end])
        login = self._login(words, end)
        if login is None:
            self._words = max(words, 0)
            return self._take(end)
        return self._exchanged(login) if login else b""

    def _login(self, words: int, at: int) -> list[bytes] | None:
        """The words of a login, which begin there; empty while some are to come, None when it is another command."""
        held = self._held
        found: list[bytes] = []
        for _ in range(words):
            start = held.find(b"\n", at) + 1
            size = _number(b"$", held[at:start]) if start else 0
            at = (start or len(held)) + size + 2
            if size < 0 or (not found and size > _LONGEST_NAME) or at > _LONGEST_LOGIN:
                return None
            if not start or len(held) < at:
                return []
            found.append(bytes(held[start : at - 2]))
            if found[0].upper() not in _LOGINS:
                return None
        if found:
            self._take(at)
        return found or None

    def _exchanged(self, words: list[bytes]) -> bytes:
        # AUTH user password; HELLO version … AUTH user password …
        place = next((at for at, word in enumerate(words) if word.upper() == b"AUTH"), len(words))
        if place + 2 < len(words):
            words[place + 2] = self._password_of(words[place + 1], words[place + 2])
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken


def _number(mark: bytes, line: bytearray) -> int:
    """What a line says after its mark; -1 where that is no size."""
    try:
        return max(int(line[1:]), -1) if line.startswith(mark) else -1
    except ValueError:
        return -1
