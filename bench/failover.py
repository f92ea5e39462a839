"""`python -m bench.failover`: how long clients of a SentinelGroup can't write while its master goes, on a cluster of its own.

Needs Linux and root, as the embedded cluster does. Prints a table and keeps every run in bench/results.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / folder) for folder in ("tools", "tests")]
os.environ.setdefault("CACHES_NODE_INSTANCE", "bench")

from cluster.deployed import NODE, eventually, writers  # noqa: E402
from cluster.faults.group import Group  # noqa: E402
from common.console import table  # noqa: E402

KINDS = ("sentinel", "service")
RESULTS = CHECKOUT / "bench" / "results"


def hang(group: Group, master: str) -> None:
    group.signal(master, "server", signal.SIGSTOP)
    try:
        eventually(lambda: group.master() not in ("", master), "another master")
    finally:
        group.signal(master, "server", signal.SIGCONT)


CASES: dict[str, Callable[[Group, str], object]] = {
    "pod deleted": lambda group, master: group.kubectl("delete", "pod", master),
    "process killed": lambda group, master: group.signal(master, "server", signal.SIGKILL),
    "pod force-deleted": lambda group, master: group.kubectl("delete", "pod", master, "--grace-period=0", "--force"),
    "process stopped": hang,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=10, help="of each case (default: 10)")
    parser.add_argument("--json", action="store_true", help="print the JSON that is kept instead of the table")
    options = parser.parse_args()
    samples = measure(options.runs)
    kept = json.dumps({"runs": options.runs, "samples": samples}, indent=2) + "\n"
    (RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-failover.json").write_text(kept)
    print(kept if options.json else table([row(case, kind, samples[case][kind]) for case in CASES for kind in KINDS], header=HEADER))


def measure(runs: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By case and kind of client, what each run's writers said."""
    samples: dict[str, dict[str, list[dict[str, Any]]]] = {case: {kind: [] for kind in KINDS} for case in CASES}
    subprocess.run([NODE, "up", "--nodes", "3"], check=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            group = Group(Path(scratch), "failover")
            group.arguments()
            group.up()
            group.connect()
            for run in range(runs):
                for case, fault in CASES.items():
                    print(f"bench: {case}, run {run + 1} of {runs}", file=sys.stderr)
                    for kind, said in _run(group, fault).items():
                        samples[case][kind].append({key: said[key] for key in ("written", "lost", "longest_gap_seconds")})
    finally:
        subprocess.run([NODE, "down"], check=True)
    return samples


def _run(group: Group, fault: Callable[[Group, str], object]) -> dict[str, Any]:
    group.await_whole()
    with writers(group.known, *KINDS) as result:
        group.await_writes()
        fault(group, group.master())
        group.await_whole(quiet=False)
        group.await_writes()
    return result


HEADER = ("MASTER'S", "CLIENT", "P50", "P95", "LONGEST", "WRITTEN", "LOST")


def row(case: str, kind: str, runs: list[dict[str, Any]]) -> tuple[str, ...]:
    gaps = sorted(run["longest_gap_seconds"] for run in runs)
    p95 = statistics.quantiles(gaps, n=20, method="inclusive")[-1] if len(gaps) > 1 else gaps[0]
    written, lost = (sum(run[key] for run in runs) for key in ("written", "lost"))
    return case, kind, *(f"{seconds:.2f} s" for seconds in (statistics.median(gaps), p95, gaps[-1])), str(written), str(lost)


if __name__ == "__main__":
    main()
