"""What the benches of failovers share: cases that are repeated under clients that write, their options, what is kept, the table."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from cluster.deployed import NODE
from cluster.faults.observed import Observed
from common.console import say, table

from bench import CHECKOUT
from bench.report import machine

# A cluster of its own, so that nobody's deployed stack is disturbed.
os.environ.setdefault("CACHES_NODE_INSTANCE", "bench")
RESULTS = CHECKOUT / "bench" / "results"
Subject = TypeVar("Subject")
Cache = TypeVar("Cache", bound=Observed)


@dataclass(frozen=True)
class Sample:
    """What one run showed of one kind of client."""

    seconds: float
    """The longest gap between acknowledged writes; how long it took, of a case without clients."""
    written: int = 0
    lost: int = 0
    failed: int = 0
    """Commands that ended with an error, after all tries of a client that tries again."""


@dataclass(frozen=True)
class Case(Generic[Subject]):
    """Something that is done to the subject again and again."""

    name: str
    run: Callable[[Subject], Mapping[str, Sample]]
    """Does it once; the samples by kind of client."""
    aims: Mapping[str, float] = field(default_factory=dict)
    """By kind of client, the p95 in seconds that is aimed at."""
    peers: Mapping[str, str] = field(default_factory=dict)
    """By name, what peers were measured at."""


@dataclass(frozen=True)
class Bench(Generic[Subject]):
    """Cases on one subject."""

    name: str
    """Also in the name of the file that everything is kept in."""
    about: str
    subject: Callable[[], AbstractContextManager[Subject]]
    cases: tuple[Case[Subject], ...]
    peers: tuple[str, ...] = ()


Samples = dict[str, dict[str, list[Sample]]]


def of_writers(said: Mapping[str, Mapping[str, Any]]) -> dict[str, Sample]:
    """What the clients of tests/cluster/writers.py reported."""
    return {
        kind: Sample(one["longest_gap_seconds"], one["written"], one["lost"], sum(one["errors"].values())) for kind, one in said.items()
    }


def main(bench: Bench[Any], arguments: Sequence[str] | None = None) -> None:
    """Runs the cases that the command line chooses, in turn, so that whatever else the machine does falls on all of them."""
    names = [case.name for case in bench.cases]
    parser = argparse.ArgumentParser(prog=f"python -m bench.{bench.name}", description=bench.about)
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="of each case (default: 10)")
    parser.add_argument(
        "--case", action="append", choices=names, metavar="CASE", help=f"only this one, may be repeated: {', '.join(names)}"
    )
    parser.add_argument("--json", action="store_true", help="print the JSON that is kept instead of the table")
    options = parser.parse_args(arguments)
    cases = [case for case in bench.cases if case.name in (options.case or names)]
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M}-{bench.name}.json"
    samples: Samples = {}
    try:
        with bench.subject() as subject:
            for _ in repeat(subject, cases, options.runs, samples):
                file.write_text(kept(samples))
    except KeyboardInterrupt:
        say("interrupted: what was measured until now is kept")
    finally:
        if samples:
            print(kept(samples) if options.json else f"{summary(bench, samples)}\nkept in {file}")


@contextmanager
def on_three_nodes(make: Callable[[Path, str], Cache], **args: Any) -> Iterator[Cache]:
    """A cache that is to be deployed, with these arguments, to nodes of its own; nothing is left of them afterwards."""
    subprocess.run([NODE, "up", "--nodes", "3"], check=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            cache = make(Path(scratch), "failover")
            cache.args = args
            cache.arguments(**args)
            try:
                yield cache
            finally:
                cache.close()
    finally:
        subprocess.run([NODE, "down"], check=True)


def apply(cache: Observed) -> dict[str, Sample]:
    """From nothing to all Ready, the engine's own time included."""
    if cache.export():
        cache.destroy()
    started = time.monotonic()
    cache.up()
    cache.await_ready()
    seconds = time.monotonic() - started
    cache.connect()
    cache.await_whole()
    return {"": Sample(seconds)}


def repeat(subject: Subject, cases: Iterable[Case[Subject]], runs: int, samples: Samples) -> Iterator[None]:
    """Adds to the samples, and stops after each run."""
    for run in range(runs):
        for case in cases:
            started = time.monotonic()
            shown = case.run(subject)
            for kind, sample in shown.items():
                samples.setdefault(case.name, {}).setdefault(kind, []).append(sample)
            figures = ", ".join(f"{kind} {sample.seconds:.2f} s, {sample.lost} lost" for kind, sample in shown.items())
            say(f"{case.name}, run {run + 1} of {runs}: {figures} (all of it {time.monotonic() - started:.0f} s)")
            yield


def kept(samples: Samples) -> str:
    """Everything, as JSON."""
    raw = {case: {kind: [asdict(sample) for sample in taken] for kind, taken in kinds.items()} for case, kinds in samples.items()}
    return json.dumps({"machine": machine(), "samples": raw}, indent=2) + "\n"


def summary(bench: Bench[Any], samples: Samples) -> str:
    """The table: a line for each case and kind of client."""
    header = (
        "CASE",
        "CLIENT",
        "RUNS",
        "P50",
        "P95",
        "LONGEST",
        "AIM, P95",
        "WRITTEN",
        "LOST",
        "FAILED",
        *(peer.upper() for peer in bench.peers),
    )
    rows = [
        row(case, kind, taken, [case.peers.get(peer, "") for peer in bench.peers])
        for case in bench.cases
        for kind, taken in samples.get(case.name, {}).items()
    ]
    return table(rows, header)


def row(case: Case[Any], kind: str, taken: list[Sample], peers: list[str]) -> tuple[str, ...]:
    """One line of the table."""
    seconds = sorted(sample.seconds for sample in taken)
    figures = [statistics.median(seconds), p95(seconds), seconds[-1]]
    aim = case.aims.get(kind)
    verdict = "" if aim is None else f"{aim:g} s: {'met' if figures[1] <= aim else 'MISSED'}"
    counts = (str(sum(getattr(sample, key) for sample in taken)) for key in ("written", "lost", "failed"))
    return case.name, kind, str(len(taken)), *(f"{figure:.2f} s" for figure in figures), verdict, *counts, *peers


def p95(values: list[float]) -> float:
    """Of a sorted list; between two of its values."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
