"""Refuses, in the preview, what can only be known from the last deployment: a change that the deployed thing can't make."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pulumi

Facts = Mapping[str, Any]
# Gets the facts of the first deployment and those of now, which are the same in the first; raises ArgumentError to refuse.
Check = Callable[[Facts, Facts], None]


class Checked(NamedTuple):
    """Facts that were not refused."""

    first: Facts
    """Those of the first deployment."""
    now: Facts


def guard(
    name: str, facts: Mapping[str, pulumi.Input[Any]], inherited: Sequence[str], check: Check, opts: pulumi.ResourceOptions
) -> pulumi.Output[Checked]:
    """The facts of now, checked against those of the first deployment; the inherited ones stay what they were then.

    Creates a pulumi.Stash, which keeps the first facts for ever, so they may not be secret. Whatever is made from what
    this returns waits for the check, so a refusal leaves nothing half made. `check` is not asked while a fact is unknown.
    """
    keep = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["input"]))
    first = pulumi.Stash(name, input=facts, opts=keep).output
    # Each Output costs the SDK time that grows with all others. So plain facts stay plain, and the kept ones stay out of
    # Output.all, which would make one more Output of each value in them.
    later = {key: value for key, value in facts.items() if isinstance(value, pulumi.Output)}

    def checked(kept: Facts, known: Facts) -> Checked:
        now = {**facts, **known, **{key: kept[key] for key in inherited}}
        check(kept, now)
        return Checked(kept, now)

    if not later:
        return first.apply(lambda kept: checked(kept, {}))
    return first.apply(lambda kept: pulumi.Output.all(**later).apply(lambda known: checked(kept, known)))
