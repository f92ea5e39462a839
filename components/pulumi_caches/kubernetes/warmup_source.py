"""Where a warm-up's entries come from: a URL, a file of a ConfigMap or a volume, a database, or another cache."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

import pulumi

from pulumi_caches.arguments import Arguments
from pulumi_caches.connection import Connection, read_connection
from pulumi_caches.kubernetes import pod
from pulumi_caches.kubernetes.credentials import from_secret

_OBJECT = re.compile(r"(configmap|pvc|secret)://([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?)((?:/[-\w=][-\w.=]*)+)")
_WEB = re.compile(r"https?://[^\s?#@]+")
_EITHER = re.compile(f"{_OBJECT.pattern}|{_WEB.pattern}")
_RULE = (
    "must be https://HOST/PATH, configmap://NAME/KEY, pvc://CLAIM/PATH, or secret://NAME/KEY of a Secret with a URL; "
    "a URL with a login or with '?' belongs into one, where not everybody can read it"
)
# What `caches warmup` knows the format by.
_ENDINGS = re.compile(r".*\.(jsonl|ndjson|json|csv)(\.gz)?")
_VOLUME = {"name": "source", "mount_path": "/source", "read_only": True}
_SECRET_FILE = "source-url"
FROM_FILE = "from.json"


class SourceFormat(StrEnum):
    """What a text is written in."""

    JSON = "json"
    """A JSON object a line."""
    CSV = "csv"
    """Comma-separated values, with the columns' names in the first line."""


class WarmupSourceArgs(TypedDict):
    """Arguments that say where entries come from. One of `source` and `from_connection` is needed."""

    source: NotRequired[str]
    """https://HOST/PATH, configmap://NAME/KEY, pvc://CLAIM/PATH, or secret://NAME/KEY: a Secret's URL of a text or a database."""
    query: NotRequired[str]
    """Query of the database whose URL the Secret has: columns key and value, perhaps ttl in seconds. Default: none, it is a text."""
    format: NotRequired[SourceFormat]
    """json or csv: of a text. Default: what its name ends with, such as .jsonl, .csv or .csv.gz."""
    from_connection: NotRequired[pulumi.Input[Connection]]
    """Redis or Valkey cache to copy the keys of instead: what its component exports as `connection`. Default: none."""


@dataclass(frozen=True)
class WarmupSource:
    """Checked arguments."""

    scheme: str
    """http, configmap, pvc, secret, or empty for another cache."""
    name: str
    """Of the object; a URL as a whole."""
    path: str
    query: str
    format: str
    from_connection: pulumi.Input[Connection] | None

    def options(self) -> list[str]:
        """What `caches warmup` gets of it."""
        if self.from_connection is not None:
            return [f"--from-connection={pod.CREDENTIALS_FOLDER}/{FROM_FILE}"]
        if self.scheme == "secret":
            source = f"--source-file={pod.CREDENTIALS_FOLDER}/{_SECRET_FILE}"
        else:
            source = f"--source={self.name if self.scheme == 'http' else _VOLUME['mount_path']}{self.path}"
        # Kubernetes would put a variable where the query has $(…).
        query = [f"--query={self.query.replace('$(', '$$(')}"] if self.query else []
        return [source, *query, *([f"--format={self.format}"] if self.format else [])]

    def volume_sources(self) -> list[dict[str, Any]]:
        """Its secret files."""
        return [from_secret(self.name, self.path.removeprefix("/"), _SECRET_FILE)] if self.scheme == "secret" else []

    def mounts(self) -> list[dict[str, Any]]:
        """Of a container."""
        return [_VOLUME] if self.scheme in ("configmap", "pvc") else []

    def volumes(self) -> list[dict[str, Any]]:
        """Of a pod."""
        if self.scheme == "pvc":
            return [{"name": _VOLUME["name"], "persistent_volume_claim": {"claim_name": self.name, "read_only": True}}]
        if self.scheme == "configmap":
            key = self.path.removeprefix("/")
            return [{"name": _VOLUME["name"], "config_map": {"name": self.name, "items": [{"key": key, "path": key}]}}]
        return []


def read_source(arguments: Arguments) -> WarmupSource:
    """Reads and checks WarmupSourceArgs."""
    given = [key for key in ("source", "from_connection") if arguments.given(key)]
    if len(given) != 1:
        arguments.refuse("source", "one of source and from_connection is needed, and only one: where the cache is filled from")
    text = arguments.text("source", "", _EITHER, _RULE)
    found = _OBJECT.fullmatch(text)
    source = WarmupSource(
        scheme=found[1] if found else "http" if text else "",
        name=found[2] if found else text,
        path=found[4] if found else "",
        query=arguments.text("query", "", re.compile(r"\s*\S.*", re.DOTALL), "must be a query with the columns key and value, perhaps ttl"),
        format=arguments.choice("format", SourceFormat.JSON).value if arguments.given("format") else "",
        from_connection=read_connection(arguments, "from_connection", source_problem) if arguments.given("from_connection") else None,
    )
    _refuse_contradictions(arguments, source)
    return source


def source_problem(connection: Connection) -> str:
    """Why a cache can't be copied; empty when it can."""
    if connection.get("engine") == "memcached":
        return "memcached has no way to read all that it holds: fill this cache from where that one is filled from"
    return login_problem(connection)


def login_problem(connection: Connection) -> str:
    """Why nobody can log in to a cache with a password; empty when one can."""
    engine = connection.get("engine")
    if engine not in ("redis", "valkey", "memcached"):
        return f"engine {engine!r} is neither redis, valkey nor memcached: give what a cache's component exports"
    if connection.get("auth") in ("iam", "entra"):
        return f"`caches warmup` can't log in with auth {connection['auth']}: give the cache a user with a password"
    if "password" not in connection and connection.get("auth") != "none":
        return "it has no password: have the cache's component read its Secret (existing_secret_read: true)"
    return ""


def _refuse_contradictions(arguments: Arguments, source: WarmupSource) -> None:
    if source.query and source.scheme != "secret":
        arguments.refuse("query", "needs source = secret://NAME/KEY, a Secret with the database's URL, such as postgresql://…")
    if source.format and (source.query or source.from_connection is not None):
        arguments.refuse("format", "is of a text, not of a query or another cache")
    if source.scheme in ("configmap", "secret") and "/" in source.path.removeprefix("/"):
        arguments.refuse("source", f"a key has no '/': give {source.scheme}://NAME/KEY")
    ending = source.path if source.scheme in ("configmap", "pvc") else source.name
    if source.scheme in ("configmap", "pvc", "http") and not source.format and not _ENDINGS.fullmatch(ending):
        arguments.refuse("source", "nothing says whether it is json or csv: give format, or a name that ends with .jsonl or .csv")
