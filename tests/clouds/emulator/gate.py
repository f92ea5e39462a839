"""What clients reach of a cache, as a process in front of its servers: it lets in by tokens as the cloud does, and can be slow."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from clouds.emulator.faults import Faults
from clouds.emulator.resp import Requests

# What is read at once; twice as much is kept in each direction for who reads slowly.
_CHUNK = 1 << 18
_WAITING = 511


class Gate:
    """That of a cache's folder, from what servers.py has written there."""

    def __init__(self, folder: Path) -> None:
        self._settings: dict[str, Any] = json.loads((folder / "gate.json").read_text())
        self._logins = folder / "logins.json"
        self._faults = Faults(folder.parent)
        self._tls: dict[str, Any] = {}
        self._to_server: dict[str, Any] = {}
        if self._settings["tls"]:
            certified = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            certified.load_cert_chain(folder / "tls.crt", folder / "tls.key")
            self._tls = {"ssl": certified}
            self._to_server = {"ssl": ssl.create_default_context(cafile=folder / "ca.crt")}

    async def serve(self) -> None:
        """Serves until the process ends."""
        address = self._settings["address"]
        for port, behind in self._settings["ports"].items():
            meet = partial(self._meet, behind)
            await asyncio.start_server(meet, address, int(port), limit=_CHUNK, backlog=_WAITING, **self._tls)
        await asyncio.Event().wait()

    async def _meet(self, port: int, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            server, requests = await asyncio.open_connection(self._settings["address"], port, limit=_CHUNK, **self._to_server)
        except OSError:
            answers.close()
            return
        try:
            async with asyncio.timeout(None) as login, asyncio.TaskGroup() as both:
                both.create_task(self._ask(client, requests, login))
                both.create_task(self._answer(server, answers))
        except* (EOFError, OSError):
            # One end has closed it, or its login has ended.
            pass
        finally:
            requests.close()
            answers.close()

    async def _ask(self, client: asyncio.StreamReader, requests: asyncio.StreamWriter, login: asyncio.Timeout) -> None:
        found = Requests(partial(self._password_of, login))
        while data := await client.read(_CHUNK):
            requests.write(found.feed(data))
            await requests.drain()
        raise EOFError

    async def _answer(self, server: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        while data := await server.read(_CHUNK):
            if slow := self._faults.find("slow-servers", self._settings["resource_type"]):
                await asyncio.sleep(slow.milliseconds / 1000)
            answers.write(data)
            await answers.drain()
        raise EOFError

    def _password_of(self, session: asyncio.Timeout, user: bytes, password: bytes) -> bytes:
        """The password that the server has for a user of tokens; a wrong one for a wrong token, so that the server refuses it itself."""
        name = user.decode(errors="replace")
        login = json.loads(self._logins.read_text()).get(name)
        if login is None:
            return password
        check = import_module(f"clouds.emulator.{login.pop('by')}").good_until
        until = check(password.decode(errors="replace"), name, **login)
        if until is None:
            return b"a wrong token"
        session.reschedule(asyncio.get_running_loop().time() + until - time.time())
        return str(self._settings["password"]).encode()


if __name__ == "__main__":
    asyncio.run(Gate(Path(sys.argv[1])).serve())
