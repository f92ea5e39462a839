"""The stack gcp through the real engine, in the emulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.client import connect
from clouds.emulated import Emulated
from clouds.emulator.gcp_caches import TOKEN_FILE

pytestmark = pytest.mark.engine

VALKEY = "gcp:memorystore/instance:Instance"
REGION = "europe-west1"
CACHE: dict[str, Any] = {"region": REGION, "gcp_deletion_protection": False}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Emulated]:
    stack = Emulated(tmp_path, "gcp", "gcp")
    stack.configure(network={"shop": {"region": REGION}})
    yield stack
    stack.end()


def works(stack: Emulated, name: str) -> bool:
    """Whether a client reads what it has written, by the exported connection."""
    connection = stack.outputs()["connections"][name]
    options = {"credentials": stack.cloud / TOKEN_FILE} if connection.get("auth") == "iam" else {}
    # IAM's token is the emulator's.
    given = {key: value for key, value in connection.items() if options == {} or key != "auth"}
    with connect(given, budget=10, **options) as client:
        client.set("greeting", "hello")
        return bool(client.get("greeting") == b"hello")


def changes(output: str) -> list[str]:
    """What a preview says of the cache itself."""
    lines = [line.split() for line in output.splitlines() if " gcp:" in line]
    return [words[0] for words in lines if words[0] in ("~", "+-", "+", "-", "++", "--")]


def test_from_nothing_to_nothing(stack: Emulated) -> None:
    caches = {
        "sessions": {**CACHE, "purpose": "session"},
        "catalogue": {**CACHE, "engine": "redis", "shards": 3, "memory_gib": 4, "purpose": "cache"},
        "legacy": {**CACHE, "engine": "redis", "memory_gib": 4, "replicas_per_shard": 2},
    }
    stack.configure(memorystore=caches)
    stack.preview()
    assert stack.resources() == {}
    stack.up()
    assert all(works(stack, name) for name in caches)
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")

    password = stack.outputs()["connections"]["legacy"]["password"]
    assert password not in json.dumps(stack.export())
    assert password not in stack.up().stdout

    stack.destroy()
    assert stack.resources() == {}


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"memory_gib": 4}, ["~"]),
        ({"replicas_per_shard": 2}, ["~"]),
        ({"engine_version": "9.0"}, ["~"]),
        ({"maintenance_day": "monday"}, ["~"]),
        ({"auth": "none"}, ["+-"]),
        ({"auth": "none", "tls": False}, ["+-"]),
        ({"region": "europe-west4"}, ["+-"]),
    ],
)
def test_a_change_is_in_place_or_replaces(stack: Emulated, change: dict[str, Any], kinds: list[str]) -> None:
    stack.configure(memorystore={"cache": CACHE})
    stack.up()
    stack.configure(memorystore={"cache": {**CACHE, **change}})
    assert changes(stack.preview().stdout) == kinds
