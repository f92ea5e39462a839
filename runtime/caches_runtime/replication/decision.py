"""Which site is right about a key: a three-way comparison with what they were made to have in common last."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

# Servers before 7.0 say how long a key lives, and not until when: then it is known within the time of an answer.
DEADLINE_MILLISECONDS = 1000


class Mark(NamedTuple):
    """What was seen under a key: the digest of its value, and its deadline."""

    digest: bytes
    deadline: int

    def same(self, other: "Mark") -> bool:
        """Whether it is as good as equal."""
        if self.digest != other.digest:
            return False
        both = self.deadline and other.deadline
        return self.deadline == other.deadline or bool(both and abs(self.deadline - other.deadline) <= DEADLINE_MILLISECONDS)


ABSENT = Mark(b"", 0)


@dataclass(frozen=True, slots=True)
class Note:
    """What is remembered of a key."""

    agreed: Mark = ABSENT
    """What all sites had."""
    intended: Mark | None = None
    """What all others were about to be given, of which it is not known whether they were."""
    giver: int = 0
    """Which site had it."""


NOTHING = Note()


class Decision(NamedTuple):
    """What is to be done about a key."""

    giver: int | None
    """The site whose value all others get; None to leave all alone and forget the key."""
    conflict: bool = False
    """Whether something is lost that a client has written elsewhere meanwhile."""


def decide(found: Sequence[Mark], note: Note, *, leader: bool, lost: Sequence[int] = (), last: int | None = None) -> Decision:
    """
    Which site's value all get. `found` is what each has; `leader` says whether the first is always right; `lost` are sites that have
    lost their data, so that what is absent there was not deleted; `last` is the one that a change was heard from last.
    """
    gone = [site for site in lost if found[site] == ABSENT]
    if leader:
        # What the leader never had is somebody else's.
        nobody = found[0] == ABSENT and (note == NOTHING or 0 in gone)
        return Decision(None if nobody else 0)
    if gone:
        note = NOTHING
    changed = [site for site, mark in enumerate(found) if not _as_noted(site, mark, note)]
    if not changed:
        return Decision(note.giver if note.intended else 0)
    # A write is worth more than a deletion.
    written = [site for site in changed if found[site] != ABSENT] or changed
    giver = last if last is not None and last in written else written[0]
    return Decision(giver, any(not found[site].same(found[giver]) for site in changed))


def _as_noted(site: int, mark: Mark, note: Note) -> bool:
    if note.intended is None:
        return mark.same(note.agreed)
    # The giver had it when that was noted; the others had what was agreed, and may have been given it since.
    return mark.same(note.intended) or (site != note.giver and mark.same(note.agreed))
