"""Every alert by Prometheus' own rules engine: it fires with its fault, for the one cache that has it, and ends with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.alerts import NAMES, ThresholdArgs, alerts, read_thresholds, rule_groups
from pulumi_caches.kubernetes.cache_monitoring import RUNBOOKS
from pulumi_caches.kubernetes.monitored import Monitored
from unit.alert_cases import ABSENT, DAY, Counter, Gauge, Value, cache, prometheus_test
from unit.prometheus import promtool

SENTINEL = ("redis", "sentinel", 3, 3)
REPLICATED = ("valkey", "standalone", 2)
ALONE = ("redis", "standalone", 1)
CLUSTER = ("redis", "cluster", 6)
MEMCACHED = ("memcached", "sharded", 3)
SETUPS: list[tuple[Any, ...]] = [SENTINEL, REPLICATED, ALONE, CLUSTER, MEMCACHED]
DOWN = "CacheServerDown"
CERTIFICATE = "CacheCertificateExpiring"
BACKUP, DRILL = "CacheBackupTooOld", "CacheRestoreDrillTooOld"
UNSEEN = {CERTIFICATE, BACKUP, DRILL}
# What of the lost is still counted once there are no series at all.
ALL_LOST = {
    SENTINEL: {DOWN, *UNSEEN, "CacheNoMaster", "CacheReplicationBroken", "CacheSentinelQuorumAtRisk"},
    REPLICATED: {DOWN, *UNSEEN, "CacheNoMaster", "CacheReplicationBroken"},
    ALONE: {DOWN, *UNSEEN, "CacheNoMaster"},
    CLUSTER: {DOWN, *UNSEEN, "CacheSlotsNotCovered"},
    MEMCACHED: {DOWN, *UNSEEN},
}
MASTER = 'redis_instance_info.*role="master"'

Case = tuple[str, tuple[Any, ...], dict[str, Value], set[str]]
LOST: list[Case] = [(f"{setup[1]}: all series absent", setup, {'cache="ours"': ABSENT}, names) for setup, names in ALL_LOST.items()]
WELL: list[Case] = [(f"{setup[1]} of {setup[2]}: nothing wrong", setup, {}, set()) for setup in SETUPS]
CASES: list[Case] = [
    *LOST,
    *WELL,
    ("one server does not answer", SENTINEL, {"redis_up.*server-1:6379": Gauge(0)}, {DOWN}),
    ("one server's series are absent", MEMCACHED, {"memcached_up.*server-1": ABSENT}, {DOWN}),
    ("one sentinel's series are absent", SENTINEL, {"redis_up.*server-1:26379": ABSENT}, {DOWN}),
    ("no master: its series is absent", SENTINEL, {MASTER: ABSENT}, {"CacheNoMaster"}),
    ("no master: none of all says so", REPLICATED, {"redis_instance_info": ABSENT}, {"CacheNoMaster"}),
    ("two masters", SENTINEL, {'server-1.*role="master"': Gauge(1)}, {"CacheTwoMasters"}),
    ("a replica does not follow", SENTINEL, {"link_up.*server-1": Gauge(0)}, {"CacheReplicationBroken"}),
    ("a replica's series is absent", REPLICATED, {"link_up": ABSENT}, {"CacheReplicationBroken"}),
    ("a shard's replica does not follow", CLUSTER, {"link_up.*server-4": Gauge(0)}, {"CacheReplicationBroken"}),
    ("a replica stands still", SENTINEL, {'offset_bytes.*slave_ip="server-1"': Counter(0)}, {"CacheReplicationLagging"}),
    ("one sentinel less", SENTINEL, {"ok_sentinels": Gauge(2)}, {"CacheSentinelQuorumAtRisk"}),
    ("sentinels' series are absent", SENTINEL, {"redis_sentinel": ABSENT}, {"CacheSentinelQuorumAtRisk"}),
    ("no majority", SENTINEL, {"ckquorum.*server-2": Gauge(0)}, {"CacheSentinelQuorumAtRisk"}),
    ("slots without a server", CLUSTER, {"slots_ok.*server-2": Gauge(10_923)}, {"CacheSlotsNotCovered"}),
    ("slots: series are absent", CLUSTER, {"slots_ok": ABSENT}, {"CacheSlotsNotCovered"}),
    ("memory", ALONE, {"memory_used": Gauge(950)}, {"CacheMemoryHigh"}),
    ("memory without a limit", ALONE, {"memory_max": Gauge(0)}, set()),
    ("full, and evicting", ALONE, {"memory_used": Gauge(999), "redis_instance_info": ABSENT}, {"CacheNoMaster"}),
    ("evictions", ALONE, {"evicted": Counter(101)}, {"CacheEvictions"}),
    ("evictions of memcached", MEMCACHED, {"evicted.*server-1": Counter(101)}, {"CacheEvictions"}),
    ("few hits", SENTINEL, {"hits_total": Counter(1)}, {"CacheHitRatioLow"}),
    ("few hits, and few reads", ALONE, {"hits_total": Counter(0), "misses_total": Counter(0.9)}, set()),
    ("few hits of memcached", MEMCACHED, {'status="hit"': Counter(1)}, {"CacheHitRatioLow"}),
    ("refused clients", CLUSTER, {"rejected.*server-1": Counter(1)}, {"CacheConnectionsRejected"}),
    ("refused clients of memcached", MEMCACHED, {"connections_rejected.*server-1": Counter(1)}, {"CacheConnectionsRejected"}),
    ("memcached no longer listens", MEMCACHED, {"listener_disabled.*server-1": Counter(1)}, {"CacheConnectionsRejected"}),
    ("slow commands", ALONE, {"slowlog": Counter(0.2)}, {"CacheSlowCommands"}),
    ("failed snapshot", ALONE, {"bgsave_status": Gauge(0)}, {"CachePersistenceFailing"}),
    ("failed rewrite", SENTINEL, {"bgrewrite_status.*server-2": Gauge(0)}, {"CachePersistenceFailing"}),
    ("failed write of the log", CLUSTER, {"last_write_status": Gauge(0)}, {"CachePersistenceFailing"}),
    ("old backup", ALONE, {"backup_last_timestamp": Gauge(0)}, {BACKUP}),
    ("old drill", ALONE, {"backup_last_drill": Gauge(0)}, {DRILL}),
    ("never a drill", CLUSTER, {"backup_last_drill": ABSENT}, {DRILL}),
    ("never a backup, an unreachable bucket, or nobody who looks into it", ALONE, {"caches_backup": ABSENT}, {BACKUP, DRILL}),
    ("certificate", MEMCACHED, {"cert_expiry.*server-2": Gauge(20 * DAY)}, {CERTIFICATE}),
    ("certificates' series are absent", ALONE, {"cert_expiry": ABSENT}, {CERTIFICATE}),
    ("items without memory", MEMCACHED, {'outofmemory.*server-1.*slab="2"': Counter(1)}, {"CacheOutOfMemory"}),
    ("connections", MEMCACHED, {"current_connections.*server-1": Gauge(950)}, {"CacheConnectionsNearLimit"}),
]


def rules(monitored: Monitored, **more: Any) -> dict[str, Any]:
    """As the component makes them. The tests' time begins at 0, which is never more than three hours ago."""
    given = {"backup_age_hours": 1.5, "drill_age_days": 1.5 / 24, **more}
    thresholds = read_thresholds(Arguments("Test", "cache", 63, given, ThresholdArgs))
    return rule_groups(monitored, thresholds, (), {}, RUNBOOKS)


