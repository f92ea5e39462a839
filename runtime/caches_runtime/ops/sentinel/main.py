"""Puts an agent together from what its pod was given."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from pathlib import Path

from caches_runtime.ops.sentinel.agent import Agent
from caches_runtime.ops.sentinel.hearing import Limits
from caches_runtime.ops.sentinel.members import SERVER_PORT, Member
from caches_runtime.ops.sentinel.roles import OwnPod, Roles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a pod tells its agent. Pods, and the Services of their addresses, are named GROUP-ORDINAL."""

    group: str
    members: int
    engine: str
    namespace: str
    own: OwnPod
    limits: Limits
    password_file: Path
    run_folder: Path
    data_folder: Path
    ca_file: Path | None
    hostnames: bool
    """Whether members are known by the names of their Services, not by the addresses."""


def run(settings: Settings) -> None:
    """Runs the agent of a pod until the pod is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    password = settings.password_file.read_text().rstrip("\n")
    members = []
    for ordinal in range(settings.members):
        pod = f"{settings.group}-{ordinal}"
        name = f"{pod}.{settings.namespace}.svc"
        address = await _resolve(name)
        host = "127.0.0.1" if pod == settings.own.name else address
        known_as = name if settings.hostnames else address
        members.append(Member(ordinal, known_as, password, settings.group, host, settings.ca_file))
    own = next(member for member in members if member.pod == settings.own.name)
    roles = Roles(settings.group, settings.engine, SERVER_PORT, settings.own)
    agent = Agent(settings.group, members, own, settings.limits, roles, settings.run_folder, settings.data_folder)
    agent.status.serve()
    await agent.run()


async def _resolve(name: str) -> str:
    """The address of a member's Service: fixed, so it is asked for once and names play no part in a failover.

    Of two it is the one of IPv4, as in the scripts (lib.sh): all of the group have to choose the same.
    """
    while True:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
            return min((str(address[0]) for *_, address in found), key=lambda address: (":" in address, address))
        except socket.gaierror as error:
            log.info("%s: %s", name, error)
            await asyncio.sleep(0.5)
