"""`caches warmup`: fills a cache before traffic comes."""

import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from caches_runtime.output import Output, asked_to_end, ending

if TYPE_CHECKING:
    from caches_runtime.ops.backup.cache import Cache
    from caches_runtime.ops.warmup.entries import Source
    from caches_runtime.ops.warmup.warmup import AnyTarget

Format = Literal["json", "csv"]


def warmup(
    connection: Annotated[Path, typer.Option(envvar="CONNECTION_FILE", help="File with the connection that the cache exports, as JSON.")],
    source: Annotated[str | None, typer.Option(help="File, or URL of one, or with --query a database's URL.")] = None,
    source_file: Annotated[Path | None, typer.Option(help="File with such a URL, which has a secret in it.")] = None,
    from_connection: Annotated[Path | None, typer.Option(help="File with the connection of a cache to copy instead.")] = None,
    query: Annotated[str | None, typer.Option(help="Query with the columns key and value, perhaps ttl in seconds.")] = None,
    format_: Annotated[Format | None, typer.Option("--format", help="Of a file or URL; default: what its name ends with.")] = None,
    keys_per_second: Annotated[float | None, typer.Option(min=0.01, help="How many keys to write at most; default: no limit.")] = None,
    jitter: Annotated[float, typer.Option(min=0, max=1, help="Which part of a time to live to take away at most, at random.")] = 0.1,
    default_ttl: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds to live where the source says none; default: for ever.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the cache has; default: leave it.")] = False,
    bad_maximum: Annotated[int, typer.Option(min=0, help="How many records may be bad.")] = 100,
    gate: Annotated[str | None, typer.Option(help="ConfigMap in the pod's namespace that lets traffic in, to be written to.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long to go on without any progress.")] = 120,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """
    Fills a cache from a file, a URL, a query of a database or another cache, and lets traffic in when that is done.

    Leaves alone what the cache has already. Run again after it was ended in any way, it goes on where it was. Ends with 0 when the
    cache is warm, 3 when it is refused, 4 when a server or the source does not answer, 5 when it was asked to end.
    """
    from caches_runtime.ops.backup.cache import Cache
    from caches_runtime.ops.warmup.gate import open_gate
    from caches_runtime.ops.warmup.warmup import Settings, WarmUp

    if [source, source_file, from_connection].count(None) != 2:
        raise typer.BadParameter("give one of --source, --source-file and --from-connection")
    if from_connection and (query or format_):
        raise typer.BadParameter("--query and --format say nothing of another cache")
    if query and format_:
        raise typer.BadParameter("--format says nothing of a query")
    output = Output(json_output)
    with ending(output), tempfile.TemporaryDirectory(prefix="warmup-") as here, tempfile.TemporaryDirectory(prefix="warmup-") as there:
        cache = Cache.read(connection, Path(here), memcached=True)
        other = Cache.read(from_connection, Path(there)) if from_connection else None
        address = _read(source_file) if source_file else source or ""

        def open_source(target: "AnyTarget") -> "AbstractContextManager[Source]":
            return _open(target, other, address, query, format_)

        settings = Settings(overwrite, jitter, default_ttl, bad_maximum)
        done = WarmUp(cache, open_source, settings, keys_per_second, output.progress, asked_to_end()).run(seconds)
        if gate:
            open_gate(gate)
        counts = f"{done.written} keys written, {done.there} were there, {done.expired} had expired, {done.bad} records were bad"
        holds = f"{cache.writes} holds {done.keys} keys, and held {done.keys_before} before"
        full = "; it began to evict, so it was not filled further" if done.full else ""
        output.say("warm", f"warm: {counts}; {holds}{full}{'; traffic may come' if gate else ''}", **vars(done))


def _open(
    target: "AnyTarget", other: "Cache | None", address: str, query: str | None, format_: Format | None
) -> "AbstractContextManager[Source]":
    if other:
        from caches_runtime.ops.warmup.cache_source import open_cache

        return open_cache(other, target.try_value)
    if query:
        from caches_runtime.ops.warmup.sql_source import open_database

        return open_database(address, query)
    from caches_runtime.ops.warmup.text_source import open_file, open_url

    return open_url(address, format_) if address.startswith(("http://", "https://")) else open_file(Path(address), format_)


def _read(file: Path) -> str:
    from caches_runtime.ops.migrate.errors import RefusedError

    try:
        return file.read_text(errors="replace").strip()
    except OSError as error:
        raise RefusedError(f"the file with the source's URL can't be read: {error.strerror}") from None
