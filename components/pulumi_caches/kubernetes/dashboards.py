"""Grafana dashboards of one cache, as functions of plain data."""

import json
from dataclasses import dataclass
from typing import Any

from pulumi_caches.kubernetes.monitored import Monitored

# Grafana lays panels out on 24 columns; three are in a row.
_WIDTH, _HEIGHT, _IN_ROW = 8, 8, 3


@dataclass(frozen=True)
class Panel:
    """Lines over time. A query's `$` is the labels of what it is asked for."""

    title: str
    query: str
    legend: str
    unit: str = "short"


_REDIS_OVERVIEW = (
    Panel("Servers that answer", "sum(redis_up{$})", "servers"),
    Panel("Clients", "redis_connected_clients{$}", "{{instance}}"),
    Panel("Commands", "rate(redis_commands_processed_total{$}[5m])", "{{instance}}", "ops"),
    Panel("Memory", "redis_memory_used_bytes{$}", "{{instance}}", "bytes"),
    Panel("Memory of maxmemory", "redis_memory_used_bytes{$} / (redis_memory_max_bytes{$} > 0)", "{{instance}}", "percentunit"),
    Panel("Keys", "sum by (instance) (redis_db_keys{$})", "{{instance}}"),
    Panel(
        "Reads that find their key",
        "sum(rate(redis_keyspace_hits_total{$}[5m]))"
        " / (sum(rate(redis_keyspace_hits_total{$}[5m]) + rate(redis_keyspace_misses_total{$}[5m])) > 0)",
        "hits",
        "percentunit",
    ),
    Panel("Evicted keys", "rate(redis_evicted_keys_total{$}[5m])", "{{instance}}", "ops"),
    Panel("Refused clients", "increase(redis_rejected_connections_total{$}[5m])", "{{instance}}"),
    Panel("Received", "rate(redis_net_input_bytes_total{$}[5m])", "{{instance}}", "Bps"),
    Panel("Sent", "rate(redis_net_output_bytes_total{$}[5m])", "{{instance}}", "Bps"),
    Panel("Changes since the last snapshot", "redis_rdb_changes_since_last_save{$}", "{{instance}}"),
)
_REPLICATION = (
    Panel("Servers of each role", 'count by (role) (redis_instance_info{$,role!=""})', "{{role}}"),
    Panel("Replicas that follow", "sum(redis_master_link_up{$})", "replicas"),
    Panel("Replicas of each server", "redis_connected_slaves{$}", "{{instance}}"),
    Panel(
        "Behind the master",
        "redis_master_repl_offset{$} - on (instance) group_right () redis_connected_slave_offset_bytes{$}",
        "{{slave_ip}}",
        "bytes",
    ),
    Panel("Last word from the master", "redis_master_last_io_seconds_ago{$}", "{{instance}}", "s"),
    Panel("Full copies", "increase(redis_replica_resyncs_full{$}[5m])", "{{instance}}"),
)
_SENTINELS = (
    Panel("Sentinels that answer", "redis_sentinel_master_ok_sentinels{$}", "{{instance}}"),
    Panel("Replicas that sentinels see", "redis_sentinel_master_ok_slaves{$}", "{{instance}}"),
    Panel("Sentinels that have a majority", "redis_sentinel_master_ckquorum_status{$}", "{{instance}}"),
)
_CLUSTER = (
    Panel("State (1 is ok)", "redis_cluster_state{$}", "{{instance}}"),
    Panel("Slots with a server", "redis_cluster_slots_ok{$}", "{{instance}}"),
    Panel("Slots whose server fails", "redis_cluster_slots_fail{$} + redis_cluster_slots_pfail{$}", "{{instance}}"),
    Panel("Known nodes", "redis_cluster_known_nodes{$}", "{{instance}}"),
    Panel("Shards", "redis_cluster_size{$}", "{{instance}}"),
    Panel("Messages of the bus", "rate(redis_cluster_messages_received_total{$}[5m])", "{{instance}}", "ops"),
)
_LATENCY = (
    Panel("Commands, half", 'redis_latency_percentiles_usec{$,quantile="50"}', "{{instance}} {{cmd}}", "µs"),
    Panel("Commands, 99 %", 'redis_latency_percentiles_usec{$,quantile="99"}', "{{instance}} {{cmd}}", "µs"),
    Panel(
        "Commands, mean",
        "rate(redis_commands_duration_seconds_total{$}[5m]) / (rate(redis_commands_total{$}[5m]) > 0)",
        "{{instance}} {{cmd}}",
        "s",
    ),
    Panel("Slow commands", "60 * rate(redis_slowlog_last_id{$}[10m])", "{{instance}} a minute"),
    Panel("Last snapshot's fork", "redis_latest_fork_seconds{$}", "{{instance}}", "s"),
    Panel("Blocked clients", "redis_blocked_clients{$}", "{{instance}}"),
)
_MEMCACHED = (
    Panel("Servers that answer", "sum(memcached_up{$})", "servers"),
    Panel("Connections", "memcached_current_connections{$}", "{{instance}}"),
    Panel("Commands", "sum by (instance, command) (rate(memcached_commands_total{$}[5m]))", "{{instance}} {{command}}", "ops"),
    Panel("Memory of items", "memcached_current_bytes{$}", "{{instance}}", "bytes"),
    Panel("Items", "memcached_current_items{$}", "{{instance}}"),
    Panel("Evicted items", "rate(memcached_items_evicted_total{$}[5m])", "{{instance}}", "ops"),
    Panel("Items without memory", "sum by (instance) (increase(memcached_slab_items_outofmemory_total{$}[5m]))", "{{instance}}"),
    Panel("Received", "rate(memcached_read_bytes_total{$}[5m])", "{{instance}}", "Bps"),
    Panel("Sent", "rate(memcached_written_bytes_total{$}[5m])", "{{instance}}", "Bps"),
)


