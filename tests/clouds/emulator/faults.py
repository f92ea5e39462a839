"""What is wrong with an emulated cloud, in a file that its plugin reads before each answer."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

KINDS = {
    "down": "the API refuses everything",
    "throttled": "the API has had too many requests",
    "quota": "nothing more can be made",
    "slow": "the API answers late, by --milliseconds",
    "half-made": "what is made is there, and does not become ready",
    "slow-servers": "servers answer clients late, by at least --milliseconds",
    "hung": "servers that run now hang: they take connections and answer nothing",
}
# As each vendor says it; other clouds say it as Google does.
_SAID = {
    "aws": {
        "down": "ServiceUnavailable: the service is unavailable. Please try again shortly. StatusCode: 503",
        "throttled": "ThrottlingException: Rate exceeded. StatusCode: 400",
        "quota": "NodeQuotaForCustomerExceeded: the request would exceed the number of cache nodes that you can have. StatusCode: 400",
    },
    "azure": {
        "down": 'Status=503 Code="ServiceUnavailable": the service is temporarily unavailable',
        "throttled": 'Status=429 Code="TooManyRequests": the request is being throttled as the limit has been reached',
        "quota": 'Status=409 Code="QuotaExceeded": nothing more can be made in this region',
    },
    "gcp": {
        "down": "Error 503: the service is currently unavailable. UNAVAILABLE",
        "throttled": "Error 429: quota exceeded for requests per minute. RESOURCE_EXHAUSTED, RATE_LIMIT_EXCEEDED",
        "quota": "Error 429: insufficient quota for nodes in this region. RESOURCE_EXHAUSTED, QUOTA_EXCEEDED",
    },
}


class FaultError(Exception):
    """What the cloud says instead of an answer."""


@dataclass(frozen=True)
class Fault:
    """One fault; `token` is the only type of resource that has it, None for all, `once` says that it ends with its first effect."""

    kind: str
    token: str | None = None
    once: bool = False
    milliseconds: int = 0


class Faults:
    """Those of one cloud, which is called as its folder is."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faults.json"
        self._said = _SAID.get(folder.name, _SAID["gcp"])

    def all(self) -> list[Fault]:
        return [Fault(**each) for each in json.loads(self._file.read_text())] if self._file.exists() else []

    def set(self, fault: Fault) -> None:
        """Adds one, in the place of another one of its kind and type."""
        self._store([*(each for each in self.all() if (each.kind, each.token) != (fault.kind, fault.token)), fault])

    def clear(self, kind: str | None = None) -> None:
        """Removes those of a kind, or all."""
        self._store([each for each in self.all() if kind not in (each.kind, None)])

    def meet(self, token: str, *, creates: bool) -> None:
        """Has the API suffer from what it has. Raises FaultError where it refuses."""
        if slow := self.take("slow", token):
            time.sleep(slow.milliseconds / 1000)
        for kind in ("down", "throttled", *(["quota"] if creates else [])):
            if self.take(kind, token):
                raise FaultError(f"{token}: {self._said[kind]}")

    def take(self, kind: str, token: str) -> Fault | None:
        """The fault of that kind that a type has now, which ends with this when it is there once."""
        found = self.find(kind, token)
        if found and found.once:
            self._store([each for each in self.all() if each != found])
        return found

    def find(self, kind: str, token: str) -> Fault | None:
        """The same, without an effect on it."""
        return next((each for each in self.all() if each.kind == kind and each.token in (token, None)), None)

    def _store(self, faults: list[Fault]) -> None:
        written = self._file.with_suffix(".written")
        written.write_text(json.dumps([asdict(each) for each in faults]))
        written.rename(self._file)
