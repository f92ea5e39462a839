"""Runs the runtime's code in the network of a pod: `driver.py COMMAND JSON`. Prints what came of it as JSON."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from caches_runtime.ops.sentinel import handover
from caches_runtime.ops.sentinel.agent import Agent
from caches_runtime.ops.sentinel.election import NotElected, elect, publish
from caches_runtime.ops.sentinel.handover import NoSuccessor
from caches_runtime.ops.sentinel.hearing import Limits
from caches_runtime.ops.sentinel.members import Member, ServerState, ask
from caches_runtime.ops.sentinel.roles import MASTER
from caches_runtime.ops.sentinel.status import Silence, Status, silence_of
from caches_runtime.ops.sentinel.succession import Progress


class Shown:
    """In place of roles.Roles: a file that holds whom the master's Service leads to, and one line for each change beside it.

    The file beside it holds the epoch, and is what agents lock.
    """

    def __init__(self, pod: str, service: Path) -> None:
        self._pod = pod
        self._service = service
        self._shown = ("", 0)

    async def show(self, role: str, epoch: int = 0) -> None:
        if (role, epoch) == self._shown:
            return
        if role == MASTER and not self._take(epoch):
            return
        self._shown = (role, epoch)
        with self._service.with_suffix(".log").open("a") as log:
            log.write(f"{self._pod} {role}\n")

    def _take(self, epoch: int) -> bool:
        with self._service.with_suffix(".epoch").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if int(file.read() or 0) > epoch:
                return False
            file.truncate(0)
            file.write(str(epoch))
            written = self._service.with_suffix(f".{self._pod}")
            written.write_text(self._pod)
            written.rename(self._service)
        return True

    async def master(self) -> str | None:
        return self._service.read_text() if self._service.exists() else None


def members(given: dict[str, Any], own: int | None = None) -> list[Member]:
    ca_file = Path(given["ca_file"]) if given["ca_file"] else None
    return [
        Member(ordinal, address, given["password"], given["group"], "127.0.0.1" if ordinal == own else host, ca_file)
        for ordinal, (address, host) in enumerate(zip(given["addresses"], given["hosts"], strict=True))
    ]


async def run_agent(given: dict[str, Any]) -> None:
    own = given["own"]
    known = members(given, own)
    shown = Shown(known[own].pod, Path(given["service"]))
    limits = Limits(given["down_after_seconds"], len(known) // 2 + 1)
    agent = Agent(given["group"], known, known[own], limits, shown, Path(given["run"]), Path(given["data"]))
    agent.status.serve()
    await agent.run()


async def run_elections(given: dict[str, Any]) -> list[list[int]]:
    """The epochs that each of some candidates won, who all stand for election again and again at the same time."""

    async def stand() -> list[int]:
        known, won = members(given), []
        for _ in range(given["rounds"]):
            try:
                won.append(await elect(known, given["group"]))
            except NotElected:
                continue
        return won

    return await asyncio.gather(*(stand() for _ in range(given["candidates"])))


async def run_publish(given: dict[str, Any]) -> int:
    known = members(given)
    return await publish(known, given["group"], known[given["master"]], given["epoch"])


async def run_hand_over(given: dict[str, Any]) -> int | str:
    known = members(given)
    try:
        return (await handover.hand_over(known, given["group"], known[given["master"]])).ordinal
    except (NoSuccessor, NotElected) as error:
        return str(error)


async def run_take_over(given: dict[str, Any]) -> int | str:
    known = members(given)
    try:
        return (await handover.take_over(known, given["group"], known[given["master"]])).ordinal
    except (NoSuccessor, NotElected) as error:
        return str(error)


async def run_states(given: dict[str, Any]) -> dict[str, Any]:
    states = await ask(members(given), lambda member: member.state())
    return {member.pod: asdict(state) for member, state in states.items()}


async def run_views(given: dict[str, Any]) -> dict[str, Any]:
    views = await ask(members(given), lambda member: member.view())
    return {member.pod: asdict(view) for member, view in views.items()}


async def run_connect_anew(given: dict[str, Any]) -> None:
    await asyncio.gather(*(member.connect_sentinel_anew() for member in members(given)))


async def run_status(given: dict[str, Any]) -> None:
    """Tells over HTTP what is in a file: `master`, `slave`, or nothing."""
    status = Status(Progress, lambda: Silence("", 0))
    status.serve()
    while True:
        role = Path(given["file"]).read_text()
        status.update(ServerState(role, 0, "", True, True, False, False), serving=bool(role))
        await asyncio.sleep(0.02)


async def run_silences(given: dict[str, Any]) -> dict[str, Any]:
    silences = await ask(members(given), silence_of)
    return {member.pod: asdict(silence) for member, silence in silences.items()}


COMMANDS = {
    "agent": run_agent,
    "status": run_status,
    "elections": run_elections,
    "publish": run_publish,
    "hand_over": run_hand_over,
    "take_over": run_take_over,
    "states": run_states,
    "views": run_views,
    "connect_anew": run_connect_anew,
    "silences": run_silences,
}

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    print(json.dumps(asyncio.run(COMMANDS[sys.argv[1]](json.loads(sys.argv[2])))))
