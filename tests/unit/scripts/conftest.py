"""Pods of real Redis and Valkey servers, for the tests of each script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from unit.scripts.waiting import await_copy
from unit.servers import Makes, Pod, find_programs, pods


@pytest.fixture(params=["redis", "valkey"])
def make(request: pytest.FixtureRequest) -> Iterator[Makes]:
    """Makes the named pods of one network."""
    programs = find_programs(request.param)
    with ExitStack() as closing:
        yield lambda *names: closing.enter_context(pods(programs, *names))


@pytest.fixture
def pod(make: Makes) -> Pod:
    """A single pod, the primary's."""
    return make("primary")[0]


@pytest.fixture
def pair(make: Makes) -> tuple[Pod, Pod]:
    """A primary with data, and a replica that has it too."""
    primary, replica = make("primary", "replica")
    primary.serve()
    primary.connect().set("fruit", "apple")
    replica.serve("replica")
    await_copy(replica)
    return primary, replica
