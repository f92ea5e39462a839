"""Says what was found: as a table for people, or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from caches_runtime.ops.doctor.facts import Cache
from caches_runtime.ops.doctor.findings import Finding, Outcome, Severity
from caches_runtime.output import Output

_COLOURS = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
# Of a table that is piped: nobody's terminal says how wide.
_WIDTH = 160

Looked = Sequence[tuple[Cache, Sequence[Outcome]]]


def print_report(looked: Looked, output: Output | None) -> int:
    """Prints what is missing of each cache; how much that is. With an output as JSON objects, else for people."""
    for cache, outcomes in looked:
        if output:
            _as_json(cache, outcomes, output)
        else:
            _as_table(cache, outcomes)
    return sum(len(_missing(outcomes)) for _, outcomes in looked)


def _missing(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, Finding]]:
    """The worst first."""
    found = [(outcome, finding) for outcome in outcomes for finding in outcome.findings]
    return sorted(found, key=lambda each: list(Severity).index(each[1].severity))


def _as_json(cache: Cache, outcomes: Sequence[Outcome], output: Output) -> None:
    for outcome in outcomes:
        more = {"cache": cache.name, "check": outcome.check.name, "guide": outcome.check.guide}
        for finding in outcome.findings:
            output.say("missing", finding.found, **more, **asdict(finding))
        if outcome.not_checked:
            output.say("not checked", outcome.not_checked, **more)
        elif not outcome.findings:
            output.say("in order", outcome.check.name, **more)


def _as_table(cache: Cache, outcomes: Sequence[Outcome]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    missing = _missing(outcomes)
    in_order = [outcome for outcome in outcomes if not outcome.findings and not outcome.not_checked]
    kind = [cache.engine, cache.mode, *([f"purpose {cache.purpose or 'not said'}"] if cache.speaks_redis else [])]
    console.print(f"[bold]{cache.name}[/bold] ({', '.join(kind)}): {len(missing)} missing, {len(in_order)} checks in order", soft_wrap=True)
    if missing:
        table = Table("severity", "check", "found", "wanted", "what to do", box=None, padding=(0, 2, 0, 0))
        for outcome, finding in missing:
            severity = f"[{_COLOURS[finding.severity]}]{finding.severity}[/]"
            table.add_row(severity, outcome.check.name, *map(_plain, (finding.found, finding.wanted, finding.remedy)))
        console.print(table)
        console.print(f"Why, and how to mend it: {missing[0][0].check.guide} and the like, one section for each check", style="dim")
    for why, names in _not_checked(outcomes).items():
        console.print(f"not checked: {', '.join(names)}: {_plain(why)}", soft_wrap=True)
    console.print()


def _not_checked(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """Checks by the reason for which they were not made."""
    reasons: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.not_checked:
            reasons.setdefault(outcome.not_checked, []).append(outcome.check.name)
    return reasons


def _plain(text: str) -> str:
    """For rich, which takes square brackets for colours."""
    return text.replace("[", r"\[")
