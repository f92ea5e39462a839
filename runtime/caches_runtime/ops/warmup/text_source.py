"""Entries from a text: JSON lines or CSV, in a file or behind a URL, packed with gzip or not; one line in memory at a time."""

import contextlib
import csv
import gzip
import hashlib
import io
import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx2

from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.source import MIB
from caches_runtime.ops.warmup.entries import VALUE_BYTES, Bad, Entry, Position, Source
from caches_runtime.ops.warmup.records import COLUMNS, BadRecordError, of_json, of_row

JSON, CSV = "json", "csv"
_ENDINGS = {".jsonl": JSON, ".ndjson": JSON, ".json": JSON, ".csv": CSV}
_GZIP = b"\x1f\x8b"
# What tells one text from another, with its size.
_HEAD_BYTES = 64 * 1024
# A value in base64 or with escapes takes more in a line.
_LINE_BYTES = 2 * VALUE_BYTES
_TIMEOUTS = httpx2.Timeout(30, connect=10)
# Not an answer for good: too early, too many, timed out.
_LATER = (408, 425, 429)
_Records = Iterator[tuple[Entry | Bad, Position]]


def format_of(name: str, chosen: str | None) -> str:
    """The format that was chosen, or that a name's ending says. Raises RefusedError."""
    if chosen:
        return chosen
    for ending, format_ in _ENDINGS.items():
        if name.removesuffix(".gz").endswith(ending):
            return format_
    raise RefusedError(
        f"nothing says whether the source is {JSON} or {CSV}: give the format, or a name that ends with {', '.join(_ENDINGS)}"
    )


@contextlib.contextmanager
def open_file(path: Path, chosen: str | None) -> Iterator[Source]:
    """Raises RefusedError when it can't be read."""
    format_ = format_of(path.name, chosen)
    try:
        file = path.open("rb")
    except OSError as error:
        raise RefusedError(f"{path} can't be read: {error.strerror}") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        yield _source(f"file {path}", format_, size, iter(lambda: file.read(_HEAD_BYTES), b""))


@contextlib.contextmanager
def open_url(address: str, chosen: str | None) -> Iterator[Source]:
    """Raises RefusedError or UnfinishedError when it does not answer with a text."""
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL:
        raise RefusedError("the source is not a URL") from None
    # Without what may be a secret.
    title = f"{url.scheme}://{url.netloc.decode()}{url.path}"
    format_ = format_of(url.path, chosen)
    try:
        with httpx2.stream("GET", url, follow_redirects=True, timeout=_TIMEOUTS) as response:
            if response.is_client_error and response.status_code not in _LATER:
                raise RefusedError(f"{title} answers {response.status_code} {response.reason_phrase}: check the URL, and who may read it")
            if not response.is_success:
                raise UnfinishedError(f"{title}, which answers {response.status_code} {response.reason_phrase}")
            size = response.headers.get("content-length", response.headers.get("etag", ""))
            yield _source(title, format_, size, response.iter_bytes())
    except httpx2.HTTPError as error:
        raise UnfinishedError(f"{title}: {type(error).__name__}") from None


def _source(title: str, format_: str, size: Any, chunks: Iterator[bytes]) -> Source:
    head = b""
    while len(head) < _HEAD_BYTES and (chunk := next(chunks, b"")):
        head += chunk
    stream: BinaryIO = io.BufferedReader(cast(Any, _Body(itertools.chain([head], chunks))), _HEAD_BYTES)
    if head.startswith(_GZIP):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    records = (_json_records if format_ == JSON else _csv_records)(_Lines(stream))
    return Source(title, f"{title} {size} {hashlib.sha256(head[:_HEAD_BYTES]).hexdigest()}", lambda position: records(position or 0))


class _Body(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            if not (chunk := next(self._chunks, b"")):
                return 0
            self._left = chunk
        taken = self._left[: len(buffer)]
        self._left = self._left[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


class _Lines:
    """The lines of a stream, with their ends, and how many there were; one that is too long is given as None."""

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 0
        self._stream = stream

    def __iter__(self) -> Iterator[bytes | None]:
        while line := self._line():
            self.number += 1
            if len(line) <= _LINE_BYTES:
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = self._line()
            yield None

    def _line(self) -> bytes:
        try:
            return self._stream.readline(_LINE_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RefusedError(f"after line {self.number} the gzip is damaged or cut off: {type(error).__name__}") from None


def _json_records(lines: _Lines) -> Callable[[int], _Records]:
    def read(done: int) -> _Records:
        for line in lines:
            if lines.number > done and (line is None or not line.isspace()):
                yield _json_record(line, f"line {lines.number}"), lines.number

    return read


def _csv_records(lines: _Lines) -> Callable[[int], _Records]:
    """Looks at the first line at once: what is no such file is known before anything is written."""
    csv.field_size_limit(_LINE_BYTES)
    rows = csv.reader(_decoded(lines), strict=True)

    def next_row() -> list[str] | None:
        try:
            return next(rows, None)
        except csv.Error as error:
            # A quote in the wrong place may have swallowed many rows.
            raise RefusedError(f"line {lines.number} is no CSV: {error}") from None

    names = next_row() or []
    if not {"key", "value"} <= set(names) <= set(COLUMNS) or len(set(names)) < len(names):
        raise RefusedError("the first line must name the columns: key and value, perhaps ttl, and no other")

    def read(done: int) -> _Records:
        began = lines.number + 1
        while (row := next_row()) is not None:
            if row and lines.number > done:
                yield _row_record(names, row, f"line {began}"), lines.number
            began = lines.number + 1

    return read


def _json_record(line: bytes | None, place: str) -> Entry | Bad:
    if line is None:
        return Bad(place, f"has more than {_LINE_BYTES // MIB} MiB")
    try:
        return of_json(line, place)
    except BadRecordError as error:
        return Bad(place, str(error))


def _row_record(names: list[str], row: list[str], place: str) -> Entry | Bad:
    if len(row) != len(names):
        return Bad(place, f"has {len(row)} columns, and the first line {len(names)}")
    try:
        return of_row(dict(zip(names, row, strict=True)), place)
    except BadRecordError as error:
        return Bad(place, str(error))


def _decoded(lines: _Lines) -> Iterator[str]:
    for line in lines:
        if line is None:
            raise RefusedError(f"line {lines.number} has more than {_LINE_BYTES // MIB} MiB")
        yield line.decode("utf-8-sig" if lines.number == 1 else "utf-8", errors="surrogateescape")
