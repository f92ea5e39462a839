"""`caches backup`: makes, lists, checks and restores backups of a cache."""

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caches_runtime.output import Output, asked_to_end, ending

if TYPE_CHECKING:
    from caches_runtime.ops.backup.manifest import Manifest
    from caches_runtime.ops.backup.sealing import Sealing

commands = typer.Typer(help="Makes, lists, checks and restores backups of a cache.", no_args_is_help=True)

Bucket = Annotated[str, typer.Option(envvar="BUCKET", help="Where backups are: s3://, az:// or gs:// BUCKET/PATH, or file:///FOLDER.")]
Connection = Annotated[Path, typer.Option(envvar="CONNECTION_FILE", help="File with the connection that the cache exports, as JSON.")]
KeyFile = Annotated[Path | None, typer.Option(envvar="KEY_FILE", help="File with a key as age-keygen writes it; default: no encryption.")]
Chosen = Annotated[str | None, typer.Option("--backup", envvar="BACKUP", help="Which one; default: the newest.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")]


@commands.command()
def make(
    connection: Connection,
    bucket: Bucket,
    key_file: KeyFile = None,
    keep_count: Annotated[int | None, typer.Option(min=1, help="How many backups to keep; default: all.")] = None,
    keep_days: Annotated[float | None, typer.Option(min=0.01, help="For how many days to keep them; default: for ever.")] = None,
    json_output: Json = False,
) -> None:
    """
    Makes a backup, verifies it, and removes those that are to be kept no longer; never the newest.

    Reads each shard as a replica does, from a replica where one is in step. The folder TMPDIR needs room for the largest, twice
    with a key. Ends with 0 when the backup is complete, 3 when it can't be made, 4 when a server or the bucket does not answer,
    5 when it was asked to end: then there is no new backup.
    """
    from caches_runtime.ops.backup.backup import Backup
    from caches_runtime.ops.backup.cache import Cache
    from caches_runtime.ops.backup.retention import Retention
    from caches_runtime.ops.backup.store import Store

    output = Output(json_output)
    with ending(output), _folder() as folder:
        run = Backup(Cache.read(connection, folder), Store(bucket), folder, _sealing(key_file), output.progress, asked_to_end())
        made = run.run()
        output.say("made", f"made {_described(made)}", **made.facts())
        for gone in run.prune(Retention(keep_count, keep_days)):
            output.say("removed", f"removed {gone}, which was to be kept no longer", id=gone)


@commands.command("list")
def list_(bucket: Bucket, json_output: Json = False) -> None:
    """Lists the complete backups, the newest last. What an upload that was cut off has left is none."""
    from caches_runtime.ops.backup import manifest
    from caches_runtime.ops.backup.store import Store

    output = Output(json_output)
    with ending(output):
        for found in manifest.backups(Store(bucket)):
            output.say("backup", _described(found), finished=found.finished, **found.facts())


@commands.command()
def restore(
    connection: Connection,
    bucket: Bucket,
    backup: Chosen = None,
    key_file: KeyFile = None,
    force: Annotated[bool, typer.Option("--force", help="Empty the cache first, if it holds keys.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="How long to go on without any progress.")] = 120,
    json_output: Json = False,
) -> None:
    """
    Brings a backup into a cache of any topology, and compares all keys. A cache that holds keys is refused, unless --force.

    Ends with 0 when all is equal, 3 when it is refused, 4 when a server or the bucket does not answer, 5 when it was asked to end.
    """
    from caches_runtime.ops.backup.cache import Cache
    from caches_runtime.ops.backup.restore import Restore
    from caches_runtime.ops.backup.store import Store

    output = Output(json_output)
    with ending(output), _folder() as folder:
        cache = Cache.read(connection, folder)
        run = Restore(Store(bucket), folder, _sealing(key_file), output.progress, asked_to_end())
        chosen = run.choose(backup)
        keys = run.run(chosen, cache, force=force, seconds=seconds)
        output.say("restored", f"restored {chosen.id} into {cache.writes}: {keys} keys are equal", id=chosen.id, keys=keys)


@commands.command()
def drill(bucket: Bucket, backup: Chosen = None, key_file: KeyFile = None, json_output: Json = False) -> None:
    """Restores a backup into a server that is thrown away, and checks it: whether it could be restored if it had to be."""
    from caches_runtime.ops.backup.metrics import note_drill
    from caches_runtime.ops.backup.restore import Restore
    from caches_runtime.ops.backup.store import Store

    output = Output(json_output)
    with ending(output), _folder() as folder:
        store = Store(bucket)
        run = Restore(store, folder, _sealing(key_file), output.progress, asked_to_end())
        chosen = run.choose(backup)
        run.drill(chosen)
        note_drill(store, chosen.id)
        output.say("whole", f"whole: {_described(chosen)}", **chosen.facts())


@commands.command()
def metrics(
    bucket: Bucket,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to answer Prometheus at.")] = 9199,
    every_seconds: Annotated[float, typer.Option(min=1, help="How often the bucket is asked at most.")] = 300,
) -> None:
    """Tells Prometheus what is in the bucket: when the newest backup was made, its size, keys and duration, the last drill."""
    from prometheus_client import start_http_server

    from caches_runtime.ops.backup.metrics import Collector
    from caches_runtime.ops.backup.store import Store

    output = Output(json_output=False)
    asked = asked_to_end()
    with ending(output):
        registry = Collector(Store(bucket), every_seconds).register()
    server, thread = start_http_server(port, registry=registry)
    output.progress(f"answering at port {port}")
    while not asked():
        thread.join(0.5)
    server.shutdown()


def _described(backup: "Manifest") -> str:
    when = datetime.fromtimestamp(backup.finished, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    facts = backup.facts()
    size, kind = f"{backup.bytes / 1e6:.1f} MB", "encrypted" if backup.encryption else "not encrypted"
    return f"{backup.id} ({when}, {facts['keys']} keys, {size}, {facts['shards']} shards, {facts['seconds']} s, {facts['version']}, {kind})"


def _sealing(key_file: Path | None) -> "Sealing | None":
    from caches_runtime.ops.backup.sealing import Sealing
    from caches_runtime.ops.migrate.errors import RefusedError

    if key_file is None:
        return None
    try:
        return Sealing(key_file.read_text())
    except OSError as error:
        raise RefusedError(f"the key can't be read: {error}") from None


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Where files are that are being read or sent; TMPDIR says on which disk."""
    with tempfile.TemporaryDirectory(prefix="backup-") as folder:
        yield Path(folder)
