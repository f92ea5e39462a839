"""Every alert of CacheMonitoring with the fault that it is for, on the real cluster and with the rules as they are: it takes 40 minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster.faults.alert_faults import FAULTS
from cluster.faults.seen_alerts import see
from cluster.watched import CACHES, Watched
from pulumi_caches.kubernetes.alerts import NAMES

pytestmark = [pytest.mark.cluster, pytest.mark.long]

SECONDS = 50 * 60
# They need a bucket, not a server: tests/unit/backup/test_metrics.py sees them with a real Prometheus and real buckets.
ELSEWHERE = {"CacheBackupTooOld", "CacheRestoreDrillTooOld"}


def test_every_alert_fires_with_its_fault_and_ends_with_it(tmp_path: Path) -> None:
    assert {name for fault in FAULTS for name in fault.alerts} == {*NAMES} - ELSEWHERE
    with Watched(tmp_path, list(CACHES)).deployed() as watched:
        see(watched, FAULTS, NAMES, SECONDS)
