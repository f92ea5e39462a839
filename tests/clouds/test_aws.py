"""The stack aws through the real engine, in the emulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clouds.emulated import Emulated
from clouds.emulator.aws_caches import GROUP

pytestmark = pytest.mark.engine

REGION = "us-east-1"
CACHE: dict[str, Any] = {"region": REGION, "aws_final_backup": False}
PLAIN = {**CACHE, "auth": "none", "tls": False, "purpose": "cache"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Emulated]:
    stack = Emulated(tmp_path, "aws")
    stack.configure(network={"shop": {"region": REGION}})
    yield stack
    stack.end()


def works(stack: Emulated, name: str) -> bool:
    """Whether a client reads what it has written, by the exported connection."""
    with stack.client(name, budget=10) as client:
        client.set("greeting", b"hello")
        return bool(client.get("greeting") == b"hello")


def test_from_nothing_to_nothing(stack: Emulated) -> None:
    caches = {
        "sessions": {**CACHE, "purpose": "session"},
        "carts": {**CACHE, "engine": "redis", "auth": "password", "memory_gib": 0.3},
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


def test_a_cache_that_was_half_made_is_taken_up_again(stack: Emulated) -> None:
    stack.configure(elasticache={"cache": PLAIN})
    stack.fail(GROUP, "half-made")
    assert "did not become ready" in stack.up(succeeds=False).stdout
    stack.up()
    assert works(stack, "cache")
    stack.destroy()
    assert stack.resources() == {}
