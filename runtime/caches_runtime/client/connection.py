"""A connection, as a component exports it, read and checked."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from caches_runtime.ops.migrate.link import Endpoint
from caches_runtime.ops.tls import context_of

Default = TypeVar("Default")
SERVERS = ("standalone", "sentinel", "cluster")
# Every mode that there is a client for, by engine.
MODES = {"redis": SERVERS, "valkey": SERVERS, "memcached": ("sharded", "standalone")}
AUTHS = ("iam", "entra", "none")


class ConnectionRefusedError(ValueError):
    """Nothing can be reached by a connection so: what is wrong, and what to do. It never has a secret in it."""


@dataclass(frozen=True)
class Connection:
    """Where a cache is, and how to get in."""

    engine: str
    mode: str
    host: str
    port: int
    reader: Endpoint | None
    nodes: tuple[Endpoint, ...]
    sentinels: tuple[Endpoint, ...]
    master_name: str
    username: str | None
    password: str | None = field(repr=False)
    auth: str
    """iam, entra or none; empty with a password."""
    provider: str
    region: str
    cache_name: str
    serverless: bool
    tls: bool
    ca_pem: str | None = field(repr=False)

    @property
    def uses_tokens(self) -> bool:
        """Whether it is logged in to with a cloud's tokens."""
        return self.auth in ("iam", "entra")

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From an export, also of a program in another language (camelCase, numbers as floats). Raises ConnectionRefusedError."""
        if not isinstance(given, Mapping):
            raise ConnectionRefusedError(f"a connection is a mapping of fields, as a cache exports it, and no {type(given).__name__}")
        fields = _Fields(snake_case(given))
        engine = fields.one_of("engine", tuple(MODES))
        mode = fields.one_of("mode", MODES[engine])
        sentinels = fields.endpoints("sentinels") if mode == "sentinel" else ()
        if mode == "sentinel" and not sentinels:
            raise ConnectionRefusedError("sentinels: missing or empty; mode sentinel needs the address of one at least, as HOST:PORT")
        reader = Endpoint(fields.text("reader_host"), fields.port("reader_port")) if fields.has("reader_host") else None
        nodes = fields.endpoints("nodes")
        auth = fields.one_of("auth", AUTHS) if fields.has("auth") else ""
        if engine == "memcached" and auth not in ("", "none"):
            raise ConnectionRefusedError(f"auth: {auth!r} is no login of Memcached; it takes username and password, or none")
        if mode == "sharded" and not nodes:
            raise ConnectionRefusedError("nodes: missing or empty; mode sharded needs the address of every server, as HOST:PORT")
        return cls(
            engine=engine,
            mode=mode,
            host=fields.text("host"),
            port=fields.port("port"),
            reader=reader,
            nodes=nodes,
            sentinels=sentinels,
            master_name=fields.text("master_name") if mode == "sentinel" else "",
            username=fields.text_or("username", None),
            password=fields.text_or("password", None),
            auth=auth,
            provider=fields.text_or("provider", ""),
            region=fields.text_or("region", ""),
            cache_name=fields.text_or("cache_name", ""),
            serverless=fields.flag("serverless"),
            tls=fields.flag("tls"),
            ca_pem=fields.authority("ca_pem") if fields.has("ca_pem") else None,
        )


def snake_case(connection: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by the names they have in Python."""
    return {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key): value for key, value in connection.items()}


class _Fields:
    """Fields, each checked as it is read. No value is repeated that could be a secret."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def has(self, name: str) -> bool:
        return self._given.get(name) not in (None, "")

    def text(self, name: str) -> str:
        value = self._needed(name)
        if not isinstance(value, str):
            raise ConnectionRefusedError(f"{name}: a {type(value).__name__}, where a text is needed; is the export shown with its secrets?")
        return value

    def text_or(self, name: str, default: Default) -> str | Default:
        return self.text(name) if self.has(name) else default

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        value = self.text(name)
        if value not in known:
            raise ConnectionRefusedError(f"{name}: {value!r} is unknown; it is one of {', '.join(known)}")
        return value

    def port(self, name: str) -> int:
        value = self._needed(name)
        # Another language's numbers are floats.
        whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        if not whole or not 1 <= value <= 65535:
            raise ConnectionRefusedError(f"{name}: {value!r} is no port; it is a whole number from 1 to 65535")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self._given.get(name, False)
        if not isinstance(value, bool):
            raise ConnectionRefusedError(f"{name}: {value!r} is neither true nor false")
        return value

    def authority(self, name: str) -> str:
        value = self.text(name)
        try:
            context_of(pem=value)
        except (ssl.SSLError, ValueError):
            raise ConnectionRefusedError(f"{name}: it has no certificate in PEM") from None
        return value

    def endpoints(self, name: str) -> tuple[Endpoint, ...]:
        value = self._given.get(name) or []
        try:
            if isinstance(value, str):
                raise ValueError(f"{value!r} is no list")
            return tuple(map(Endpoint.parse, value))
        except (TypeError, ValueError) as error:
            raise ConnectionRefusedError(f"{name}: {error}; it is a list of HOST:PORT") from None

    def _needed(self, name: str) -> Any:
        if not self.has(name):
            raise ConnectionRefusedError(f"{name}: missing; give the whole connection, as the cache exports it, with its secrets shown")
        return self._given[name]
