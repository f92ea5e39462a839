"""One connection to one server. Once it is lost it is never made anew: whoever uses it starts over, and asks what is there now."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hiredis
import redis
from redis.connection import Connection, DefaultParser, SSLConnection

from caches_runtime.ops.tls import AuthorityConnection

# A very large value takes some seconds to be written out by its server.
ANSWER_SECONDS = 30.0
SCAN_COUNT = 500
_READ_BYTES = 256 * 1024
_TOGETHER_BYTES = 1024 * 1024
_MORE = object()
LOST = (redis.ConnectionError, redis.TimeoutError, OSError)
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<host>[^:\s\[\]]+)):(?P<port>\d{1,5})")

Command = tuple[Any, ...]


@dataclass(frozen=True)
class Endpoint:
    """Where a server is, and how to get in."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None
    """Authority that has signed its certificate; None for those that the machine trusts."""
    authority: Path | None = None
    """Of a cache of ours that speaks TLS: its certificate is known by that, and by no name."""
    answer_seconds: float = ANSWER_SECONDS
    """How long it may be silent when it is asked something."""

    @classmethod
    def parse(cls, address: str, **more: Any) -> Self:
        """From `host:port`. Raises ValueError."""
        found = _ADDRESS.fullmatch(address)
        if not found:
            raise ValueError(f"{address!r} is not HOST:PORT")
        return cls(found["six"] or found["host"], int(found["port"]), **more)

    def at(self, host: str, port: int) -> Self:
        """Another server of the same kind."""
        return replace(self, host=host, port=port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self, name: str, **more: Any) -> Connection:
        """A connection of that name, perhaps empty: the one place where any is made."""
        options: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "username": self.username if self.password is not None else None,
            "password": self.password,
            "client_name": name,
            "socket_timeout": self.answer_seconds,
            "socket_connect_timeout": 5.0,
            "driver_info": None,  # else it sends commands that not every user may
            "protocol": 2,
            **more,
        }
        made: Connection
        if self.authority:
            made = AuthorityConnection(self.authority, **options)
        elif self.tls:
            made = SSLConnection(ssl_ca_certs=self.ca_file, **options)
        else:
            made = Connection(**options)  # type: ignore[no-untyped-call]
        made.connect()  # type: ignore[no-untyped-call]
        return made


class Link:
    """A connection that many commands are sent over together, each in a database."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        """Raises redis.AuthenticationError, or one of LOST."""
        self.endpoint = endpoint
        self._connection: Any = endpoint.connect(name)
        self._database = 0
        self._lost = False

    def each(self, commands: Sequence[Command], database: int = 0) -> list[Any]:
        """The replies as the server gives them; errors too."""
        if self._lost:
            raise redis.ConnectionError(f"the connection to {self.endpoint} is lost")
        # Until all is read nothing more can be sent.
        self._lost = True
        selects = database != self._database
        sent = [("SELECT", database), *commands] if selects else commands
        self._send(sent)
        replies = self._read(len(sent))
        self._lost = False
        if selects:
            selected = replies.pop(0)
            if isinstance(selected, Exception):
                raise selected
            self._database = database
        return replies

    def every(self, commands: Sequence[Command], database: int = 0) -> list[Any]:
        """The replies; raises the first that is an error."""
        return sound(self.each(commands, database))

    def call(self, *words: Any, database: int = 0) -> Any:
        """The reply to one command; raises it when it is an error."""
        return self.every([words], database)[0]

    def info(self, *section: str) -> dict[str, str]:
        """INFO, by field."""
        lines = self.call("INFO", *section).decode(errors="replace").splitlines()
        return dict(line.partition(":")[::2] for line in lines if ":" in line)

    def scan(self, database: int) -> Iterator[list[bytes]]:
        """Every key that is there all the while, in batches; some perhaps twice."""
        cursor = b"0"
        while True:
            cursor, keys = self.call("SCAN", cursor, "COUNT", SCAN_COUNT, database=database)
            if keys:
                yield keys
            if cursor == b"0":
                return

    def close(self) -> None:
        """Ends the connection."""
        self._lost = True
        self._connection.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _send(self, commands: Sequence[Command]) -> None:
        packed = list(map(hiredis.pack_command, commands))
        # In one piece, unless that would be another copy of something large.
        self._connection.send_packed_command(packed if sum(map(len, packed)) > _TOGETHER_BYTES else [b"".join(packed)])

    def _read(self, count: int) -> list[Any]:
        # Directly: the client's own way takes longer for a reply than the server. And anew: a reader keeps room for the largest.
        reader = hiredis.Reader(replyError=self._connection._parser.parse_error, notEnoughData=_MORE)
        replies: list[Any] = []
        while len(replies) < count:
            if (reply := reader.gets()) is not _MORE:
                replies.append(reply)
            elif received := self._connection._sock.recv(_READ_BYTES):
                reader.feed(received)
            else:
                raise redis.ConnectionError(f"{self.endpoint} has closed the connection")
        for reply in replies:
            if isinstance(reply, redis.ConnectionError):  # such as LOADING
                raise reply
        return replies


class Watch:
    """
    Hears of every key that changes on a server, by expiry and eviction too, in whichever database.

    The server notes names, not values, and forgets none while the connection lasts (CLIENT TRACKING, broadcasting). What it
    had acknowledged before a PING is in what it has sent before the answer.
    """

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self.flushed = False
        """Whether a whole database was emptied, of which single keys are not named."""
        self._changed: set[bytes] = set()
        self._connection = endpoint.connect(name, protocol=3, parser_class=_parser)
        self._ask("CLIENT", "TRACKING", "ON", "BCAST")

    def take(self) -> set[bytes]:
        """The names of the keys that have changed since this was last asked."""
        self._ask("PING")
        taken, self._changed = self._changed, set()
        return taken

    def close(self) -> None:
        """Ends the connection."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]

    def _ask(self, *words: str) -> None:
        self._connection.send_command(*words)  # type: ignore[no-untyped-call]
        # One by one: on its own redis-py 8.1 calls itself for each, and drops what a handler raises.
        while isinstance(heard := self._connection.read_response(disable_decoding=True, push_request=True), list):
            _, names = heard
            if names is None:
                self.flushed = True
            else:
                self._changed.update(names)


def sound(replies: list[Any]) -> list[Any]:
    """The same replies; raises the first that is an error."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _parser(socket_read_size: int) -> Any:
    made: Any = DefaultParser(socket_read_size=socket_read_size)
    made.set_invalidation_push_handler(lambda message: message)
    return made