def _joined(title: str, *queries: str, unit: str = "short") -> Panel:
    """One line for each cache, of whatever engine, wherever it is."""
    expression = f"sum by (provider, region, namespace, cache) ({' or '.join(queries)})"
    return Panel(title, expression, "{{provider}} {{region}} {{namespace}}/{{cache}}", unit)


_CLOUDS = (
    _joined("Servers that answer", "redis_up{$}", "memcached_up{$}"),
    _joined("Commands", "rate(redis_commands_processed_total{$}[5m])", "rate(memcached_commands_total{$}[5m])", unit="ops"),
    _joined("Memory", "redis_memory_used_bytes{$}", "memcached_current_bytes{$}", unit="bytes"),
    _joined("Clients", "redis_connected_clients{$}", "memcached_current_connections{$}"),
    _joined("Evicted keys", "rate(redis_evicted_keys_total{$}[5m])", "rate(memcached_items_evicted_total{$}[5m])", unit="ops"),
    _joined("Replicas that follow", "redis_master_link_up{$}"),
)


def dashboards(cache: Monitored, clouds: bool) -> dict[str, str]:
    """Each dashboard's file: those that apply to the cache, and on demand that of all caches in all clouds."""
    found: dict[str, tuple[Panel, ...]] = {"overview": _MEMCACHED}
    if cache.engine != "memcached":
        found = {"overview": _REDIS_OVERVIEW, "latency": _LATENCY}
    if cache.engine != "memcached" and len(cache.servers) > 1:
        found["replication"] = _REPLICATION + (_SENTINELS if cache.sentinels else ())
    if cache.mode == "cluster":
        found["cluster"] = _CLUSTER
    whole = f"{cache.namespace}-{cache.name}"
    files = {f"{whole}-{kind}.json": _file(f"{whole}-{kind}", panels, _labels(cache)) for kind, panels in found.items()}
    return {**files, **({"caches-clouds.json": _file("caches-clouds", _CLOUDS, 'cache!=""')} if clouds else {})}


def _labels(cache: Monitored) -> str:
    return ",".join(f'{key}="{value}"' for key, value in cache.selector.items())


def _file(uid: str, panels: tuple[Panel, ...], labels: str) -> str:
    dashboard = {
        "uid": uid,
        "title": uid.replace("-", " "),
        "tags": ["caches"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, panel, labels) for number, panel in enumerate(panels)],
    }
    return json.dumps(dashboard, indent=1) + "\n"


def _panel(number: int, panel: Panel, labels: str) -> dict[str, Any]:
    row, column = divmod(number, _IN_ROW)
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": panel.query.replace("$", labels), "legendFormat": panel.legend}],
    }
