"""Who is the master, and since which epoch, as the sentinels say it."""

from __future__ import annotations

import pytest
import redis
from caches_runtime.ops.sentinel.members import Member, SentinelView
from caches_runtime.ops.sentinel.survey import named
from unit.sentinel.loop import run


class Saying(Member):
    """Its sentinel names a member by ordinal, of an epoch, or does not answer."""

    def __init__(self, ordinal: int, says: tuple[int, int] | None) -> None:
        super().__init__(ordinal, f"10.0.0.{ordinal}", "password", "cache")
        self._says = says

    async def view(self) -> SentinelView:
        if self._says is None:
            raise redis.ConnectionError("it does not answer")
        return SentinelView(str(self.ordinal), f"10.0.0.{self._says[0]}", self._says[1])


@pytest.mark.parametrize(
    ("said", "master", "epoch"),
    [
        ([(0, 1), (0, 1), (0, 1)], 0, 1),
        # Who leads a failover gives its epoch to the master before, until the new one is known.
        ([(0, 1), (0, 2), (0, 1)], 0, 1),
        ([(0, 1), (2, 2), (2, 2)], 2, 2),
        ([(2, 2), (2, 2), (2, 2)], 2, 2),
        # One that has lost what it knew is no reason to forget.
        ([(2, 2), (2, 0), (2, 2)], 2, 2),
        ([(2, 2), None, (2, 2)], 2, 2),
        ([(0, 1), None, (2, 2)], None, 0),
    ],
)
def test_the_epoch_of_a_master_is_the_one_that_a_majority_knows(said: list[tuple[int, int] | None], master: int | None, epoch: int) -> None:
    members = [Saying(ordinal, says) for ordinal, says in enumerate(said)]
    found, since = run(named(members))
    assert (found and found.ordinal, since) == (master, epoch)
