"""Alerts of one cache, as functions of plain data.

Each is scoped by the labels of its cache, so that any number of caches can be in one Prometheus. When a server is lost, its
series end: what counts servers takes none as 0, so that an alert does not end when all is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.kubernetes.monitored import Monitored
from pulumi_caches.kubernetes.scrape import INTERVAL_SECONDS

SLOTS = 16_384
RULES_FILE = "rules.yaml"
NAMES = (
    "CacheServerDown",
    "CacheCertificateExpiring",
    "CacheBackupTooOld",
    "CacheRestoreDrillTooOld",
    "CacheSlotsNotCovered",
    "CacheNoMaster",
    "CacheTwoMasters",
    "CacheReplicationBroken",
    "CacheReplicationLagging",
    "CacheSentinelQuorumAtRisk",
    "CacheMemoryHigh",
    "CacheEvictions",
    "CacheHitRatioLow",
    "CacheConnectionsRejected",
    "CacheSlowCommands",
    "CachePersistenceFailing",
    "CacheConnectionsNearLimit",
    "CacheOutOfMemory",
)
# Up to here a scrape can be older than what it is compared with.
_LAG_MINIMUM = 2 * INTERVAL_SECONDS
# A bucket, or who looks into it, may not answer for so long before what it was last seen to hold counts no longer.
_UNSEEN_MINUTES = 30


class ThresholdArgs(TypedDict):
    """Arguments that say when an alert fires."""

    memory_used_ratio: NotRequired[float]
    """Share of maxmemory above which writes are about to be refused; only asked where nothing is evicted. Default: 0.9."""
    evictions_per_second: NotRequired[float]
    """Keys that one server may evict in a second. Default: 100."""
    hit_ratio: NotRequired[float]
    """Share of reads that should find their key, above 0; below it for half an hour an alert fires. Default: 0.5."""
    slow_commands_per_minute: NotRequired[float]
    """Commands slower than slowlog_slower_than_us that one server may take in a minute. Default: 10."""
    replica_lag_seconds: NotRequired[int]
    """How far a replica may be behind, 60 to 3600. Default: 60."""
    connections_used_ratio: NotRequired[float]
    """Share of Memcached's connections that may be open. Default: 0.9."""
    certificate_days: NotRequired[int]
    """How long a certificate must still be valid, in days. Default: 21."""
    backup_age_hours: NotRequired[float]
    """How old the last backup may be; needs backup. Default: 26."""
    drill_age_days: NotRequired[float]
    """How long ago a restore drill may have succeeded last; needs backup. Default: 8."""


@dataclass(frozen=True)
class Thresholds:
    """Checked ThresholdArgs."""

    memory_used_ratio: float
    evictions_per_second: float
    hit_ratio: float
    slow_commands_per_minute: float
    replica_lag_seconds: int
    connections_used_ratio: float
    certificate_days: int
    backup_age_hours: float
    drill_age_days: float


@dataclass(frozen=True)
class Alert:
    """One rule. Its section in docs/runbooks.md has its name."""

    name: str
    severity: str
    """critical: clients are refused or data is in danger; warning: they soon are."""
    minutes: int
    """How long the expression must be true."""
    expression: str
    summary: str
    """In a sentence; `$value` is what the expression found."""


def read_thresholds(arguments: Arguments) -> Thresholds:
    """Reads and checks ThresholdArgs."""
    return Thresholds(
        memory_used_ratio=arguments.number("memory_used_ratio", 0.9, 0.1, 1),
        evictions_per_second=arguments.number("evictions_per_second", 100, 0, 1e9),
        hit_ratio=arguments.number("hit_ratio", 0.5, 0.01, 1),
        slow_commands_per_minute=arguments.number("slow_commands_per_minute", 10, 0, 1e6),
        replica_lag_seconds=arguments.whole(
            "replica_lag_seconds", _LAG_MINIMUM, _LAG_MINIMUM, 3600, f"servers are asked every {INTERVAL_SECONDS} s"
        ),
        connections_used_ratio=arguments.number("connections_used_ratio", 0.9, 0.1, 1),
        certificate_days=arguments.whole("certificate_days", 21, 1, 365),
        backup_age_hours=arguments.number("backup_age_hours", 26, 1, 10_000),
        drill_age_days=arguments.number("drill_age_days", 8, 0.01, 3650),
    )


def read_disabled(arguments: Arguments) -> tuple[str, ...]:
    """Reads and checks `disabled_alerts`."""
    disabled = arguments.texts("disabled_alerts", [])
    for name in disabled:
        if name not in NAMES:
            arguments.refuse("disabled_alerts", f"there is no alert {name!r}{suggest(name, list(NAMES))}")
    return tuple(disabled)


