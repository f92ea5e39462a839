"""`caches replicate`: keeps caches alike while clients write to them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caches_runtime.output import Output, asked_to_end, ending

if TYPE_CHECKING:
    from caches_runtime.replication.wanted import Wanted

DIFFERENT, FAILED = 1, 2
_LISTED = 100

commands = typer.Typer(help="Keeps caches alike while clients write to them, and compares them.", no_args_is_help=True)

_FROM = "File with the connection of the cache to copy, as it exports it, in JSON."
_TO = "File with the connection of the cache to copy to."
Include = Annotated[list[str] | None, typer.Option(help="Pattern of keys to take, such as 'user:*'; several times for several.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Pattern of keys to leave alone.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]


@commands.command()
def run(
    state: Annotated[Path, typer.Option(help="Folder for what was made alike, on a disk that outlives the process; each run's own.")],
    from_: Annotated[Path | None, typer.Option("--from", help=_FROM)] = None,
    to: Annotated[Path | None, typer.Option(help=_TO)] = None,
    mesh: Annotated[list[Path] | None, typer.Option(help="Instead: a cache that follows all others given so; twice at least.")] = None,
    include: Include = None,
    exclude: Exclude = None,
    into_non_empty: Annotated[bool, typer.Option("--into-non-empty", help="Write to caches that have keys already.")] = False,
    once: Annotated[bool, typer.Option("--once", help="End when all is alike, instead of following changes.")] = False,
    sweep_seconds: Annotated[float, typer.Option(min=0.1, help="How long to wait between two looks at all keys.")] = 60,
    keys_per_second: Annotated[float | None, typer.Option(min=1, help="How many keys to look at at most; default: no limit.")] = None,
    bytes_per_second: Annotated[
        float | None, typer.Option(min=1, help="How many bytes of values to read at most; default: no limit.")
    ] = None,
    backlog_keys: Annotated[int, typer.Option(min=1000, help="How many changed keys to remember; beyond that, look at all.")] = 100_000,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for /metrics and /healthz; 0 for none.")] = 0,
    json_output: Json = False,
) -> None:
    """
    Makes a cache a copy of another one and keeps it so, or several caches copies of each other.

    With --from and --to, the first is always right, and keys that it never had stay. With --mesh, of writes to one key at several
    caches within the lag, the one that was heard of last stays; a write is worth more than a deletion. Run again after it was ended in
    any way, it goes on. Ends with 0 with --once, 3 when it is refused, 4 when its disk can't be written, 5 when it was asked to end.
    A server that does not answer is waited for.
    """
    from caches_runtime.replication.notes import Notes
    from caches_runtime.replication.replicator import Replicator, identity
    from caches_runtime.replication.settings import Settings
    from caches_runtime.replication.site import Place

    files = mesh or [file for file in (from_, to) if file]
    if len(files) < 2 or (mesh and (from_ or to)):
        raise typer.BadParameter("give --from and --to, or --mesh twice at least")
    output = Output(json_output)
    places = [Place(file) for file in files]
    wanted = _wanted(include, exclude)
    settings = Settings(not mesh, wanted, into_non_empty, once, sweep_seconds, keys_per_second, bytes_per_second, backlog_keys)
    with ending(output), Notes(state, identity(places, leader=settings.leader)) as notes:
        replicator = Replicator(places, settings, notes, output.progress, asked_to_end())
        end = replicator.metrics.serve(port)
        try:
            done = replicator.run()
        finally:
            end()
        facts = f"{done.compared} keys compared, {done.copied} copied, {done.conflicts} conflicts, {done.errors} errors"
        output.say("alike", f"alike: {facts}", **vars(done))


@commands.command()
def compare(
    from_: Annotated[Path, typer.Option("--from", help=_FROM)],
    to: Annotated[Path, typer.Option(help=_TO)],
    repair: Annotated[bool, typer.Option("--repair", help="Copy what the second misses or has otherwise; delete nothing.")] = False,
    include: Include = None,
    exclude: Exclude = None,
    json_output: Json = False,
) -> None:
    """
    Compares two caches key by key: types, values, times to live. Looks twice at what differs: it may have been under way.

    Ends with 0 when they are the same, 1 when not, 2 when that can't be known. With --repair, that is so after the repair.
    """
    import redis

    from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError
    from caches_runtime.ops.migrate.link import LOST
    from caches_runtime.replication.compare import Comparison
    from caches_runtime.replication.site import Place, Site

    output = Output(json_output)
    try:
        with Site(Place(from_)) as first, Site(Place(to)) as second:
            comparison = Comparison(first, second, _wanted(include, exclude), repair, asked_to_end())
            same = comparison.run()
    except RefusedError as refused:
        raise output.end("refused", f"refused: {refused}", FAILED) from None
    except InterruptedMigrationError:
        raise output.end("interrupted", "asked to end: nothing is known", FAILED) from None
    except (*LOST, redis.RedisError) as error:
        raise output.end("failed", f"not compared: {error}", FAILED) from None
    for key, what in list(comparison.differences.items())[:_LISTED]:
        output.say("difference", f"{what:<8} {key!r}", key=key.decode(errors="backslashreplace"), difference=what)
    kinds = ", ".join(f"{count} {what}" for what, count in sorted(comparison.counts.items())) or "no difference"
    facts = {"keys": comparison.keys, "differences": dict(comparison.counts), "repaired": comparison.repaired}
    numbers = f"{comparison.keys[0]} and {comparison.keys[1]} keys; {comparison.repaired} repaired"
    output.say("same" if same else "different", f"{'the same' if same else 'different'}: {kinds}; {numbers}", **facts)
    raise typer.Exit(0 if same else DIFFERENT)


def _wanted(include: list[str] | None, exclude: list[str] | None) -> "Wanted":
    from caches_runtime.replication.wanted import Wanted

    return Wanted(tuple(include or ()), tuple(exclude or ()))
