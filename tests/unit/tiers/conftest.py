"""A server of each engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from unit.client.processes import Processes, processes


@pytest.fixture(scope="module", params=["redis", "valkey"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(engine: str) -> Iterator[Processes]:
    with processes(engine) as running:
        running.serve(1)
        yield running
