"""What a Prometheus sees of caches that are well, and of one with a fault that begins after an hour and ends an hour later."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_caches.kubernetes.monitored import Monitored

INTERVAL_SECONDS = 30
# Of each of the three phases: before, with and after the fault.
PHASE_SAMPLES = 120
DAY = 86_400


@dataclass(frozen=True)
class Gauge:
    """A value; None is absent."""

    value: float | None


@dataclass(frozen=True)
class Counter:
    """A value that grows by so much in a second."""

    rate: float


Value = Gauge | Counter
ABSENT = Gauge(None)


def cache(name: str, engine: str, mode: str, servers: int, sentinels: int = 0) -> Monitored:
    """One of `servers` and sentinels, with TLS."""
    return Monitored(
        name=name,
        namespace="shop",
        engine=engine,
        mode=mode,
        servers=tuple(f"server-{number}:6379" for number in range(servers)),
        sentinels=tuple(f"server-{number}:26379" for number in range(sentinels)),
        username="",
        tls=True,
        authority_pem="",
        provider="kubernetes",
        region="",
        backup=f"{name}-data",
    )


def well(monitored: Monitored) -> dict[str, Value]:
    """The series of a cache that nothing is wrong with."""
    kind = _memcached if monitored.engine == "memcached" else _redis
    labels = {"cache": monitored.name, "namespace": monitored.namespace}
    found = {_series(metric, {**labels, **more}): value for metric, more, value in kind(monitored)}
    return found | {_series(f"caches_backup_last_{what}timestamp_seconds", labels): Counter(1) for what in ("", "drill_")}


def with_fault(series: Mapping[str, Value], fault: Mapping[str, Value]) -> dict[str, Value]:
    """The series of the phase with the fault; its keys are regular expressions, of which each must mean some series."""
    found = dict(series)
    for pattern, value in fault.items():
        meant = [name for name in series if re.search(pattern, name)]
        assert meant, pattern
        found |= dict.fromkeys(meant, value)
    return found


def samples(before: Value, during: Value) -> str:
    """promtool's notation of the three phases."""
    total, words = 0.0, []
    for phase, value in enumerate((before, during, before)):
        if isinstance(value, Counter):
            step = value.rate * INTERVAL_SECONDS
            # What fell behind catches up.
            total = max(total, phase * step * PHASE_SAMPLES) if phase == 2 else total
            words.append(f"{total:g}+{step:g}x{PHASE_SAMPLES - 1}")
            total += step * PHASE_SAMPLES
        elif value.value is None:
            # As Prometheus marks a series that a scrape no longer has.
            words.append(f"stale _x{PHASE_SAMPLES - 1}")
        else:
            words.append(f"{value.value:g}x{PHASE_SAMPLES - 1}")
    return " ".join(words)


def _series(metric: str, labels: Mapping[str, str]) -> str:
    return metric + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


Found = Iterator[tuple[str, dict[str, str], Value]]


def _redis(monitored: Monitored) -> Found:
    masters = 3 if monitored.mode == "cluster" else 1
    for number, server in enumerate(monitored.servers):
        here: dict[str, str] = {"instance": server}
        role = "master" if number < masters else "slave"
        yield "redis_instance_info", {**here, "role": role, "maxmemory_policy": "noeviction"}, Gauge(1)
        if monitored.mode != "cluster" and number == 1:
            # For the fault in which it says so too.
            yield "redis_instance_info", {**here, "role": "master", "maxmemory_policy": "noeviction"}, ABSENT
        yield "redis_master_repl_offset", here, Counter(1000)
        if number >= masters:
            yield "redis_master_link_up", here, Gauge(1)
            master = {"instance": monitored.servers[number % masters], "slave_ip": f"server-{number}"}
            yield "redis_connected_slave_offset_bytes", master, Counter(1000)
        if monitored.mode == "cluster":
            yield "redis_cluster_slots_ok", here, Gauge(16_384)
            yield "redis_cluster_size", here, Gauge(masters)
        yield "redis_memory_used_bytes", here, Gauge(500)
        yield "redis_memory_max_bytes", here, Gauge(1000)
        yield "redis_evicted_keys_total", here, Counter(1)
        yield "redis_keyspace_hits_total", here, Counter(90)
        yield "redis_keyspace_misses_total", here, Counter(10)
        yield "redis_rejected_connections_total", here, Counter(0)
        yield "redis_slowlog_last_id", here, Counter(0.01)
        yield "redis_rdb_last_bgsave_status", here, Gauge(1)
        yield "redis_aof_last_bgrewrite_status", here, Gauge(1)
        yield "redis_aof_last_write_status", here, Gauge(1)
    for sentinel in monitored.sentinels:
        yield "redis_sentinel_master_ok_sentinels", {"instance": sentinel}, Gauge(len(monitored.sentinels))
        yield "redis_sentinel_master_ckquorum_status", {"instance": sentinel}, Gauge(1)
    yield from _every(monitored, "redis_up")


def _memcached(monitored: Monitored) -> Found:
    for server in monitored.servers:
        here: dict[str, str] = {"instance": server}
        yield "memcached_items_evicted_total", here, Counter(1)
        yield "memcached_commands_total", {**here, "command": "get", "status": "hit"}, Counter(90)
        yield "memcached_commands_total", {**here, "command": "get", "status": "miss"}, Counter(10)
        yield "memcached_current_connections", here, Gauge(10)
        yield "memcached_max_connections", here, Gauge(1000)
        yield "memcached_connections_rejected_total", here, Counter(0)
        yield "memcached_connections_listener_disabled_total", here, Counter(0)
        for slab in ("1", "2"):
            yield "memcached_slab_items_outofmemory_total", {**here, "slab": slab}, Counter(0)
    yield from _every(monitored, "memcached_up")


def _every(monitored: Monitored, up: str) -> Found:
    for address in monitored.addresses:
        yield up, {"instance": address}, Gauge(1)
        yield "probe_ssl_earliest_cert_expiry", {"instance": address}, Gauge(90 * DAY)


def prometheus_test(rules: str, ours: Monitored, theirs: Monitored, fault: Mapping[str, Value], expected: set[str]) -> dict[str, Any]:
    """promtool's test: `expected` alerts are firing for ours while it has the fault, and for theirs, or before and after, none."""
    normal, during = well(ours), with_fault(well(ours), fault)
    series = {name: samples(value, during[name]) for name, value in normal.items()}
    series |= {name: samples(value, value) for name, value in well(theirs).items()}
    phase = PHASE_SAMPLES * INTERVAL_SECONDS
    firing = 'group by (alertname, cache) (ALERTS{alertstate="firing"})'
    at: dict[int, set[str]] = {phase: set(), 2 * phase: expected, 3 * phase: set()}
    return {
        "rule_files": [rules],
        "evaluation_interval": f"{INTERVAL_SECONDS}s",
        "tests": [
            {
                "interval": f"{INTERVAL_SECONDS}s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": firing,
                        "eval_time": f"{seconds - INTERVAL_SECONDS}s",
                        "exp_samples": [{"labels": f'{{alertname="{name}",cache="{ours.name}"}}', "value": 1} for name in sorted(names)],
                    }
                    for seconds, names in at.items()
                ],
            }
        ],
    }
