"""`caches migrate`: brings the data of a server elsewhere into a cache."""

from pathlib import Path
from typing import Annotated

import typer

from caches_runtime.output import INTERRUPTED, REFUSED, UNFINISHED, Output, asked_to_end


def migrate(
    source: Annotated[str, typer.Option(help="Server to copy, as HOST:PORT.")],
    target: Annotated[str, typer.Option(help="Cache to copy to, as HOST:PORT; any node of a cluster.")],
    target_password_file: Annotated[Path, typer.Option(help="File with the cache's password.")],
    ca_file: Annotated[Path | None, typer.Option(help="File with the authority of the cache's certificate, when it speaks TLS.")] = None,
    source_password_file: Annotated[Path | None, typer.Option(help="File with the source's password; may be missing.")] = None,
    source_username: Annotated[str | None, typer.Option(help="User of the source; default: its default user.")] = None,
    source_tls: Annotated[bool, typer.Option(help="Whether the source speaks TLS.")] = False,
    source_ca_file: Annotated[Path | None, typer.Option(help="Authority to trust; may be missing: those that the image trusts.")] = None,
    cut_over: Annotated[bool, typer.Option(help="Hold the source's writes at the end, for good, when all is equal.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="How long to go on without any progress.")] = 120,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """
    Copies all keys of a running server into a cache, and compares them. With --cut-over holds its writes then, and copies the rest.

    Ends with 0 when the copy is equal, 3 when it can't be made or could destroy data, 4 when a server does not come, 5 when
    it was asked to end. It can be run again at any time, and by several at once: they wait for each other.
    """
    from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError, UnfinishedError
    from caches_runtime.ops.migrate.link import Endpoint
    from caches_runtime.ops.migrate.migration import Migration

    output = Output(json_output)
    authority = str(source_ca_file) if source_ca_file and source_ca_file.exists() else None
    from_ = Endpoint.parse(source, username=source_username, password=_read(source_password_file), tls=source_tls, ca_file=authority)
    to = Endpoint.parse(target, password=_read(target_password_file), authority=ca_file)
    try:
        done = Migration(from_, to, cut_over, output.progress, asked_to_end()).run(seconds)
    except RefusedError as refused:
        raise output.end("refused", f"refused: {refused}", REFUSED) from None
    except UnfinishedError as problem:
        raise output.end("unfinished", f"no progress for {seconds:g} s; still waiting for {problem}", UNFINISHED) from None
    except InterruptedMigrationError:
        raise output.end("interrupted", "asked to end: run it again to go on", INTERRUPTED) from None
    facts = {"keys": done.keys, "held_seconds": round(done.held_seconds, 3)}
    if done.already:
        output.say("cut over", f"an earlier run has cut over, and {target} is the cache now; nothing to do", **facts)
    elif done.cut_over:
        held = f"its writes waited {done.held_seconds:.2f} s for that and are held from now on (CLIENT UNPAUSE there lets them go on)"
        output.say("cut over", f"cut over: {done.keys} keys are equal to those of {source}; {held}", **facts)
    else:
        output.say("copied", f"copied {done.keys} keys; {source} still serves. Cut over with migrate_cut_over", **facts)


def _read(file: Path | None) -> str | None:
    return file.read_text().rstrip("\n") if file and file.exists() else None
