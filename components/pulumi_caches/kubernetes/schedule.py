"""When something runs: what a CronJob's schedule may be, checked before Kubernetes would refuse it."""

import re

from pulumi_caches.arguments import Arguments

NEVER = "never"
_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# Of each field its name, its limits, and what the numbers from the first limit on may be called.
_FIELDS: list[tuple[str, int, int, list[str]]] = [
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 6, _DAYS),
]
_PART = re.compile(r"(?P<all>[*?])|(?P<first>[0-9a-z]+)(-(?P<last>[0-9a-z]+))?")


def read_schedule(arguments: Arguments, key: str, default: str) -> str | None:
    """A schedule in cron's five fields, or one of its names such as @hourly; None for never."""
    value = arguments.value(key, default)
    if value == NEVER:
        return None
    if not isinstance(value, str):
        arguments.refuse(key, "must be a schedule, such as '17 3 * * *' or @daily, or never")
    elif problem := schedule_problem(value):
        arguments.refuse(key, problem)
    return str(value)


def schedule_problem(text: str) -> str:
    """Why Kubernetes would not take a text for a schedule; empty when it would."""
    if text.startswith("@"):
        return "" if text in _NAMED else f"must be five fields, or one of {', '.join(_NAMED)}"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return (
            f"has {len(fields)} fields, and a schedule has 5: minute, hour, day, month, weekday, such as '17 3 * * *'; or @daily, or never"
        )
    for field, (name, minimum, maximum, names) in zip(fields, _FIELDS, strict=True):
        for part in field.lower().split(","):
            if not _is_part(part, minimum, maximum, names):
                return f"{part!r} is no {name}: from {minimum} to {maximum}, as in 5, 1-3, */10 or 1,4"
    return ""


def _is_part(part: str, minimum: int, maximum: int, names: list[str]) -> bool:
    range_, slash, step = part.partition("/")
    found = _PART.fullmatch(range_)
    if not found or (slash and not re.fullmatch("[1-9][0-9]{0,3}", step)):
        return False
    if found["all"]:
        return True
    first = _number(found["first"], minimum, names)
    last = _number(found["last"], minimum, names) if found["last"] else first
    return minimum <= first <= last <= maximum


def _number(text: str, minimum: int, names: list[str]) -> int:
    if text in names:
        return minimum + names.index(text)
    return int(text) if text.isdigit() else -1
