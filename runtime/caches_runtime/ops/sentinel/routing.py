"""Where the Services lead clients: shows the own server's role, and sends clients on when another one is the master."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from caches_runtime.ops.sentinel.handover import disconnect_clients
from caches_runtime.ops.sentinel.members import Member
from caches_runtime.ops.sentinel.roles import MASTER, REPLICA

# How long a handed over pod goes on, so that the Service has moved before clients connect again.
_SERVICE_SECONDS = 1.0
# After what time nodes have applied a change of the Service in any case, and how often a stopping server looks for who came meanwhile.
_APPLIED_SECONDS = 1.5
_AGAIN_SECONDS = 0.1
_POLL_SECONDS = 0.02
# Where nobody waits, and the API server may be asked for long: the new master's agent may be away.
_PATIENT_POLL_SECONDS = 0.5


class Shower(Protocol):
    """What shows roles to the Services; roles.Roles but in tests."""

    async def show(self, role: str, epoch: int = 0) -> None: ...
    async def master(self) -> str | None: ...


class Routing:
    """Of clients, to or from one server."""

    def __init__(self, own: Member, roles: Shower) -> None:
        self._own = own
        self._roles = roles
        self._led_here = False
        self._left = asyncio.Event()

    async def show_master(self, epoch: int) -> None:
        """From now on the master's Service leads here, unless it does already to the master of a later epoch."""
        self._led_here = True
        await self._roles.show(MASTER, epoch)

    async def show_replica(self) -> None:
        await self._roles.show(REPLICA)

    def leave(self) -> None:
        """Another server is the master, and the own one a replica, perhaps after a restart."""
        if self._led_here:
            self._led_here = False
            self._left.set()

    async def send_clients_on(self) -> None:
        """Waits until another server is the master, and disconnects clients, who would be told for ever that this is a replica."""
        await self._left.wait()
        self._left.clear()
        await disconnect_clients(self._own)
        while not self._led_here and await self._roles.master() == self._own.pod:
            await asyncio.sleep(_PATIENT_POLL_SECONDS)
        await asyncio.sleep(_APPLIED_SECONDS)
        if not self._led_here:
            # Those that still came here meanwhile.
            await disconnect_clients(self._own)

    async def hand_over(self, new: Member) -> None:
        """The same before the own server stops, and as soon as can be: its clients wait."""
        deadline = time.monotonic() + _SERVICE_SECONDS
        while await self._roles.master() != new.pod and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        # Until nodes have applied the change, clients are led here again; to where no pod is any more, they would wait for long.
        deadline = time.monotonic() + _APPLIED_SECONDS
        while time.monotonic() < deadline:
            await disconnect_clients(self._own)
            await asyncio.sleep(_AGAIN_SECONDS)
