"""`python -m bench`, from the checkout: measures, prints a table and keeps everything in bench/results."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from bench import CHECKOUT, measure, report

FULL = {1: 3, 10: 3, 100: 3}
QUICK = {1: 2, 10: 2}
IMPORT_RUNS = 15
RESULTS = CHECKOUT / "bench" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the components against plain pulumi_kubernetes.")
    parser.add_argument("--quick", action="store_true", help="at most 10 caches and 2 runs: a look, not a result")
    parser.add_argument("--json", action="store_true", help="print the JSON that is kept instead of the table")
    options = parser.parse_args()

    imports = measure.imports(IMPORT_RUNS)
    samples, rows = {}, []
    with measure.library() as library:
        for count, runs in (QUICK if options.quick else FULL).items():
            measured = measure.programs(library, count, runs, lambda text: print(f"bench: {text}", file=sys.stderr))
            samples[str(count)] = measured
            rows += [report.program_row(what, count, sides) for what, sides in measured.items()]

    kept = json.dumps(report.as_json(rows, imports, samples), indent=2) + "\n"
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}{'-quick' if options.quick else ''}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(kept)
    lines = [report.table(rows), *report.growth(rows), *report.import_lines(imports), f"kept in {file.relative_to(CHECKOUT)}"]
    print(kept if options.json else "\n".join(lines))


if __name__ == "__main__":
    main()
