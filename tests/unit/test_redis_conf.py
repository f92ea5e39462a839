"""The rendered configuration, argument by argument."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import redis_conf
from pulumi_caches.kubernetes.server import ServerArgs, read_server


def render(**args: Any) -> list[str]:
    arguments = Arguments("Test", "cache", 63, args, ServerArgs)
    server = read_server(arguments)
    arguments.finish()
    return redis_conf.render(server).splitlines()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ({}, "maxmemory 768mb"),
        ({"memory_gib": 0.0625}, "maxmemory 48mb"),
        ({"memory_gib": 4, "maxmemory_mib": 1000}, "maxmemory 1000mb"),
        ({}, "maxmemory-policy noeviction"),
        ({"maxmemory_policy": "allkeys-lfu"}, "maxmemory-policy allkeys-lfu"),
        ({"maxmemory_samples": 10}, "maxmemory-samples 10"),
        ({}, "appendonly yes"),
        ({}, "appendfsync everysec"),
        ({}, 'save ""'),
        ({"aof_fsync": "always"}, "appendfsync always"),
        ({"persistence": "rdb"}, "appendonly no"),
        ({"persistence": "rdb"}, "save 3600 1 300 100 60 10000"),
        ({"persistence": "aof+rdb", "rdb_save_points": ["10 1"]}, "save 10 1"),
        ({"persistence": "none"}, 'save ""'),
        ({"persistence": "none"}, "appendonly no"),
        ({"io_threads": 4}, "io-threads 4"),
        ({"hz": 50}, "hz 50"),
        ({"max_clients": 500}, "maxclients 500"),
        ({"idle_timeout_seconds": 60}, "timeout 60"),
        ({"tcp_keepalive_seconds": 30}, "tcp-keepalive 30"),
        ({"tcp_backlog": 1024}, "tcp-backlog 1024"),
        ({"databases": 1}, "databases 1"),
        ({}, "lazyfree-lazy-eviction yes"),
        ({"lazyfree": False}, "lazyfree-lazy-user-flush no"),
        ({"active_defrag": True}, "activedefrag yes"),
        ({"slowlog_slower_than_us": -1}, "slowlog-log-slower-than -1"),
        ({"latency_monitor_threshold_ms": 0}, "latency-monitor-threshold 0"),
        ({"notify_keyspace_events": "Ex"}, 'notify-keyspace-events "Ex"'),
        ({"extra_config": ["client-output-buffer-limit replica 0 0 0"]}, "client-output-buffer-limit replica 0 0 0"),
        ({}, "protected-mode no"),
        ({"memory_gib": 2.0, "hz": 20.0}, "hz 20"),
    ],
    ids=str,
)
def test_has_the_line(args: dict[str, Any], line: str) -> None:
    assert line in render(**args)


def test_extra_lines_come_last_so_that_they_win() -> None:
    assert render(extra_config=["proto-max-bulk-len 1mb"])[-1] == "proto-max-bulk-len 1mb"


def test_defragmentation_is_not_mentioned_unless_wanted_because_some_builds_refuse_to_start_with_it() -> None:
    assert not [line for line in render() if "defrag" in line]


@given(
    memory_gib=st.floats(0.0625, 1024),
    persistence=st.sampled_from(["none", "rdb", "aof", "aof+rdb"]),
    samples=st.integers(1, 64),
)
def test_whatever_the_size_a_quarter_of_the_limit_stays_free(memory_gib: float, persistence: str, samples: int) -> None:
    [line] = [
        line for line in render(memory_gib=memory_gib, persistence=persistence, maxmemory_samples=samples) if line.startswith("maxmemory ")
    ]
    maxmemory = int(line.removeprefix("maxmemory ").removesuffix("mb"))
    assert 48 <= maxmemory <= memory_gib * 1024 * 0.75
