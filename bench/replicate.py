"""`python -m bench.replicate`: how fast a cache is copied, and how late the copy is while clients write, beside what else could do it.

Two servers of this machine; the replicator is a process of its own, as is the load. One run each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from unit.backup.caches import put_on_path
from unit.migrate.servers import PASSWORD, Server, server
from unit.replication.sites import EVENTS, Sites, of

from bench.backup import VALUE_BYTES, fill, timed

COPY_AIM = 30_000
LAG_AIM = 1.0
_PORTION_SECONDS = 0.01
_KEYS = 50_000
"""Among which the load writes."""


def main() -> None:
    """Prints a row for each thing that was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000, help=f"to copy, of {VALUE_BYTES} random characters each (default: 200000)")
    parser.add_argument("--writes", type=int, default=5000, help="a second, while the lag is measured (default: 5000)")
    parser.add_argument("--seconds", type=float, default=20, help="for how long (default: 20)")
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of the table")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-replicate-") as scratch,
        server("redis", EVENTS) as one,
        server("redis", EVENTS) as other,
    ):
        folder = Path(scratch)
        os.environ["PATH"] = put_on_path(folder, "redis")
        load = os.getloadavg()[0]
        fill(one, options.keys)
        rows += copies(folder, one, other, options.keys)
        for leader in (True, False):
            for each in (one, other):
                each.ask("FLUSHALL")
            rows.append(lag(folder, one, other, leader=leader, writes=options.writes, seconds=options.seconds))
    facts = {"load_average_before": load, "cores": os.cpu_count()}
    if options.json:
        print(json.dumps({"machine": facts, "rows": rows}, indent=2))
    else:
        print("\n".join([*map(line, rows), f"load average before: {load:.1f}, {facts['cores']} cores"]))


def copies(folder: Path, one: Server, other: Server, keys: int) -> Iterator[dict[str, Any]]:
    """The initial copy, by each way."""
    with one.client() as client:
        names: list[Any] = list(client.scan_iter(count=1000))
        values: list[tuple[bytes, Any]] = list(zip(names, client.mget(names), strict=True))
    ways: dict[str, Callable[[], object]] = {
        "caches replicate": lambda: replicated(sites(folder, "copy", one, other), "--from={one}", "--to={other}"),
        "again, nothing to copy": lambda: replicated(sites(folder, "copy", one, other), "--from={one}", "--to={other}"),
        "redis-py: scan, dump, restore, 500 at a time": lambda: by_redis_py(one.client(), other.client(), together=500),
        "redis-py: scan, dump, restore, one by one": lambda: by_redis_py(one.client(), other.client(), together=1),
        "redis-cli --pipe (values known, nothing read)": lambda: by_pipe(other, values),
    }
    for what, way in ways.items():
        if not what.startswith("again"):
            other.ask("FLUSHALL")
        seconds = timed(way)
        if int(other.ask("DBSIZE")) != keys:
            raise AssertionError(f"{what}: not all keys are there")
        aim = {"aim_keys_per_second": COPY_AIM} if what == "caches replicate" else {}
        yield {"what": what, "seconds": round(seconds, 2), "keys_per_second": round(keys / seconds), **aim}


def sites(folder: Path, name: str, one: Server, other: Server) -> Sites:
    """With a state of their own."""
    (folder / name).mkdir(exist_ok=True)
    return of(folder / name, one=one, other=other)


def replicated(made: Sites, *words: str) -> None:
    """With the start of the process."""
    code, said = made.ends("run", *words, "--state={state}", "--once")
    if code:
        raise AssertionError(said)


def by_redis_py(one: redis.Redis, other: redis.Redis, together: int) -> None:
    """What can be written in a few lines."""
    for_copy: list[bytes] = []

    def copy() -> None:
        with one.pipeline(transaction=False) as reading:
            for key in for_copy:
                reading.dump(key)
                reading.pttl(key)
            replies = reading.execute()
        with other.pipeline(transaction=False) as writing:
            for key, payload, lives in zip(for_copy, replies[::2], replies[1::2], strict=True):
                writing.restore(key, max(lives, 0), payload, replace=True)
            writing.execute()
        for_copy.clear()

    for key in one.scan_iter(count=500):
        for_copy.append(key)
        if len(for_copy) >= together:
            copy()
    if for_copy:
        copy()


def by_pipe(other: Server, values: list[tuple[bytes, Any]]) -> None:
    """By the server's own program, of what is in a file already."""
    commands = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value) for key, value in values)
    command = ["redis-cli", "-h", other.host, "--pipe"]
    subprocess.run(command, input=commands, env={**os.environ, "REDISCLI_AUTH": PASSWORD}, capture_output=True, check=True)


def lag(folder: Path, one: Server, other: Server, *, leader: bool, writes: int, seconds: float) -> dict[str, Any]:
    """From before a write is sent until the copy's server has said that it has it, of every write that comes."""
    made = sites(folder, f"lag-{leader}", one, other)
    words = ("--from={one}", "--to={other}") if leader else ("--mesh={one}", "--mesh={other}")
    with running(made, *words), one.client() as load, other.client() as copy:
        heard = copy.pubsub()
        heard.psubscribe("__keyevent@0__:set")
        load.set("warm", "1")
        while not copy.exists("warm"):
            time.sleep(0.05)
        sent: dict[bytes, float] = {}
        lags: list[float] = []

        def hear(wait: float) -> None:
            while message := heard.get_message(timeout=wait):
                if since := sent.pop(message["data"], 0.0):
                    lags.append(time.monotonic() - since)

        began, number = time.monotonic(), 0
        while (now := time.monotonic()) - began < seconds:
            due = int((now - began) * writes) - number
            with load.pipeline(transaction=False) as pipe:
                for _ in range(due):
                    key = b"load%d" % (number % _KEYS)
                    pipe.set(key, "x" * VALUE_BYTES, px=3_600_000)
                    sent.setdefault(key, time.monotonic())
                    number += 1
                pipe.execute()
            hear(0)
            time.sleep(_PORTION_SECONDS)
        rate = number / (time.monotonic() - began)
        until = time.monotonic() + 30
        while sent and time.monotonic() < until:
            hear(0.1)
    lags.sort()
    return {
        "what": f"lag, {'one-way' if leader else 'mesh'}, {rate:,.0f} writes/s",
        "samples": len(lags),
        "lost": len(sent),
        **{f"p{part}": round(lags[min(len(lags) - 1, len(lags) * part // 100)], 4) for part in (50, 99, 100)},
        "aim_p99": LAG_AIM,
    }


@contextmanager
def running(made: Sites, *words: str) -> Iterator[None]:
    """A replicator, asked to end afterwards."""
    started = made.command("run", *words, "--state={state}")
    try:
        yield
    finally:
        started.terminate()
        started.communicate()


def line(row: dict[str, Any]) -> str:
    """For people."""
    if "keys_per_second" in row:
        aim = f"  aim ≥ {COPY_AIM:,}: {'met' if row['keys_per_second'] >= COPY_AIM else 'MISSED'}" if "aim_keys_per_second" in row else ""
        return f"{row['what']:<50}{row['seconds']:>8.2f} s{row['keys_per_second']:>12,} keys/s{aim}"
    figures = f"p50 {row['p50']:.3f} s, p99 {row['p99']:.3f} s, longest {row['p100']:.3f} s of {row['samples']}, {row['lost']} not seen"
    return f"{row['what']:<50}{figures}  aim p99 ≤ {LAG_AIM:g} s: {'met' if row['p99'] <= LAG_AIM else 'MISSED'}"


if __name__ == "__main__":
    main()
