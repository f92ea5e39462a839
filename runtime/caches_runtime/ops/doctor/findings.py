"""What a check says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from caches_runtime.ops.doctor.facts import Facts, NotKnown

GUIDE = "docs/best-practices.md"


class Severity(StrEnum):
    """How bad it is."""

    CRITICAL = "critical"
    """Data, or who may read it, is in danger now, or clients are refused."""
    WARNING = "warning"
    """One fault or some time away from that."""
    INFO = "info"
    """Better otherwise; there may be reasons."""


@dataclass(frozen=True)
class Finding:
    """Something that is missing."""

    severity: Severity
    found: str
    wanted: str
    """The limit that what was found is held against."""
    remedy: str
    """What to do: the argument to set, where there is one."""


def always(_: Facts) -> bool:
    """For checks of every cache."""
    return True


@dataclass(frozen=True)
class Check:
    """One best practice. Its section in the guide has its name."""

    name: str
    run: Callable[[Facts], Iterable[Finding]]
    needs: tuple[str, ...] = ()
    """Fields of Facts without which nothing can be said."""
    applies: Callable[[Facts], bool] = always
    """Whether the practice is one for this cache."""

    @property
    def guide(self) -> str:
        """Where it is explained."""
        return f"{GUIDE}#{self.name}"


@dataclass(frozen=True)
class Outcome:
    """What came of a check."""

    check: Check
    findings: tuple[Finding, ...] = ()
    not_checked: str = ""
    """Why nothing can be said; else it was checked."""


def examine(facts: Facts, checks: Iterable[Check]) -> list[Outcome]:
    """Runs the checks that apply."""
    return [_outcome(check, facts) for check in checks if check.applies(facts)]


def _outcome(check: Check, facts: Facts) -> Outcome:
    for need in check.needs:
        if isinstance(missing := getattr(facts, need), NotKnown):
            return Outcome(check, not_checked=missing.why)
    return Outcome(check, tuple(check.run(facts)))
