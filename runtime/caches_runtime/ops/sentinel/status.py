"""What an agent tells over HTTP: its server's role, how new the data in its volume is, and how long it has not heard the master."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from caches_runtime.ops.sentinel.members import TIMEOUT_SECONDS, Member, ServerState
from caches_runtime.ops.sentinel.succession import Progress

PORT = 8080
Answer = TypeVar("Answer")
_DUAL = socket.has_dualstack_ipv6()


class _Server(ThreadingHTTPServer):
    """On every address: IPv4 and, where the kernel has it, IPv6."""

    address_family = socket.AF_INET6 if _DUAL else socket.AF_INET

    def server_bind(self) -> None:
        if _DUAL:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


@dataclass(frozen=True)
class Silence:
    """How long an agent has not heard a master."""

    master: str
    """Its address; empty while the group has agreed on none."""
    seconds: float


class Status:
    """Answers /master and /replica with 200 or 503, /restored with a Progress, /silence with a Silence. No secret, so no password."""

    def __init__(self, restored: Callable[[], Progress], silence: Callable[[], Silence]) -> None:
        self._role = ""
        self._told: dict[str, Callable[[], Progress | Silence]] = {"/restored": restored, "/silence": silence}

    def update(self, state: ServerState, serving: bool) -> None:
        """The own server's state; serving is whether the group agrees with it."""
        self._role = ("/master" if state.is_master else "/replica") if serving else ""

    def withdraw(self) -> None:
        """Until the next update it is neither."""
        self._role = ""

    def serve(self, port: int = PORT) -> None:
        """Starts answering, in a thread of its own."""
        status = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tell = status._told.get(self.path)
                found = tell is not None or self.path == status._role
                body = json.dumps(asdict(tell())).encode() if tell else b""
                # A front that has read the first line has its answer and goes.
                with contextlib.suppress(ConnectionError):
                    self.send_response(HTTPStatus.OK if found else HTTPStatus.SERVICE_UNAVAILABLE)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Asked several times a second: nobody wants to read of it."""

        threading.Thread(target=_Server(("", port), Handler).serve_forever, daemon=True).start()


async def restored_of(member: Member, port: int = PORT) -> Progress:
    """What a member's agent says of the data in its volume. Raises OSError or TimeoutError."""
    return await _told_by(member, port, "/restored", Progress.parse)


async def silence_of(member: Member, port: int = PORT) -> Silence:
    """What a member's agent says of the master. Raises OSError or TimeoutError."""

    def parse(text: str) -> Silence:
        fields = json.loads(text)
        return Silence(str(fields["master"]), float(fields["seconds"]))

    return await _told_by(member, port, "/silence", parse)


async def _told_by(member: Member, port: int, path: str, parse: Callable[[str], Answer]) -> Answer:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_connection(member.host, port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            reply = await reader.read()
        finally:
            writer.close()
    head, _, body = reply.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError(f"{member} said {head[:80]!r}")
    try:
        return parse(body.decode())
    except (ValueError, TypeError, KeyError) as error:
        raise ConnectionError(f"{member} was cut off: {error}") from error
