"""Reads a component's arguments: defaults, conversions and checks in one place, and every problem reported at once.

A component reads each argument once, then calls `finish()`, which raises before anything is registered. So a preview
says all that is wrong with an argument list, in the words of the argument list.
"""

import difflib
import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar, cast

import pulumi

Choice = TypeVar("Choice", bound=StrEnum)

# RFC 1123 labels, as Kubernetes checks names and label values.
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


class ArgumentError(pulumi.RunError):
    """Arguments that can't work, each with its value, the limit and what to do. Printed by Pulumi without a stack trace.

    Not a ValueError, which the SDK would wrap, stack trace and all, when it is raised while an Output is resolved.
    """


class Arguments:
    """The arguments of one component, read and checked one by one."""

    def __init__(self, component: str, name: str, name_maximum: int, given: Mapping[str, Any], known: type) -> None:
        self._title = f"{component} {name!r}"
        self._given = given
        self._problems: list[str] = []
        if problem := name_problem(name, name_maximum):
            self._problems.append(f"its name {problem}")
        names = list(known.__annotations__)
        for key in given:
            if key not in names:
                self._problems.append(f"{key}: there is no such argument{suggest(key, names)}")

    def refuse(self, key: str, reason: str, *, shown: bool = True) -> None:
        """Notes a problem of an argument; the value goes into the message, unless it holds a secret."""
        self._problems.append(f"{key}{f' = {self._given.get(key)!r}' if shown else ''}: {reason}")

    def finish(self) -> None:
        """Raises ArgumentError when anything was refused."""
        if self._problems:
            lines = "".join(f"\n  * {problem}" for problem in self._problems)
            raise ArgumentError(f"{self._title} can't be made:{lines}")

    def given(self, key: str) -> bool:
        """Whether the person named the argument."""
        return self._given.get(key) is not None

    def whole(self, key: str, default: int, minimum: int, maximum: int, why: str = "") -> int:
        """A whole number in a range. A component host delivers whole numbers as floats; they are taken back."""
        number = self.number(key, default, minimum, maximum, why)
        if number != int(number):
            self.refuse(key, "must be a whole number")
            return default
        return int(number)

    def number(self, key: str, default: float, minimum: float, maximum: float, why: str = "") -> float:
        """A number in a range; `why` explains the limits where the number alone does not."""
        value = self.value(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(key, "must be a number")
            return default
        if not minimum <= value <= maximum:
            self.refuse(key, f"must be from {minimum:g} to {maximum:g}{f': {why}' if why else ''}")
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or False."""
        value = self.value(key, default)
        if not isinstance(value, bool):
            self.refuse(key, "must be true or false")
            return default
        return value

    def choice(self, key: str, default: Choice) -> Choice:
        """One of an enum's values; the plain string is as good as the enum's member."""
        values = [member.value for member in type(default)]
        value = self.value(key, default)
        if value not in values:
            self.refuse(key, f"must be one of {', '.join(values)}{suggest(str(value), values)}")
            return default
        return type(default)(value)

    def text(self, key: str, default: str, pattern: re.Pattern[str], rule: str) -> str:
        """A plain string of a form; `rule` says the form in words."""
        value = self.value(key, default)
        if not isinstance(value, str) or (value != default and not pattern.fullmatch(value)):
            self.refuse(key, rule)
            return default
        return value

    def name(self, key: str, default: pulumi.Input[str]) -> pulumi.Input[str]:
        """A Kubernetes name. A plain one is checked at once, an Output when it is known, which may be in the preview."""
        value: pulumi.Input[str] = self.value(key, default)
        if not isinstance(value, str):
            return pulumi.Output.from_input(cast("pulumi.Output[str]", value)).apply(lambda name: self._checked_name(key, name))
        if problem := name_problem(value):
            self.refuse(key, problem)
        return value

    def _checked_name(self, key: str, name: str) -> str:
        if problem := name_problem(name):
            raise ArgumentError(f"{self._title} can't be made:\n  * {key} = {name!r}: {problem}")
        return name

    def annotations(self, key: str) -> dict[str, str]:
        """Annotations: keys as labels have them, values of any text."""
        value = self.value(key, {})
        if not isinstance(value, Mapping) or not all(isinstance(part, str) for part in [*value, *value.values()]):
            self.refuse(key, "must be a mapping of strings to strings")
            return {}
        for label in value:
            if not LABEL_KEY.fullmatch(label):
                self.refuse(key, f"{label!r} is not a valid key: [prefix/]name, the name at most 63 of A-Z a-z 0-9 - _ .")
        return dict(value)

    def labels(self, key: str) -> dict[str, str]:
        """Labels."""
        labels = self.annotations(key)
        for text in labels.values():
            if not LABEL_VALUE.fullmatch(text):
                self.refuse(key, f"{text!r} is not a valid label value: at most 63 of A-Z a-z 0-9 - _ ., alphanumeric at both ends")
        return labels

    def texts(self, key: str, default: list[str]) -> list[str]:
        """A list of strings."""
        value = self.value(key, default)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(key, "must be a list of strings")
            return default
        return list(value)

    def mappings(self, key: str, known: list[str]) -> list[dict[str, Any]]:
        """A list of mappings that have only known keys."""
        value = self.value(key, [])
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            self.refuse(key, "must be a list of mappings")
            return []
        for item in value:
            for field in item:
                if field not in known:
                    self.refuse(key, f"{field!r} is not one of {', '.join(known)}{suggest(field, known)}")
        return [dict(item) for item in value]

    def value(self, key: str, default: Any) -> Any:
        """An argument as it was given."""
        value = self._given.get(key)
        return default if value is None else value


def suggest(word: str, known: list[str]) -> str:
    """`; did you mean …?` when a known word is close, else an empty string."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def name_problem(text: str, maximum: int = 63) -> str:
    """Why a text is no Kubernetes name of at most that many characters; empty when it is one."""
    if len(text) > maximum:
        return f"has {len(text)} characters, at most {maximum} are possible"
    if not DNS_LABEL.fullmatch(text):
        return "must be lower-case letters, digits and '-', beginning with a letter and not ending with '-'"
    return ""
