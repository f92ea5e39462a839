"""CacheMonitoring on the real cluster: Prometheus sees all servers, dashboards have data, alerts fire and end with their faults.

Alerts that take longer than two minutes are in faults/test_alerts.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster.deployed import eventually
from cluster.faults.alert_faults import FAULTS, lose_server, lose_shard, promote_replica, refuse_snapshot
from cluster.faults.seen_alerts import see
from cluster.watched import Watched

pytestmark = pytest.mark.cluster

SOON = ("CacheNoMaster", "CachePersistenceFailing", "CacheServerDown", "CacheSlotsNotCovered", "CacheTwoMasters")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One cache of each kind, and some for faults."""
    caches = ("group", "shards", "pair", "lost", "busy", "fragments")
    with Watched(tmp_path_factory.mktemp("watched"), caches).deployed() as watched:
        yield watched


def test_every_query_of_every_dashboard_has_data_and_no_alert_fires(watched: Watched) -> None:
    missing = [""]

    def all_there() -> bool:
        missing[:] = watched.without_data()
        return not missing

    try:
        eventually(all_there, "every query has data", 180, every=3)
    except AssertionError as error:
        raise AssertionError(f"{error}, {missing}") from None
    assert watched.firing() == set()


def test_alerts_fire_with_their_faults_and_end_with_them(watched: Watched) -> None:
    faults = [fault for fault in FAULTS if fault.make in (lose_shard, lose_server, promote_replica, refuse_snapshot)]
    see(watched, faults, SOON, 420)
    eventually(watched.all_up, "every target is up again")


def test_up_again_changes_nothing(watched: Watched) -> None:
    watched.preview("--expect-no-changes")
