"""Which of a cluster's slots may be read from memory, and by whose word."""

import threading

from redis.crc import key_slot

from caches_runtime.listening import Listener, Masters
from caches_runtime.ops.cluster_state import SLOTS
from caches_runtime.tiers.memory import Memory


class Slots:
    """A slot is read by the word of its master: while every node that is heard names the same one, and none says that it is moving."""

    def __init__(self, memory: Memory, masters: Masters) -> None:
        self._memory = memory
        self._masters = masters
        self._lock = threading.Lock()
        self._served_by: list[Listener | None] = [None] * SLOTS

    @property
    def up(self) -> bool:
        """Whether all slots may be read from memory."""
        return all(listener and listener.up for listener in set(self._served_by))

    def covers(self, key: bytes) -> bool:
        """Whether this key may be."""
        listener = self._served_by[key_slot(key)]
        return listener is not None and listener.up

    def update(self) -> None:
        """After a listener's view has changed: takes out of memory what another one vouches for from now on."""
        with self._lock:
            agreed = _agreed(self._masters.listeners)
            lost = {slot for slot, before in enumerate(self._served_by) if before is not None and before is not agreed[slot]}
            # First nobody may read them, then they go, then the next may vouch for them.
            self._served_by = [None if slot in lost else before for slot, before in enumerate(self._served_by)]
            if lost:
                self._memory.drop_where(lambda key: key_slot(key) in lost)
            self._served_by = agreed


def _agreed(listeners: list[Listener]) -> list[Listener | None]:
    heard = {view.me: (listener, view) for listener in listeners if (view := listener.view)}
    named: list[set[str]] = [set() for _ in range(SLOTS)]
    for _, view in heard.values():
        for slot, owner in view.owners():
            named[slot].add(owner)
    moving = frozenset[int]().union(*(view.moving for _, view in heard.values()))
    agreed: list[Listener | None] = [None] * SLOTS
    for slot, owners in enumerate(named):
        if len(owners) == 1 and slot not in moving and (found := heard.get(next(iter(owners)))):
            agreed[slot] = found[0]
    return agreed
