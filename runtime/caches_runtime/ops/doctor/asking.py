"""Asks servers: as who knows the password, as who does not, and as who does not speak TLS."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import redis

from caches_runtime.ops.doctor.facts import Certificate, Server
from caches_runtime.ops.migrate.link import Endpoint, Link

# Where a server is reached: each question is asked over a way of its own, because one that is hung up on may be gone.
Way = Callable[[], AbstractContextManager[tuple[str, int]]]

SETTINGS = ("maxmemory-policy", "appendfsync", "save", "min-replicas-to-write")
_SECONDS = 10.0
_DAY = 86_400
_SERVED = (b"+PONG", b"VERSION")
# How answers begin that are no TLS.
_READABLE = (b"+", b"-", b"VERSION", b"CLIENT_ERROR", b"SERVER_ERROR", b"ERROR")
_PROBLEMS = (redis.RedisError, OSError, EOFError)


class UnreachableError(Exception):
    """There is no way to a server. Not an OSError: what goes wrong on a way that there is tells something of the server."""


@dataclass(frozen=True)
class Asking:
    """How the servers of one cache are asked."""

    engine: str
    mode: str
    login: Endpoint
    """Everything but where: how clients get in."""
    master_name: str = ""

    def server(self, pod: str, way: Way) -> Server:
        """All that is asked of a server."""
        hello, ask = (b"version\r\n", self._memcached) if self.engine == "memcached" else (b"PING\r\n", self._redis)
        tls = self.login.tls
        try:
            if tls and _greeting(way, hello, False).startswith(_READABLE):
                # To a greeting of TLS it would not answer at all, and each question would be waited for.
                return Server(pod, problem="it speaks plain text where TLS is expected", answers_plaintext=True)
            return replace(self._answers(Server(pod), way, ask), serves_strangers=_greeting(way, hello, tls).startswith(_SERVED))
        except UnreachableError as error:
            return Server(pod, problem=str(error))

    def sentinel(self, pod: str, way: Way) -> Server:
        """What a sentinel knows of the master, and whether it finds a majority."""
        try:
            return self._answers(Server(pod), way, self._sentinel)
        except UnreachableError as error:
            return Server(pod, problem=str(error))

    def _answers(self, server: Server, way: Way, ask: Callable[[Server, Endpoint], Server]) -> Server:
        certificate = _certificate(way, str(self.login.authority)) if self.login.tls else None
        try:
            with way() as (host, port):
                return replace(ask(server, self.login.at(host, port)), certificate=certificate)
        except _PROBLEMS as error:
            return replace(server, problem=str(error) or type(error).__name__, certificate=certificate)

    def _redis(self, server: Server, endpoint: Endpoint) -> Server:
        with Link(endpoint, "doctor") as link:
            # One by one, as old servers take them; what is not told stays unknown. Passwords are settings too, and not asked for.
            told = link.each([("CONFIG", "GET", setting) for setting in SETTINGS])
            settings = {pair[0].decode(): pair[1].decode() for pair in told if isinstance(pair, list) and len(pair) == 2}
            cluster = _fields(link.call("CLUSTER", "INFO")) if self.mode == "cluster" else {}
            return replace(server, info=link.info(), settings=settings, cluster=cluster)

    def _sentinel(self, server: Server, endpoint: Endpoint) -> Server:
        with Link(endpoint, "doctor") as link:
            words = [word.decode() for word in link.call("SENTINEL", "MASTER", self.master_name)]
            [majority] = link.each([("SENTINEL", "CKQUORUM", self.master_name)])
            said = majority.decode() if isinstance(majority, bytes) else str(majority)
            return replace(server, info={**dict(zip(words[::2], words[1::2], strict=True)), "majority": said})

    def _memcached(self, server: Server, endpoint: Endpoint) -> Server:
        with _connected(endpoint.host, endpoint.port) as plain:
            stream = _trusting(str(endpoint.authority)).wrap_socket(plain) if endpoint.tls else plain
            with stream, stream.makefile("rwb") as talk:

                def ask(line: bytes) -> list[str]:
                    talk.write(line + b"\r\n")
                    talk.flush()
                    lines = [talk.readline()]
                    while lines[-1].startswith(b"STAT "):
                        lines.append(talk.readline())
                    if not lines[-1]:
                        raise EOFError("the server hung up")
                    return [each.decode().strip() for each in lines]

                if endpoint.password is not None:
                    login = f"{endpoint.username} {endpoint.password}".encode()
                    if (said := ask(b"set login 0 0 %d\r\n%s" % (len(login), login))) != ["STORED"]:
                        raise OSError(f"the login is refused: {said[0]}")
                return replace(server, info=_stats(ask(b"stats")), settings=_stats(ask(b"stats settings")))


def _stats(lines: list[str]) -> Mapping[str, str]:
    if lines[-1] != "END":
        raise OSError(f"the server says {lines[-1]!r} instead of its statistics")
    return {name: value for _, name, value in (line.split(" ", 2) for line in lines[:-1] if line.count(" ") > 1)}


def _fields(text: bytes) -> Mapping[str, str]:
    return dict(line.partition(":")[::2] for line in text.decode().splitlines() if ":" in line)


def _greeting(way: Way, hello: bytes, tls: bool) -> bytes:
    """What a server answers to who has no password; nothing when it hangs up."""
    with contextlib.suppress(OSError), way() as (host, port), _connected(host, port) as plain:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a stranger does not care
        with context.wrap_socket(plain) if tls else plain as stream:
            stream.sendall(hello)
            return stream.recv(100)
    return b""


def _certificate(way: Way, authority: str) -> Certificate | None:
    try:
        with way() as (host, port), _connected(host, port) as plain, _trusting(authority).wrap_socket(plain) as stream:
            shown = stream.getpeercert() or {}
            return Certificate((ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()) / _DAY)
    except ssl.SSLCertVerificationError as error:
        return Certificate(problem=error.verify_message)
    except OSError:
        return None  # who asks further will say why


def _trusting(authority: str) -> ssl.SSLContext:
    """Of servers that are known by their authority, and by no name: they are reached by another."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority)
    return context


def _connected(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), timeout=_SECONDS)