def rule_groups(
    cache: Monitored, thresholds: Thresholds, disabled: tuple[str, ...], labels: dict[str, str], runbooks: str
) -> dict[str, Any]:
    """What a PrometheusRule's spec is, and a file of rules too."""
    rules = [_rule(cache, alert, labels, runbooks) for alert in alerts(cache, thresholds) if alert.name not in disabled]
    return {"groups": [{"name": f"{cache.namespace}/{cache.name}", "rules": rules}]}


def _rule(cache: Monitored, alert: Alert, labels: dict[str, str], runbooks: str) -> dict[str, Any]:
    title = f"{cache.engine} cache {cache.namespace}/{cache.name}"
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": f"{alert.minutes}m",
        # What was absent has no labels.
        "labels": {**labels, "severity": alert.severity, **cache.selector},
        "annotations": {"summary": f"{title}: {alert.summary}", "runbook_url": f"{runbooks}#{alert.name.lower()}"},
    }


def alerts(cache: Monitored, thresholds: Thresholds) -> list[Alert]:
    """Those that apply to the cache's engine and mode."""
    of_engine = _memcached if cache.engine == "memcached" else _redis
    return [*_common(cache, thresholds), *of_engine(_Series(cache), cache, thresholds)]


class _Series:
    """Series of one cache, by metric: `series("redis_up")`."""

    def __init__(self, cache: Monitored) -> None:
        self._labels = cache.selector

    def __call__(self, metric: str, **labels: str) -> str:
        return metric + "{" + ",".join(f'{key}="{value}"' for key, value in {**self._labels, **labels}.items()) + "}"


def _or_none(aggregate: str, selected: str) -> str:
    """An aggregate without labels, 0 when there is nothing to aggregate."""
    return f"({aggregate}({selected}) or vector(0))"


def _common(cache: Monitored, thresholds: Thresholds) -> Iterator[Alert]:
    series = _Series(cache)
    expected = len(cache.addresses)
    what = "servers and sentinels" if cache.sentinels else "servers"
    yield Alert(
        "CacheServerDown",
        "critical",
        2,
        f"{_or_none('sum', series(f'{cache.prefix}_up'))} < {expected}",
        f"only {{{{ $value }}}} of {expected} {what} answer",
    )
    if cache.tls:
        yield Alert(
            "CacheCertificateExpiring",
            "warning",
            10,
            f"{_or_none('min', series('probe_ssl_earliest_cert_expiry'))} - time() < {thresholds.certificate_days * 86_400}",
            "a certificate is valid for {{ $value | humanizeDuration }} only, or can't be seen",
        )
    if cache.backup:
        made, drilled = (f"caches_backup_last_{what}timestamp_seconds" for what in ("", "drill_"))
        yield _too_old("CacheBackupTooOld", "critical", series(made), thresholds.backup_age_hours * 3600, "backup")
        yield _too_old("CacheRestoreDrillTooOld", "warning", series(drilled), thresholds.drill_age_days * 86_400, "restore drill")


def _too_old(name: str, severity: str, timestamp: str, seconds: float, what: str) -> Alert:
    last = _or_none("max", f"last_over_time({timestamp}[{_UNSEEN_MINUTES}m])")
    summary = f"the last {what} that succeeded was {{{{ $value | humanizeDuration }}}} ago, or there is none to be seen"
    return Alert(name, severity, 10, f"time() - {last} > {seconds:g}", summary)


def _redis(series: _Series, cache: Monitored, thresholds: Thresholds) -> Iterator[Alert]:
    if cache.mode == "cluster":
        yield Alert(
            "CacheSlotsNotCovered",
            "critical",
            1,
            f"{_or_none('min', series('redis_cluster_slots_ok'))} < {SLOTS}",
            f"only {{{{ $value }}}} of {SLOTS} slots have a server",
        )
    else:
        yield from _one_master(series, cache)
    if len(cache.servers) > 1:
        yield from _replication(series, cache, thresholds)
    if cache.sentinels:
        yield _quorum(series, len(cache.sentinels))
    yield from _memory(series, thresholds)
    hits, misses = (f"sum(rate({series(f'redis_keyspace_{found}_total')}[15m]))" for found in ("hits", "misses"))
    yield _hit_ratio(hits, misses, thresholds)
    yield Alert(
        "CacheConnectionsRejected",
        "critical",
        0,
        f"increase({series('redis_rejected_connections_total')}[5m]) > 0",
        "{{ $labels.instance }} has refused {{ $value }} clients, because maxclients are connected",
    )
    yield Alert(
        "CacheSlowCommands",
        "warning",
        5,
        f"60 * rate({series('redis_slowlog_last_id')}[10m]) > {thresholds.slow_commands_per_minute:g}",
        "{{ $labels.instance }} takes {{ $value }} slow commands a minute",
    )
    statuses = ("rdb_last_bgsave_status", "aof_last_bgrewrite_status", "aof_last_write_status")
    yield Alert(
        "CachePersistenceFailing",
        "critical",
        1,
        " or ".join(f"{series(f'redis_{status}')} == 0" for status in statuses),
        "{{ $labels.instance }} can't write its data to its disk",
    )


