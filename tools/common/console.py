"""What a person reads while tools work: progress lines, tables, errors that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


class Failure(Exception):
    """Something the person can act on: what was wrong, and what to do. Printed without a traceback."""


def _coloured() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ


def say(text: str) -> None:
    """One line of progress on standard error; standard output is for results."""
    mark = "\033[36m▸\033[0m" if _coloured() else ">"
    print(f"{mark} {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announces work and, when it is done, how long it took (unless that was under a second)."""
    say(f"{text} …")
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    if seconds >= 1:
        say(f"{text}: done in {seconds:.0f} s")


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """Left-aligned columns, as kubectl prints them."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def fail_with(error: Failure) -> int:
    """Prints the error for a person; the exit code of the command."""
    mark = "\033[31merror:\033[0m" if _coloured() else "error:"
    print(f"{mark} {error}", file=sys.stderr, flush=True)
    return 1


def run(command: Sequence[str | os.PathLike[str]], **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a command quietly; a failure carries what the command printed."""
    done = subprocess.run([os.fspath(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        shown = " ".join(os.fspath(part) for part in command)
        raise Failure(f"`{shown}` ended with {done.returncode}:\n{(done.stderr or done.stdout).strip()[-3000:]}")
    return done  # type: ignore[no-any-return]
