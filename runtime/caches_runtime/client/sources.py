"""Where a connection is, when it is not at hand: in a file, in the environment, or among the outputs of a Pulumi stack."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KINDS = "file:PATH, env:NAME or pulumi://STACK#OUTPUT"
# Far more than reading a stack's state takes.
_PULUMI_SECONDS = 60


class SourceError(ValueError):
    """A connection can't be read from where it is said to be: what was looked for, and what to do. It never has a secret in it."""


def read_source(source: str) -> Mapping[str, Any]:
    """
    The connection, as JSON in a file or a variable, or as the output of a stack.

    A stack is named as `pulumi stack select` takes it, or as PROJECT/STACK where the state is in a bucket or a folder. It is read by the
    `pulumi` on PATH, with the person's own login, secrets shown. Raises SourceError.
    """
    kind, _, where = source.partition(":")
    match kind:
        case "file":
            try:
                text = Path(where).read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise SourceError(f"{source}: {error.strerror if isinstance(error, OSError) else 'it is no text'}") from None
        case "env":
            if not (text := os.environ.get(where, "")):
                raise SourceError(f"{source}: the environment has no such variable, or it is empty")
        case "pulumi":
            text = _output(source, where)
        case _:
            # Not repeated whole: it may be an address with a password in it.
            raise SourceError(f"{kind[:20]!r} is no source of a connection; there are {KINDS}")
    try:
        found = json.loads(text)
    except ValueError:
        raise SourceError(f"{source}: what is there is no JSON") from None
    if not isinstance(found, Mapping):
        raise SourceError(f"{source}: what is there is no connection: a {type(found).__name__}, where a mapping of fields is needed")
    return found


def _output(source: str, where: str) -> str:
    stack, _, output = where.removeprefix("//").partition("#")
    if not where.startswith("//") or not stack or not output:
        raise SourceError(f"{source}: it is pulumi://STACK#OUTPUT, such as pulumi://shop/prod#connection")
    if stack.count("/") == 1:
        # All that these states have is of one organization, of this name.
        stack = f"organization/{stack}"
    command = ["pulumi", "stack", "output", output, f"--stack={stack}", "--json", "--show-secrets", "--non-interactive"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PULUMI_SECONDS)
    except FileNotFoundError:
        raise SourceError(f"{source}: there is no `pulumi` on PATH, which reads it") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{source}: `pulumi` has not answered within {_PULUMI_SECONDS} s; is its state reachable?") from None
    if done.returncode:
        # What it has printed of the output goes to stdout; this is why there is none.
        raise SourceError(f"{source}: `pulumi stack output` failed: {done.stderr.strip()}")
    return done.stdout
