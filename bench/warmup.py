"""`python -m bench.warmup`: how fast a cache is filled from each kind of source, beside `redis-cli --pipe` with the same keys.

Servers are processes of this machine, as are the database and the source's web server; one run each.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from unit.backup.caches import put_on_path, standalone
from unit.migrate.servers import PASSWORD, Server, server
from unit.warmup.servers import Opens, cache, database, file, lines, memcached, url, warm, web

from bench.backup import VALUE_BYTES, fill, timed


def main() -> None:
    """Prints a row for each source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000, help=f"how many, of {VALUE_BYTES} random characters each (default: 200000)")
    keys = parser.parse_args().keys
    with tempfile.TemporaryDirectory(prefix="bench-warmup-") as scratch, server("redis") as target, server("redis") as source:
        folder = Path(scratch)
        os.environ["PATH"] = put_on_path(folder, "redis")
        values = [os.urandom(VALUE_BYTES // 2).hex() for _ in range(keys)]
        row("redis-cli --pipe", timed(lambda: by_peer(target, values)), keys)
        content = lines(*({"key": f"key{number}", "value": value, "ttl": 3600} for number, value in enumerate(values)))
        (folder / "warm.jsonl").write_bytes(content)
        (folder / "warm.csv").write_text("key,value,ttl\n" + "".join(f"key{number},{value},3600\n" for number, value in enumerate(values)))
        with sqlite3.connect(folder / "warm.db") as connection:
            connection.execute("CREATE TABLE warm (key TEXT PRIMARY KEY, value TEXT)")
            connection.executemany("INSERT INTO warm VALUES (?, ?)", ((f"key{number}", value) for number, value in enumerate(values)))
        fill(source, keys)
        with web(gzip.compress(content)) as address, memcached("-m", "1024") as shard:
            to = standalone(target)
            measure("JSON lines", to, file(folder / "warm.jsonl"), target, keys)
            row("JSON lines again, all keys there", timed(lambda: warm(to, file(folder / "warm.jsonl"))), keys)
            measure("JSON lines with gzip from a URL", to, url(f"{address}/warm.jsonl.gz"), target, keys)
            measure("CSV", to, file(folder / "warm.csv"), target, keys)
            measure(
                "query of SQLite", to, database(f"sqlite:///{folder}/warm.db", "SELECT key, value, 3600 AS ttl FROM warm"), target, keys
            )
            measure("another cache", to, cache(standalone(source)), target, keys)
            row("JSON lines into Memcached", timed(lambda: warm(shard, file(folder / "warm.jsonl"))), keys)


def measure(name: str, connection: dict[str, Any], source: Opens, target: Server, keys: int) -> None:
    """Fills an empty cache."""
    target.ask("FLUSHALL")
    row(name, timed(lambda: warm(connection, source)), keys)
    if int(target.ask("DBSIZE")) != keys:
        raise AssertionError(f"{name}: not all keys are there")


def by_peer(target: Server, values: list[str]) -> None:
    """The same keys, by the server's own program."""
    commands = "".join(f"SET key{number} {value} PX 3600000\r\n" for number, value in enumerate(values))
    command = ["redis-cli", "-h", target.host, "--pipe"]
    subprocess.run(command, input=commands.encode(), env={**os.environ, "REDISCLI_AUTH": PASSWORD}, capture_output=True, check=True)


def row(name: str, seconds: float, keys: int) -> None:
    """One line of the table."""
    print(f"| {name} | {seconds:.1f} s | {keys / seconds:,.0f} keys/s |", flush=True)


if __name__ == "__main__":
    main()