@pytest.mark.parametrize(("setup", "fault", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_fires_with_its_fault_for_its_cache_and_ends_with_it(
    setup: tuple[Any, ...], fault: dict[str, Value], expected: set[str], tmp_path: Path
) -> None:
    ours, theirs = cache("ours", *setup), cache("theirs", *setup)
    groups = [group for monitored in (ours, theirs) for group in rules(monitored)["groups"]]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": groups}))
    (tmp_path / "test.yaml").write_text(json.dumps(prometheus_test("rules.yaml", ours, theirs, fault, expected)))
    done = promtool(tmp_path, "test", "rules", "test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_master_that_counts_from_0_again_has_no_replica_that_lags(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(json.dumps(rules(cache("ours", *REPLICATED), replica_lag_seconds=1800)))
    labels = 'cache="ours",namespace="shop",instance="server-0:6379"'
    # For an hour, and then anew.
    values = "0+1000x119 0+1000x119"
    series = [f"redis_master_repl_offset{{{labels}}}", f'redis_connected_slave_offset_bytes{{{labels},slave_ip="server-1"}}']
    promql = {"expr": 'ALERTS{alertname="CacheReplicationLagging"}', "eval_time": "65m", "exp_samples": []}
    tested = {"interval": "30s", "input_series": [{"series": each, "values": values} for each in series], "promql_expr_test": [promql]}
    (tmp_path / "test.yaml").write_text(json.dumps({"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": [tested]}))
    done = promtool(tmp_path, "test", "rules", "test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_to_fire() -> None:
    assert set().union(*(case[3] for case in CASES)) == set(NAMES)


def test_each_that_can_be_disabled_exists() -> None:
    thresholds = read_thresholds(Arguments("Test", "cache", 63, {}, ThresholdArgs))
    made = {alert.name for setup in SETUPS for alert in alerts(cache("ours", *setup), thresholds)}
    assert made == set(NAMES)


def test_each_has_a_runbook() -> None:
    page = (Path(__file__).resolve().parents[2] / RUNBOOKS).read_text()
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == list(NAMES)


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_names_its_cache_where_it_looks_and_in_what_it_says(setup: tuple[Any, ...]) -> None:
    [group] = rules(cache("ours", *setup))["groups"]
    for rule in group["rules"]:
        for labels in re.findall(r"\{(.*?)\}", rule["expr"]):
            assert 'namespace="shop"' in labels, rule
            assert 'cache="ours"' in labels, rule
        assert rule["labels"]["cache"] == "ours"
        assert "redis cache" in rule["annotations"]["summary"] or setup[0] != "redis"
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"
