"""A server of each engine, with clients of both kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from unit.patterns.sides import SIDES, Side, side


@pytest.fixture(scope="module", params=SIDES, ids="-".join)
def over(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Kept for a module's tests."""
    with side(*request.param) as made:
        yield made
