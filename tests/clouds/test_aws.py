"""The stack aws through the real engine, in the emulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.client import connect
from clouds.emulated import Emulated
from clouds.emulator.aws_caches import GROUP, PARAMETERS

pytestmark = pytest.mark.engine

REGION = "us-east-1"
CACHE: dict[str, Any] = {"region": REGION, "aws_final_backup": False}
PLAIN = {**CACHE, "auth": "none", "tls": False, "purpose": "cache"}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    # What the runtime signs tokens with; the emulator looks at whose they say to be only.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "emulated")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "emulated")
    stack = Emulated(tmp_path, "aws", "aws")
    stack.configure(network={"shop": {"region": REGION}})
    yield stack
    stack.end()


def works(stack: Emulated, name: str) -> bool:
    """Whether a client reads what it has written, by the exported connection."""
    connection = stack.outputs()["connections"][name]
    # AWS's authority is public, the emulator's is not.
    trusted = {"ca_pem": (stack.cloud / "authorities.pem").read_text()} if connection["tls"] else {}
    with connect({**connection, **trusted}, budget=10) as client:
        client.set("greeting", "hello")
        return bool(client.get("greeting") == b"hello")


def changes(output: str, kind: str = "ReplicationGroup") -> list[str]:
    """What a preview says of the caches themselves."""
    lines = [line.split() for line in output.splitlines() if f":{kind} " in line]
    return [words[0] for words in lines if words[0] in ("~", "+-", "+", "-", "++", "--")]


def test_from_nothing_to_nothing(stack: Emulated) -> None:
    caches = {
        "sessions": {**CACHE, "purpose": "session"},
        "catalogue": {**CACHE, "shards": 3, "memory_gib": 2, "purpose": "cache"},
        "carts": {**CACHE, "engine": "redis", "auth": "password", "memory_gib": 0.3},
        "elastic": {"region": REGION, "aws_serverless": True},
        "fragments": {"region": REGION, "engine": "memcached", "shards": 2, "tls": False},
    }
    stack.configure(elasticache=caches)
    stack.preview()
    assert stack.resources() == {}
    stack.up()
    assert all(works(stack, name) for name in caches)
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")

    password = stack.outputs()["connections"]["carts"]["password"]
    assert password not in json.dumps(stack.export())
    caches["carts"]["password_version"] = 2
    stack.configure(elasticache=caches)
    assert password not in stack.up().stdout
    assert stack.outputs()["connections"]["carts"]["password"] != password
    assert works(stack, "carts")

    stack.destroy()
    assert stack.resources() == {}


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"memory_gib": 8}, ["~"]),
        ({"replicas_per_shard": 2}, ["~"]),
        ({"maintenance_day": "monday"}, ["~"]),
        ({"tls": True, "aws_tls_optional": True}, ["~"]),
        ({"shards": 3}, ["+-"]),
        ({"engine": "redis", "engine_version": "7.1"}, ["+-"]),
        ({"region": "us-east-2", "aws_subnet_ids": ["subnet-1", "subnet-2"]}, ["+-"]),
    ],
)
def test_a_change_is_in_place_or_replaces(stack: Emulated, change: dict[str, Any], kinds: list[str]) -> None:
    stack.configure(elasticache={"cache": PLAIN})
    stack.up()
    stack.configure(elasticache={"cache": {**PLAIN, **change}})
    assert changes(stack.preview().stdout) == kinds
    stack.up()
    assert works(stack, "cache")


def test_a_newer_version_comes_in_place_with_settings_of_its_family(stack: Emulated) -> None:
    stack.configure(elasticache={"cache": {**PLAIN, "engine_version": "8.0"}})
    stack.up()
    stack.configure(elasticache={"cache": {**PLAIN, "engine_version": "9.0"}})
    said = stack.up().stdout
    assert changes(said) == ["~"]
    [settings] = [each["inputs"] for each in stack.resources().values() if each["token"] == PARAMETERS]
    assert settings["family"] == "valkey9"
    assert works(stack, "cache")


def test_tls_comes_in_two_steps_as_aws_wants(stack: Emulated) -> None:
    stack.configure(elasticache={"cache": PLAIN})
    stack.up()
    stack.configure(elasticache={"cache": {**PLAIN, "tls": True}})
    assert "must be preferred first" in stack.up(succeeds=False).stdout
    for step in ({"tls": True, "aws_tls_optional": True}, {"tls": True}):
        stack.configure(elasticache={"cache": {**PLAIN, **step}})
        stack.up()
    assert works(stack, "cache")


def test_a_cache_that_was_half_made_is_taken_up_again(stack: Emulated) -> None:
    stack.configure(elasticache={"cache": PLAIN})
    stack.fail(GROUP, "half made")
    assert "did not become ready" in stack.up(succeeds=False).stdout
    stack.up()
    assert works(stack, "cache")
    stack.destroy()
    assert stack.resources() == {}


def test_another_region_follows(stack: Emulated) -> None:
    there = "us-west-2"
    stack.configure(network={"shop": {"region": REGION}, "there": {"region": there}})
    primary = {**PLAIN, "memory_gib": 8, "aws_global_datastore": True}
    secondary = {"region": there, "aws_primary": "cache", "auth": "none", "aws_final_backup": False, "purpose": "cache"}
    stack.configure(elasticache={"cache": primary, "copy": secondary})
    stack.up()
    assert works(stack, "cache")
    copy = {**stack.outputs()["connections"]["copy"], "tls": False}
    with connect(copy, budget=10) as client:
        assert client.get("greeting") == b"hello"
    stack.preview("--expect-no-changes")
    stack.destroy()
    assert stack.resources() == {}
