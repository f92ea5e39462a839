"""From samples to figures: medians, ratios, and which aim each has to meet."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Measured, Samples

# The aims: ours against plain with 100 caches, a further cache beyond 10 against one before, and seconds that the import adds.
RATIO_MAXIMUM = 1.10
GROWTH_MAXIMUM = 1.10
IMPORT_SECONDS_MAXIMUM = 0.15
AIM_COUNT = 100


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    caches: int
    ours: float
    plain: float
    ratio: float
    user_cpu_ours: float
    user_cpu_plain: float
    per_cache: float
    aim: str = ""
    met: bool = True


def program_row(what: str, caches: int, measured: Measured) -> Row:
    """One command with one number of caches."""
    ours, plain = median(measured["ours"].wall), median(measured["plain"].wall)
    # Each run against the one beside it: what else the machine did falls on both.
    ratio = median(mine / theirs for mine, theirs in zip(measured["ours"].wall, measured["plain"].wall, strict=True))
    aimed = caches == AIM_COUNT
    return Row(
        what=what,
        caches=caches,
        ours=ours,
        plain=plain,
        ratio=ratio,
        user_cpu_ours=median(measured["ours"].user_cpu),
        user_cpu_plain=median(measured["plain"].user_cpu),
        per_cache=ours / caches,
        aim=f"ratio ≤ {RATIO_MAXIMUM:.2f}" if aimed else "",
        met=not aimed or ratio <= RATIO_MAXIMUM,
    )


def table(rows: list[Row]) -> str:
    """The rows as text."""
    lines = ["command         caches    ours s   plain s   ratio   user CPU s ours/plain   ms per cache   aim"]
    for row in rows:
        cpu = f"{row.user_cpu_ours:.2f}/{row.user_cpu_plain:.2f}"
        verdict = f"{row.aim}: {'met' if row.met else 'MISSED'}" if row.aim else ""
        figures = f"{row.what:<15} {row.caches:>6} {row.ours:>9.2f} {row.plain:>9.2f} {row.ratio:>7.2f} {cpu:>23}"
        lines.append(f"{figures} {1000 * row.per_cache:>14.0f}   {verdict}".rstrip())
    return "\n".join(lines)


def growth(rows: list[Row]) -> list[str]:
    """What each further cache costs beyond 1 and beyond 10: the same where time grows linearly. The start of the engine cancels out."""
    seconds = {(row.what, row.caches): (row.ours, row.plain) for row in rows}
    lines = []
    for what in dict.fromkeys(row.what for row in rows):
        if (what, AIM_COUNT) in seconds:
            one, ten, hundred = (seconds[what, count] for count in (1, 10, AIM_COUNT))
            early, late = (ten[0] - one[0]) / 9, (hundred[0] - ten[0]) / (AIM_COUNT - 10)
            plain_late = (hundred[1] - ten[1]) / (AIM_COUNT - 10)
            verdict = "met" if late <= GROWTH_MAXIMUM * early else "MISSED"
            lines.append(
                f"{what}: each further cache {1000 * early:.0f} ms up to 10 and {1000 * late:.0f} ms up to {AIM_COUNT} "
                f"(plain {1000 * plain_late:.0f} ms); aim linear: {verdict}"
            )
    return lines


def import_lines(measured: dict[str, Samples]) -> list[str]:
    """Import times, and what ours adds."""
    ours, plain, core = (median(measured[name].wall) for name in ("ours", "plain", "core"))
    verdict = "met" if ours - plain <= IMPORT_SECONDS_MAXIMUM else "MISSED"
    return [
        f"import pulumi_kubernetes: {plain:.3f} s; with pulumi_caches.kubernetes: {ours:.3f} s, "
        f"so {ours - plain:.3f} s more; aim ≤ {IMPORT_SECONDS_MAXIMUM} s: {verdict}",
        f"import pulumi_caches alone: {core:.3f} s",
    ]


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    packages = ("pulumi", "pulumi_kubernetes", "pulumi-caches")
    return {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "processor": _processor(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def as_json(rows: list[Row], imports: dict[str, Samples], samples: dict[str, dict[str, Measured]]) -> dict[str, Any]:
    """Everything: facts, figures and raw samples by number of caches, command and side."""
    return {
        "machine": machine(),
        "rows": [asdict(row) for row in rows],
        "imports": {name: asdict(measured) for name, measured in imports.items()},
        "samples": {
            count: {what: {side: asdict(kept) for side, kept in sides.items()} for what, sides in commands.items()}
            for count, commands in samples.items()
        },
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
