"""Clients of both kinds, closed after each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from unit.client.both import BOTH, Connects


@pytest.fixture(params=sorted(BOTH))
def connects(request: pytest.FixtureRequest) -> Iterator[Connects]:
    """Makes clients."""
    with ExitStack() as closing:

        def made(*arguments: Any, **options: Any) -> Any:
            client = BOTH[request.param](*arguments, **options)
            closing.callback(client.close)
            return client

        yield made
