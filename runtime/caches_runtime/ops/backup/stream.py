"""Reads a server's data as a new replica does: a snapshot of one moment, in the format of its files, over the connection alone.

No file of the server's is needed, nothing is configured, and clients wait no longer than for the fork of a BGSAVE.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import redis

from caches_runtime.ops.backup.shards import NAME
from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import LOST, Endpoint

MIB = 1024 * 1024
_CHUNK = 256 * 1024
# A server that has nothing to send yet sends a line break every repl-ping-replica-period, 10 s by default.
_SILENCE_SECONDS = 60.0
_MARK = 40
REPORT_SECONDS = 5.0


def read(endpoint: Endpoint, file: Path, report: Callable[[str], None], interrupted: Callable[[], bool]) -> None:
    """Writes the snapshot to the file. Raises RefusedError, UnfinishedError or InterruptedMigrationError; then the file is not whole."""
    progress = _Progress(str(endpoint), report, interrupted)
    try:
        connection: Any = endpoint.connect(NAME, socket_timeout=_SILENCE_SECONDS)
        try:
            # Without a file of its own between; and nothing after the snapshot. Versions that do not know one of the two go on without.
            for option in ("capa", "eof"), ("rdb-only", "1"):
                connection.send_command("REPLCONF", *option)
                _lenient(connection)
            connection.send_command("SYNC")
            with file.open("wb") as output:
                _receive(connection._sock, output, progress)
        finally:
            connection.disconnect()
    except redis.AuthenticationError as error:
        raise RefusedError(f"{endpoint} does not let in: {error}; check the connection's username and password") from None
    except LOST as error:
        raise UnfinishedError(f"{endpoint}, which broke off after {progress.bytes // MIB} MiB: {error or type(error).__name__}") from None


class _Progress:
    def __init__(self, what: str, report: Callable[[str], None], interrupted: Callable[[], bool]) -> None:
        self.bytes = 0
        self._what, self._report, self._interrupted = what, report, interrupted
        self._said = time.monotonic()

    def add(self, count: int) -> None:
        self.bytes += count
        if self._interrupted():
            raise InterruptedMigrationError
        if time.monotonic() - self._said > REPORT_SECONDS:
            self._said = time.monotonic()
            self._report(f"read {self.bytes // MIB} MiB of {self._what}")


def _lenient(connection: Any) -> None:
    try:
        connection.read_response()
    except redis.ResponseError:
        return


def _receive(socket: Any, output: BinaryIO, progress: _Progress) -> None:
    header, rest = _header(socket)
    if header.startswith(b"-"):
        reason = header[1:].decode(errors="replace")
        if reason.startswith(("NOMASTERLINK", "LOADING", "MASTERDOWN")):
            raise redis.ConnectionError(reason)
        advice = "a user needs +sync and +replconf; a managed service does not allow it: use its own snapshots"
        raise RefusedError(f"the server can't be read as by a replica: {reason}; {advice}")
    if header.startswith(b"$EOF:"):
        _until_mark(socket, output, header[5:], rest, progress)
    else:
        _of_length(socket, output, int(header[1:]), rest, progress)


def _header(socket: Any) -> tuple[bytes, bytes]:
    """The line that says how the end is known, and what was read after it."""
    buffer = b""
    while b"\r\n" not in (buffer := buffer.lstrip(b"\n")):
        buffer += _some(socket)
    header, _, rest = buffer.partition(b"\r\n")
    return header, rest


def _until_mark(socket: Any, output: BinaryIO, mark: bytes, rest: bytes, progress: _Progress) -> None:
    held = rest
    # The mark is random and the last thing sent.
    while held[-_MARK:] != mark:
        output.write(held[:-_MARK])
        progress.add(len(held[:-_MARK]))
        held = held[-_MARK:] + _some(socket)
    output.write(held[:-_MARK])


def _of_length(socket: Any, output: BinaryIO, length: int, rest: bytes, progress: _Progress) -> None:
    left = length
    while True:
        output.write(rest[:left])
        left -= len(rest[:left])
        if not left:
            return
        progress.add(len(rest))
        rest = _some(socket)


def _some(socket: Any) -> bytes:
    received: bytes = socket.recv(_CHUNK)
    if not received:
        raise redis.ConnectionError("the connection was closed before the end of the snapshot")
    return received
