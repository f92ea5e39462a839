"""What a command prints for people, or as JSON, and the code that it ends with."""

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import typer

REFUSED, UNFINISHED, INTERRUPTED = 3, 4, 5


class Output:
    """Prints a line, or a JSON object a line."""

    def __init__(self, json_output: bool) -> None:
        self._json = json_output

    def say(self, event: str, text: str, **more: Any) -> None:
        """Prints what has happened."""
        print(json.dumps({"event": event, "text": text, **more}) if self._json else text, flush=True)

    def progress(self, text: str) -> None:
        """Prints what is being done."""
        self.say("progress", text)

    def end(self, event: str, text: str, code: int) -> typer.Exit:
        """Prints why the command ends; the exception to raise."""
        self.say(event, text) if self._json else print(text, file=sys.stderr)
        return typer.Exit(code)


def asked_to_end() -> Callable[[], bool]:
    """Says from now on whether the process was asked to end. A container's first process is deaf to that unless it listens."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    return lambda: bool(asked)


@contextlib.contextmanager
def ending(output: Output) -> Iterator[None]:
    """Says how a command ends early, and with which code."""
    from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError, UnfinishedError

    try:
        yield
    except RefusedError as refused:
        raise output.end("refused", f"refused: {refused}", REFUSED) from None
    except UnfinishedError as problem:
        raise output.end("unfinished", f"not done; waited for {problem}", UNFINISHED) from None
    except InterruptedMigrationError:
        raise output.end("interrupted", "asked to end: run it again", INTERRUPTED) from None
    except OSError as error:
        # A disk that is full, for one.
        raise output.end("unfinished", f"not done: {error}", UNFINISHED) from None
