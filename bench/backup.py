"""`python -m bench.backup`: how fast a backup is made, checked and restored, beside `redis-cli --rdb` on the same data.

A server, its backups and the cache that they are restored into are processes of this machine; a folder stands in for the bucket.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from pyrage import x25519
from unit.backup.caches import Place, put_on_path, standalone
from unit.migrate.servers import PASSWORD, Server, server

from bench.gaps import RESULTS
from bench.report import machine

VALUE_BYTES = 100
BATCH = 10_000
# What a restore has to reach, in keys a second.
RESTORE_MINIMUM = 40_000


def main() -> None:
    """Prints a row for each thing measured, and keeps every run in bench/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help=f"how many, of {VALUE_BYTES} random bytes each (default: 1000000)")
    parser.add_argument("--runs", type=int, default=5, help="how often everything is done (default: 5)")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-backup-") as scratch, server("redis") as source:
        os.environ["PATH"] = put_on_path(Path(scratch), "redis")
        fill(source, options.keys)
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                size = run(source, Path(folder), seconds)
    for what, taken in seconds.items():
        print(row(what, median(taken), size, options.keys))
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M}-backup.json"
    kept = {"machine": machine(), "keys": options.keys, "bytes": size, "seconds": seconds}
    file.write_text(json.dumps(kept, indent=2) + "\n")
    print(f"kept in {file.name}")


def run(source: Server, folder: Path, seconds: dict[str, list[float]]) -> int:
    """Does everything once; how many bytes a backup has."""

    def note(what: str, work: Callable[[], object]) -> None:
        seconds.setdefault(what, []).append(timed(work))

    peer = folder / "peer.rdb"
    note("redis-cli --rdb", lambda: read_by_peer(source, peer))
    for what, key in (("backup", None), ("backup, encrypted", str(x25519.Identity.generate()))):
        note(what, Place(folder, (folder / what).as_uri(), key).backup(standalone(source)).run)
    place = Place(folder, (folder / "backup").as_uri())
    chosen = place.restore().choose(None)
    note("drill", lambda: place.restore().drill(chosen))
    with server("redis") as target:
        note("restore", lambda: place.bring(standalone(target), chosen))
    return peer.stat().st_size


def timed(work: Callable[[], object]) -> float:
    """How many seconds it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def fill(source: Server, keys: int) -> None:
    """Values that can't be compressed, so that bytes mean something."""
    with source.client() as client:
        for start in range(0, keys, BATCH):
            client.mset({f"key{number}": os.urandom(VALUE_BYTES) for number in range(start, min(start + BATCH, keys))})


def read_by_peer(source: Server, file: Path) -> None:
    """The same snapshot, by the server's own program."""
    command = ["redis-cli", "-h", source.host, "--rdb", str(file)]
    subprocess.run(command, env={**os.environ, "REDISCLI_AUTH": PASSWORD}, capture_output=True, check=True)


def row(what: str, seconds: float, size: int, keys: int) -> str:
    """One line of the table."""
    pace = keys / seconds
    aim = f"; aim ≥ {RESTORE_MINIMUM:,}: {'met' if pace >= RESTORE_MINIMUM else 'MISSED'}" if what == "restore" else ""
    return f"| {what} | {seconds:.1f} s | {size / 1e6 / seconds:.0f} MB/s | {pace:,.0f} keys/s{aim} |"


if __name__ == "__main__":
    main()
