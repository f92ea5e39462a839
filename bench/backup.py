"""`python -m bench.backup`: how fast a backup is made, checked and restored, beside `redis-cli --rdb` on the same data.

A server, its backups and the cache that they are restored into are processes of this machine; a folder stands in for the bucket.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyrage import x25519
from unit.backup.caches import Place, put_on_path, standalone
from unit.migrate.servers import PASSWORD, Server, server

VALUE_BYTES = 100
BATCH = 10_000


def main() -> None:
    """Prints a row for each thing measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help=f"how many, of {VALUE_BYTES} random bytes each (default: 1000000)")
    keys = parser.parse_args().keys
    with tempfile.TemporaryDirectory(prefix="bench-backup-") as scratch, server("redis") as source, server("redis") as target:
        folder = Path(scratch)
        os.environ["PATH"] = put_on_path(folder, "redis")
        fill(source, keys)
        peer = folder / "peer.rdb"
        row("redis-cli --rdb", timed(lambda: read_by_peer(source, peer)), peer.stat().st_size, keys)
        for name, key in (("backup", None), ("backup, encrypted", str(x25519.Identity.generate()))):
            place = Place(folder, (folder / name).as_uri(), key)
            backup = place.backup(standalone(source))
            row(name, timed(backup.run), peer.stat().st_size, keys)
        place = Place(folder, (folder / "backup").as_uri())
        chosen = place.restore().choose(None)
        row("drill", timed(lambda: place.restore().drill(chosen)), peer.stat().st_size, keys)
        row("restore", timed(lambda: place.bring(standalone(target), chosen)), peer.stat().st_size, keys)


def fill(source: Server, keys: int) -> None:
    """Values that can't be compressed, so that bytes mean something."""
    with source.client() as client:
        for start in range(0, keys, BATCH):
            client.mset({f"key{number}": os.urandom(VALUE_BYTES) for number in range(start, min(start + BATCH, keys))})


def read_by_peer(source: Server, file: Path) -> None:
    """The same snapshot, by the server's own program."""
    command = ["redis-cli", "-h", source.host, "--rdb", str(file)]
    subprocess.run(command, env={**os.environ, "REDISCLI_AUTH": PASSWORD}, capture_output=True, check=True)


def timed(work: Callable[[], object]) -> float:
    """How many seconds it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def row(name: str, seconds: float, size: int, keys: int) -> None:
    """One line of the table."""
    print(f"| {name} | {seconds:.1f} s | {size / 1e6 / seconds:.0f} MB/s | {keys / seconds:,.0f} keys/s |", flush=True)


if __name__ == "__main__":
    main()