def _one_master(series: _Series, cache: Monitored) -> Iterator[Alert]:
    masters = series("redis_instance_info", role="master")
    yield Alert("CacheNoMaster", "critical", 1, f"{_or_none('sum', masters)} < 1", "no server takes writes")
    if len(cache.servers) > 1:
        yield Alert("CacheTwoMasters", "critical", 1, f"sum({masters}) > 1", "{{ $value }} servers say that they are the master")


def _replication(series: _Series, cache: Monitored, thresholds: Thresholds) -> Iterator[Alert]:
    expected = f"{len(cache.servers)} - max({series('redis_cluster_size')})" if cache.mode == "cluster" else f"{len(cache.servers) - 1}"
    yield Alert(
        "CacheReplicationBroken",
        "warning",
        5,
        f"{_or_none('sum', series('redis_master_link_up'))} < {expected}",
        "only {{ $value }} replicas follow their master",
    )
    # In bytes this would depend on how much is written: a replica must have what its master had so long ago. A master that was
    # made anew since then counts from 0, and what it had says nothing.
    now = series("redis_master_repl_offset")
    before = f"({now} offset {thresholds.replica_lag_seconds}s <= {now})"
    yield Alert(
        "CacheReplicationLagging",
        "warning",
        2,
        f"{series('redis_connected_slave_offset_bytes')} < on (instance) group_left () {before}",
        f"{{{{ $labels.slave_ip }}}} is more than {thresholds.replica_lag_seconds} s behind its master {{{{ $labels.instance }}}}",
    )


def _quorum(series: _Series, sentinels: int) -> Alert:
    # With no more than a majority, the next one that is lost takes the failover with it; few enough have none to lose.
    least = min(sentinels // 2 + 1, sentinels - 1)
    too_few = f"{_or_none('min', series('redis_sentinel_master_ok_sentinels'))} <= {least}"
    refused = f"min({series('redis_sentinel_master_ckquorum_status')}) < 1"
    return Alert(
        "CacheSentinelQuorumAtRisk",
        "warning",
        5,
        f"({too_few}) or ({refused})",
        f"of {sentinels} sentinels not enough are left to lose another one",
    )


def _memory(series: _Series, thresholds: Thresholds) -> Iterator[Alert]:
    # 0 is no limit. A server that evicts is meant to be full.
    used = f"{series('redis_memory_used_bytes')} / ({series('redis_memory_max_bytes')} > 0)"
    refusing = f"on (instance) {series('redis_instance_info', maxmemory_policy='noeviction')}"
    yield Alert(
        "CacheMemoryHigh",
        "warning",
        5,
        f"{used} > {thresholds.memory_used_ratio:g} and {refusing}",
        "{{ $labels.instance }} uses {{ $value | humanizePercentage }} of maxmemory, and will refuse writes",
    )
    yield _evictions(series("redis_evicted_keys_total"), thresholds)


def _memcached(series: _Series, cache: Monitored, thresholds: Thresholds) -> Iterator[Alert]:
    yield _evictions(series("memcached_items_evicted_total"), thresholds)
    hits, misses = (f"sum(rate({series('memcached_commands_total', command='get', status=found)}[15m]))" for found in ("hit", "miss"))
    yield _hit_ratio(hits, misses, thresholds)
    yield Alert(
        "CacheConnectionsNearLimit",
        "warning",
        5,
        f"{series('memcached_current_connections')} / {series('memcached_max_connections')} > {thresholds.connections_used_ratio:g}",
        "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its connections open",
    )
    ended = ("rejected", "listener_disabled")
    yield Alert(
        "CacheConnectionsRejected",
        "critical",
        0,
        " or ".join(f"increase({series(f'memcached_connections_{how}_total')}[5m]) > 0" for how in ended),
        "{{ $labels.instance }} has refused clients, because max_connections are connected",
    )
    yield Alert(
        "CacheOutOfMemory",
        "critical",
        0,
        f"sum by (instance) (increase({series('memcached_slab_items_outofmemory_total')}[5m])) > 0",
        "{{ $labels.instance }} has refused {{ $value }} items for want of memory",
    )


def _evictions(evicted: str, thresholds: Thresholds) -> Alert:
    return Alert(
        "CacheEvictions",
        "warning",
        10,
        f"rate({evicted}[5m]) > {thresholds.evictions_per_second:g}",
        "{{ $labels.instance }} evicts {{ $value }} keys a second",
    )


def _hit_ratio(hits: str, misses: str, thresholds: Thresholds) -> Alert:
    return Alert(
        "CacheHitRatioLow",
        "warning",
        30,
        # With fewer reads than one a second the share says nothing.
        f"{hits} / ({hits} + {misses} > 1) < {thresholds.hit_ratio:g}",
        "only {{ $value | humanizePercentage }} of reads find their key",
    )
