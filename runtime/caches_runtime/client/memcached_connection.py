"""One connection to one Memcached server, by its text protocol. Once it is lost it is never made anew."""

import select
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from caches_runtime.client.credentials import Credentials, password_of

_READ_BYTES = 64 * 1024
# A server that has vanished is noticed after about this long, also by a connection on which nothing is sent.
_VANISHED_SECONDS = 10


class LoginRefusedError(Exception):
    """A server does not take the connection's username and password."""


class ReplyError(Exception):
    """A server has answered with an error, such as that a value is too large."""


@dataclass(frozen=True)
class Server:
    """Where a server is, and how to get in."""

    host: str
    port: int
    username: str | None = None
    password: str | Credentials | None = field(default=None, repr=False)
    """One that rotates comes from where it is kept, for each connection."""
    context: ssl.SSLContext | None = None
    """With TLS."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Connection:
    """Commands and their replies. What takes longer than until `deadline`, of time.monotonic(), raises TimeoutError."""

    def __init__(self, server: Server, deadline: float) -> None:
        """Connects and logs in. Raises OSError, LoginRefusedError."""
        self.server = server
        self.deadline = deadline
        self._buffer = b""
        self._socket = socket.create_connection((server.host, server.port), self._left())
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (
                ("TCP_KEEPIDLE", 5),
                ("TCP_KEEPINTVL", 1),
                ("TCP_KEEPCNT", 5),
                ("TCP_USER_TIMEOUT", _VANISHED_SECONDS * 1000),
            ):
                if hasattr(socket, option):
                    self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            if server.context:
                self._socket.settimeout(self._left())
                self._socket = server.context.wrap_socket(self._socket, server_hostname=server.host)
            if server.password is not None:
                password = server.password if isinstance(server.password, str) else password_of(server.password)
                [reply] = self.ask([stored(b"set", b"login", 0, f"{server.username} {password}".encode())])
                if reply != b"STORED":
                    raise LoginRefusedError(f"{server} does not let in: {reply.decode()}; check the connection's username and password")
        except BaseException:
            self.close()
            raise

    def ask(self, commands: Sequence[bytes]) -> list[bytes]:
        """The line of reply to each."""
        self.send(b"".join(commands))
        return [self.line() for _ in commands]

    def get(self, keys: Iterable[bytes]) -> dict[bytes, tuple[bytes, int]]:
        """Values with their tokens for `cas`, of those keys that there are."""
        self.send(b"gets " + b" ".join(keys) + b"\r\n")
        found = {}
        while (line := self.line()) != b"END":
            if not line.startswith(b"VALUE "):
                raise ReplyError(f"{self.server}: {line.decode(errors='replace')}")
            _, key, _, size, token = line.split()
            found[key] = (self._read(int(size) + 2)[:-2], int(token))
        return found

    def send(self, command: bytes) -> None:
        """Sends all of it."""
        # Bit by bit: with TLS, each bit of sendall() would have all the time that is left.
        rest = memoryview(command)
        while rest:
            self._socket.settimeout(self._left())
            rest = rest[self._socket.send(rest) :]

    def line(self) -> bytes:
        """The next line of a reply, without its end."""
        # Lists of keys have no carriage returns.
        while (end := self._buffer.find(b"\n")) < 0:
            self._buffer += self._receive()
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.removesuffix(b"\r")

    def is_fresh(self) -> bool:
        """Whether the server has not closed it while nobody used it."""
        return not select.select([self._socket], [], [], 0)[0]

    def abandon(self) -> None:
        """Says that nothing more will be sent. The server still does what it was sent, and then closes."""
        self._socket.shutdown(socket.SHUT_WR)

    def await_end(self, deadline: float) -> None:
        """Waits until the server has closed an abandoned connection, or is gone. Raises TimeoutError."""
        self.deadline = deadline
        try:
            while True:
                self._receive()
        except TimeoutError as error:
            # The kernel's own verdict, that the server has vanished, has a number.
            if error.errno is None:
                raise
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _read(self, size: int) -> bytes:
        parts, missing = [self._buffer], size - len(self._buffer)
        while missing > 0:
            parts.append(part := self._receive())
            missing -= len(part)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def _receive(self) -> bytes:
        self._socket.settimeout(self._left())
        if not (received := self._socket.recv(_READ_BYTES)):
            raise ConnectionError(f"{self.server} has closed the connection")
        return received

    def _left(self) -> float:
        if (left := self.deadline - time.monotonic()) <= 0:
            raise TimeoutError(f"{self.server} has not answered in time")
        return left


def stored(word: bytes, key: bytes, seconds: int, value: bytes, token: int | None = None) -> bytes:
    """A command that stores a value: set, add, replace, or cas with a token."""
    return b"%b %b 0 %d %d%b\r\n%b\r\n" % (word, key, seconds, len(value), b"" if token is None else b" %d" % token, value)
