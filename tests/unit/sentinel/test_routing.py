"""Clients of a server that is the master no more are sent on, wherever nodes still lead them."""

from __future__ import annotations

from typing import Any

import pytest
from caches_runtime.ops.sentinel import routing
from caches_runtime.ops.sentinel.members import Member
from caches_runtime.ops.sentinel.routing import Routing
from unit.sentinel.loop import run


class Busy(Member):
    """A client comes back to it as often as it is sent on."""

    def __init__(self) -> None:
        super().__init__(0, "10.0.0.1", "password", "cache")
        self.sent_on = 0

    async def server(self, *command: str | int) -> Any:
        assert command == ("CLIENT", "KILL", "USER", "default")
        self.sent_on += 1


class Followed:
    """The master's Service leads to the new master once it has been asked some times."""

    def __init__(self, asked: int) -> None:
        self._left = asked

    async def show(self, role: str, epoch: int = 0) -> None: ...

    async def master(self) -> str | None:
        self._left -= 1
        return "cache-0" if self._left >= 0 else "cache-1"


@pytest.mark.parametrize("asked", [0, 3, 1000])
def test_a_stopping_server_sends_clients_on_until_every_node_has_followed(monkeypatch: pytest.MonkeyPatch, asked: int) -> None:
    """Also when the Service itself does not follow in time."""
    monkeypatch.setattr(routing, "_SERVICE_SECONDS", 0.1)
    monkeypatch.setattr(routing, "_APPLIED_SECONDS", 0.1)
    monkeypatch.setattr(routing, "_AGAIN_SECONDS", 0.01)
    own = Busy()
    run(Routing(own, Followed(asked)).hand_over(Member(1, "10.0.0.2", "password", "cache")))
    assert own.sent_on > 2
