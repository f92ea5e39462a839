"""Logs in to Memcached for a client in the same pod that can't: memcached_exporter, which knows no password."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

# Longer than Prometheus waits for an exporter. memcached_exporter leaves its connections open, and a hung server's stay so.
CONNECTION_SECONDS = 10
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Forward:
    """A port of this pod, and the server that whoever connects there speaks to."""

    port: int
    host: str
    server_port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads PORT=HOST:PORT. Raises ValueError."""
        port, _, server = text.partition("=")
        host, _, server_port = server.rpartition(":")
        if not (port.isdecimal() and host and server_port.isdecimal()):
            raise ValueError(f"{text!r} must be PORT=HOST:PORT")
        return cls(int(port), host.strip("[]"), int(server_port))


@dataclass(frozen=True)
class Login:
    """How to log in to every server."""

    username: str
    password_file: Path
    tls: bool
    ca_file: Path | None
    """None for the authorities that this machine trusts."""

    def context(self) -> ssl.SSLContext | None:
        """Made anew for each connection: the authority may have been renewed."""
        if not self.tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca_file) if self.ca_file else context.load_default_certs()
        return context

    def command(self) -> bytes:
        """The text protocol's login, with the password as it is now."""
        token = self.username.encode() + b" " + self.password_file.read_bytes().rstrip(b"\n")
        return b"set login 0 0 %d\r\n%s\r\n" % (len(token), token)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(forwards: Sequence[Forward], login: Login) -> None:
    """Serves until the process is asked to end."""
    asyncio.run(_serve(forwards, login))


async def _serve(forwards: Sequence[Forward], login: Login) -> None:
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    for forward in forwards:
        await asyncio.start_server(partial(_pass_on, forward, login), "127.0.0.1", forward.port)
    print(f"logs in to {', '.join(f'{forward.host}:{forward.server_port}' for forward in forwards)}", flush=True)
    await asked_to_end.wait()


async def _pass_on(forward: Forward, login: Login, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes the connection when the server does not let in, which is all that its client can understand."""
    problem = "no answer"
    try:
        async with asyncio.timeout(CONNECTION_SECONDS), _logged_in(forward, login) as server:
            problem = ""
            await _both_ways((reader, writer), server)
    except TimeoutError:
        pass
    except (OSError, ValueError) as error:
        problem = str(error)
    finally:
        writer.close()
    if problem:
        print(f"{forward.host}:{forward.server_port}: {problem}", flush=True)


@contextlib.asynccontextmanager
async def _logged_in(forward: Forward, login: Login) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection(forward.host, forward.server_port, ssl=login.context())
    try:
        writer.write(login.command())
        said = (await reader.readline()).decode(errors="replace").strip()
        if said != "STORED":
            raise ConnectionRefusedError(f"does not let in: {said or 'connection closed'}")
        yield reader, writer
    finally:
        writer.close()


async def _both_ways(client: Stream, server: Stream) -> None:
    """Until one of both ends it."""
    ways = [asyncio.ensure_future(_copy(source[0], target[1])) for source, target in ((client, server), (server, client))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK_BYTES):
        target.write(chunk)
        await target.drain()
