"""Clients by name from configurations, and connections from where they are said to be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import caches_runtime
import pytest
from caches_runtime import ConfigurationError, Factory, SourceError, connect
from unit.client.processes import PASSWORD, Processes, processes
from unit.client.shards import shards
from unit.sentinel import loop


@pytest.fixture(scope="module")
def server() -> Iterator[Processes]:
    with processes() as made:
        made.serve(1)
        yield made


def test_caches_of_a_file_are_connected_to_by_name(server: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "export.json").write_text(json.dumps(server.connection(1, password=None)))
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("SESSIONS", json.dumps(server.connection(1)))
    with shards(1) as under:
        file = tmp_path / "caches.toml"
        file.write_text(f"""
[sessions]
connection = "env:SESSIONS"
budget = 1.5
repeat = ["SET", "DEL"]
decode_responses = true

[products]
connection = "file:{tmp_path}/export.json"
credentials = "{tmp_path}/password"

[pages]
retry_seconds = 0

[pages.connection]
engine = "memcached"
mode = "sharded"
host = "cache"
port = 11211
nodes = ["{next(iter(under.processes))}"]
auth = "none"
""")
        monkeypatch.setenv("CACHES_CONFIG", str(file))
        with Factory() as factory:
            assert factory.names == ("sessions", "products", "pages")
            factory.connect("sessions").set("key", "value")
            assert factory.connect("sessions").get("key") == "value"
            assert factory.connect("products").get("key") == b"value"
            factory.connect("pages").set("key", b"page")
            assert factory.connect("pages").get("key") == b"page"
            assert factory.connect("sessions") is factory.connect("sessions")


def test_clients_for_asyncio_come_from_the_same_configuration(server: Processes) -> None:
    async def used() -> None:
        factory = Factory({"sessions": {"connection": server.connection(1)}})
        await factory.connect_async("sessions").set("key", "value")
        assert await factory.connect_async("sessions").get("key") == b"value"
        await factory.aclose()

    loop.run(used())


def test_json_is_read_as_toml_is(server: Processes, tmp_path: Path) -> None:
    file = tmp_path / "caches.json"
    file.write_text(json.dumps({"sessions": {"connection": server.connection(1)}}))
    with Factory(file) as factory:
        assert factory.connect("sessions").ping()


GOOD = {"engine": "redis", "mode": "standalone", "host": "cache", "port": 6379, "password": PASSWORD}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Factory(
            {
                "a": "redis://a",
                "b": {},
                "c": {"connection": 5, "budget": 0, "repeat": "SET", "reader": 1, "timeout": 3},
                "d": {"connection": GOOD, "budget": True, "credentials": 3, "retry_seconds": -1, "changing": [1]},
            }
        )
    said = str(caught.value)
    for line in (
        "a: a str, where a table",
        "b.connection: missing; it is a cache's export, or where that is: file:PATH, env:NAME or pulumi://STACK#OUTPUT",
        "c.connection: a int",
        "c.budget = 0: it is a number of seconds, more than 0",
        "c.repeat = 'SET': it is a list of commands",
        "c.reader = 1: it is true or false",
        "c.timeout: unknown; there are connection, budget,",
        "d.budget = True: it is a number",
        "d.credentials = 3: it is the path",
        "d.retry_seconds = -1: it is a number of seconds, not below 0",
        "d.changing = [1]: it is a list of HOST:PORT",
    ):
        assert f"  * {line}" in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({**GOOD, "mode": "ring"}, r"sessions: mode: 'ring' is unknown"),
        ("file:/nowhere/connection.json", r"sessions: file:/nowhere/connection.json: No such file"),
        ("env:NOT_SET", r"sessions: env:NOT_SET: the environment has no such variable"),
    ],
)
def test_a_cache_that_can_not_be_connected_to_is_named(given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Factory({"sessions": {"connection": given}}).connect("sessions")
    with pytest.raises(ConfigurationError, match="other: no such cache; there are sessions"):
        Factory({"sessions": {"connection": given}}).connect("other")


def test_files_that_are_no_configuration_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHES_CONFIG", raising=False)
    with pytest.raises(ConfigurationError, match="CACHES_CONFIG: not set"):
        Factory()
    for name, text, told in (("a.toml", "[a", "a.toml: "), ("b.json", "[]", "b.json: a list, where"), ("c.json", "{", "c.json: ")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match=told):
            Factory(tmp_path / name)
    with pytest.raises(ConfigurationError, match=re.escape("d.toml: No such file")):
        Factory(tmp_path / "d.toml")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("redis://:the-password@host", "'redis' is no source of a connection; there are file:PATH"),
        ("env:LIST", "env:LIST: what is there is no connection: a list"),
        ("env:TEXT", "env:TEXT: what is there is no JSON"),
        ("pulumi://shop/prod", "it is pulumi://STACK#OUTPUT"),
        ("pulumi:shop#connection", "it is pulumi://STACK#OUTPUT"),
        ("pulumi://shop/prod#connection", "there is no `pulumi` on PATH"),
    ],
)
def test_a_source_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, told: str) -> None:
    monkeypatch.setenv("LIST", "[]")
    monkeypatch.setenv("TEXT", PASSWORD)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=told) as caught:
        connect(source)
    assert PASSWORD not in str(caught.value)


def test_who_does_not_use_clients_does_not_import_them() -> None:
    told = (
        "import sys, caches_runtime; print([name for name in ('redis', 'opentelemetry', 'caches_runtime.client') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    assert {name: getattr(caches_runtime, name).__name__ for name in caches_runtime.__all__}
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = caches_runtime.Nothing
