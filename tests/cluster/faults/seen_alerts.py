"""Makes faults, and sees their alerts fire while they are there and end when they are gone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from cluster.deployed import eventually
from cluster.faults.alert_faults import Fault
from cluster.watched import Watched


class _Course:
    """Of one fault: when each of its awaited alerts began and ended, in seconds since the fault did."""

    def __init__(self, fault: Fault, awaited: Sequence[str], ending: ExitStack) -> None:
        self.fault = fault
        self.began = {name: 0.0 for name in awaited}
        self.ended = {name: 0.0 for name in awaited}
        self._ending = ending
        self._changed = time.monotonic()
        self._there = True

    def follow(self, firing: set[tuple[str, str]]) -> None:
        seconds = time.monotonic() - self._changed
        for name in self.began:
            fires = (self.fault.cache, name) in firing
            if self._there and fires:
                self.began[name] = self.began[name] or seconds
            elif not self._there and not fires:
                self.ended[name] = self.ended[name] or seconds
        if self._there and all(self.began.values()):
            self._ending.close()
            self._there = False
            self._changed = time.monotonic()

    @property
    def missing(self) -> str:
        """What was not seen yet."""
        times, verb = (self.began, "fire") if self._there else (self.ended, "end")
        return ", ".join(f"{self.fault.cache}: {name} did not {verb}" for name, seconds in times.items() if not seconds)


def see(watched: Watched, faults: Sequence[Fault], alerts: Sequence[str], seconds: float) -> None:
    """Makes the faults at the same time, and fails unless those alerts of each are seen, and no others; prints what was seen when."""
    courses: list[_Course] = []
    expected = {(fault.cache, name) for fault in faults for name in fault.alerts}
    with ExitStack() as everything:
        for fault in faults:
            ending = everything.enter_context(ExitStack())
            ending.enter_context(fault.make(watched))
            courses.append(_Course(fault, [name for name in fault.alerts if name in alerts], ending))

        def all_seen() -> bool:
            firing = watched.firing()
            assert firing <= expected, f"without a fault of theirs: {firing - expected}"
            for course in courses:
                course.follow(firing)
            return not any(course.missing for course in courses)

        try:
            eventually(all_seen, "all alerts seen", seconds, every=3)
        except AssertionError as error:
            raise AssertionError(f"{error}: {'; '.join(course.missing for course in courses if course.missing)}") from None
        finally:
            print("\n".join(_rows(courses)))


def _rows(courses: Sequence[_Course]) -> Iterator[str]:
    """A table of Markdown, as docs/cache-monitoring.md has it."""
    yield "\n| Alert | Fault | Cache | Fired after | Ended after |\n|---|---|---|---|---|"
    for course in courses:
        for name, began in course.began.items():
            yield f"| {name} | {course.fault.text} | {course.fault.cache} | {began:.0f} s | {course.ended[name]:.0f} s |"
