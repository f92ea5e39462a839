"""The stack azure through the real engine, in the emulated cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clouds.emulated import Emulated
from clouds.emulator.azure_network import SUBSCRIPTION

pytestmark = pytest.mark.engine


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Emulated]:
    stack = Emulated(tmp_path, "azure-native", "azure", ARM_SUBSCRIPTION_ID=SUBSCRIPTION)
    stack.configure(region="eastus")
    yield stack
    stack.end()


def test_first(stack: Emulated) -> None:
    stack.configure(network={"shop": {}}, managed_redis={"sessions": {"memory_gib": 0.3, "auth": "password"}})
    print(stack.preview().stdout)
    print(stack.up().stdout)
    print(stack.outputs())
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    print(stack.destroy().stdout)
    assert stack.resources() == {}
