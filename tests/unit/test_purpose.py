"""What a purpose chooses, what wins over it, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pulumi_caches import ArgumentError
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import (
    CacheBackup,
    CacheMonitoring,
    RedisClusterWithInit,
    RedisOperatorCluster,
    RedisStatefulSet,
    SentinelGroup,
)
from pulumi_caches.kubernetes.server import ServerArgs, read_server
from pulumi_caches.kubernetes.storage import refuse_changes
from unit import mocks, wiring
from unit.refusal import refused

CHOSEN = [
    ({}, ["maxmemory-policy noeviction", "appendonly yes", 'save ""']),
    ({"purpose": "cache"}, ["maxmemory-policy allkeys-lru", "appendonly no", "save 3600 1 300 100 60 10000"]),
    ({"purpose": "session"}, ["maxmemory-policy volatile-lru", "appendonly yes", 'save ""']),
    ({"purpose": "queue"}, ["maxmemory-policy noeviction", "appendonly yes", 'save ""']),
    ({"purpose": "cache", "maxmemory_policy": "noeviction"}, ["maxmemory-policy noeviction", "appendonly no"]),
    ({"purpose": "cache", "persistence": "aof"}, ["maxmemory-policy allkeys-lru", "appendonly yes"]),
    ({"purpose": "session", "maxmemory_policy": "allkeys-lfu"}, ["maxmemory-policy allkeys-lfu", "appendonly yes"]),
    ({"purpose": "queue", "persistence": "rdb"}, ["maxmemory-policy noeviction", "appendonly no"]),
]
REFUSED = [
    ({"purpose": "jobs"}, "purpose = 'jobs': must be one of cache, session, queue"),
    ({"purpose": "queue", "maxmemory_policy": "allkeys-lru"}, "maxmemory_policy = 'allkeys-lru': would remove entries of a queue"),
    ({"purpose": "queue", "maxmemory_policy": "volatile-ttl"}, "leave it out, or say which other purpose this has"),
    ({"purpose": "queue", "persistence": "none"}, "persistence = 'none': a queue would be empty after a restart"),
    ({"purpose": "cache", "aof_fsync": "always"}, "there is no append-only file with persistence rdb"),
]
COMPONENTS = [RedisStatefulSet, SentinelGroup, RedisClusterWithInit]


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize(("args", "lines"), CHOSEN, ids=str)
def test_chooses_what_is_not_given(component: Callable[..., Any], args: dict[str, Any], lines: list[str]) -> None:
    registered = mocks.run(lambda: component("cache", args) and None)
    assert set(lines) <= set(registered.only("ConfigMap")["data"]["server.conf"].splitlines())


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=str)
def test_refuses_what_contradicts_it(args: dict[str, Any], message: str) -> None:
    assert message in refused(SentinelGroup, args)


@pytest.mark.parametrize("component", [*COMPONENTS, RedisOperatorCluster])
def test_the_connection_says_it_where_somebody_did(component: Callable[..., Any]) -> None:
    assert wiring.connection(component, purpose="session")["purpose"] == "session"
    assert "purpose" not in wiring.connection(component)


def test_one_that_would_change_what_is_on_the_volumes_is_refused_with_the_way_out() -> None:
    server = read_server(Arguments("Test", "cache", 63, {"purpose": "cache"}, ServerArgs))
    first = {"engine": "redis", "namespace": "shop", "persistence": "appendonlydir", "storage_gib": 3, "storage_class": ""}
    with pytest.raises(ArgumentError, match="start empty; where purpose chose it, say it yourself"):
        refuse_changes("cache", server, may_grow=True)(first, {**first, "persistence": server.data_file})


@pytest.mark.parametrize("kind", ["CronJob", "Deployment"])
def test_what_serves_a_cache_says_which(kind: str) -> None:
    def program() -> None:
        cache = RedisStatefulSet("cache", {"namespace": "shop"})
        CacheBackup("other", {"connection": cache.connection, "bucket": "pvc://backups/cache"})
        CacheMonitoring("other", {"connection": cache.connection})

    for made in mocks.run(program).named(kind).values():
        assert made["metadata"]["annotations"] == {"pulumi-caches/cache": "cache.shop.svc"}
