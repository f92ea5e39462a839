"""Changes that come as events of EventBridge, by Lambda or from an SQS queue."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec

from caches_runtime.observers.change import Change, Invalidates, MalformedEventError, Said

log = logging.getLogger(__name__)

DETAIL_TYPE = "Cache Invalidation"
Name = tuple[str, str, str]
"""The event's source, a field of Said, and what it names."""


class Detail(Said, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What an event says."""

    version: int
    """Of what it names: a later change has a higher one."""


class Event(msgspec.Struct, frozen=True):
    """The fields that are read here, of those in
    https://docs.aws.amazon.com/eventbridge/latest/userguide/aws-events.html."""

    source: str
    kind: str = msgspec.field(name="detail-type")
    detail: Detail


class Consumer:
    """
    Tells who holds values what events say. For any number of threads.

    Events come more than once, and in any order. For each key, prefix and tag, and for everything, the highest version that was told is
    remembered: an event that has that, or an older one, does nothing. So versions have to rise as the source changes, such as a row's
    number of changes; clocks of several machines don't. What is forgotten, or was told by another process, is told once more.
    """

    def __init__(self, target: Invalidates, *, remembered: int = 100_000) -> None:
        """`remembered`: of how many names; beyond that the one goes that was told longest ago."""
        if remembered < 1:
            raise ValueError(f"remembered = {remembered}: it is at least 1")
        self._target = target
        self._remembered = remembered
        self._told: OrderedDict[Name, int] = OrderedDict()
        self._lock = threading.Lock()

    def handle(self, event: Any, _context: Any = None) -> dict[str, Any] | None:
        """What Lambda calls, with an event, or with messages of a queue.

        Of a queue it returns those that failed, which need `ReportBatchItemFailures`: they come again, and in the end to the queue of
        dead letters. Of one event it raises MalformedEventError, and what the target does.
        """
        if not isinstance(event, dict) or "Records" not in event:
            self.apply(event)
            return None
        failed = []
        for record in event["Records"]:
            try:
                self.apply(record["body"])
            except Exception as error:  # the others are not to wait for it
                log.warning("an event was not applied: %s", error if isinstance(error, MalformedEventError) else type(error).__name__)
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}

    def apply(self, event: Any) -> bool:
        """Tells what one event says, a mapping or its JSON; False where all of it was told before. Raises as `handle`."""
        understood = _understood(event)
        names = _names(understood)
        with self._lock:
            news = [name for name in names if self._told.get(name, understood.detail.version - 1) < understood.detail.version]
        if not news:
            return False
        self._target.invalidated(_change(news))
        with self._lock:
            for name in news:
                self._told[name] = max(understood.detail.version, self._told.get(name, understood.detail.version))
                self._told.move_to_end(name)
            while len(self._told) > self._remembered:
                self._told.popitem(last=False)
        return True


def _understood(event: Any) -> Event:
    try:
        found = msgspec.json.decode(event, type=Event) if isinstance(event, str | bytes) else msgspec.convert(event, Event)
    except msgspec.DecodeError as error:  # and of validation
        raise MalformedEventError(f"an event of EventBridge: {error}") from error
    if found.kind != DETAIL_TYPE:
        raise MalformedEventError(f"detail-type = {found.kind!r}: it is {DETAIL_TYPE!r}; let the rule match that")
    if not _names(found):
        raise MalformedEventError("detail: names nothing; it has keys, prefixes, tags or everything")
    return found


def _names(event: Event) -> list[Name]:
    said = event.detail
    named: Iterable[tuple[str, tuple[str, ...]]] = (("keys", said.keys), ("prefixes", said.prefixes), ("tags", said.tags))
    names = [(event.source, field, name) for field, of in named for name in of]
    return [*names, (event.source, "everything", "")] if said.everything else names


def _change(names: list[Name]) -> Change:
    def of(field: str) -> tuple[str, ...]:
        return tuple(name for _, named, name in names if named == field)

    return Change(of("keys"), of("prefixes"), of("tags"), bool(of("everything")))
