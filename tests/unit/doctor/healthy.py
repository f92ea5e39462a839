"""Caches in which nothing is missing, as `caches doctor` finds them; what tests take something away from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from caches_runtime.ops.doctor.facts import Cache, Certificate, Facts, Object, Server

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
MIB = 2**20
DIGEST = "redis@sha256:" + 64 * "0"


def ago(hours: float) -> str:
    """A time as the API writes it."""
    return datetime.fromtimestamp(NOW - hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name: str, node: int, owner: str = "cache", image: str = "redis:8.0.2") -> dict[str, Any]:
    memory = {"memory": "128Mi"}
    container = {"name": "redis", "image": image, "resources": {"limits": memory, "requests": memory}}
    return {
        "metadata": {"name": name, "labels": {"instance": "cache"}, "ownerReferences": [{"name": owner}]},
        "spec": {
            "nodeName": f"node-{node}",
            "containers": [container],
            "affinity": {"podAntiAffinity": {}} | {"podAntiAffinity": {"required": 1}},
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"name": "redis", "restartCount": 0}]},
    }


def server(name: str, role: str = "slave", **info: str) -> Server:
    known = {
        "redis_version": "8.0.2",
        "role": role,
        "connected_slaves": "2" if role == "master" else "0",
        "master_link_status": "up",
        "maxmemory": str(96 * MIB),
        "used_memory": str(10 * MIB),
        "aof_enabled": "1",
        "aof_last_write_status": "ok",
        "rdb_last_bgsave_status": "ok",
    }
    settings = {"maxmemory-policy": "volatile-lru", "appendfsync": "everysec", "save": "", "min-replicas-to-write": "1"}
    return Server(name, info={**known, **info}, settings=settings, certificate=Certificate(365))


def sentinel(name: str, **info: str) -> Server:
    return Server(name, info={"num-other-sentinels": "2", "majority": "OK 3 usable Sentinels", **info}, certificate=Certificate(365))


def backup(what: str, hours: float = 1) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app.kubernetes.io/component": what}}}
    return {
        "metadata": {"name": f"cache-backup-{what}", "namespace": "shop", "creationTimestamp": ago(1000)},
        "spec": {"suspend": what == "restore", "jobTemplate": {"spec": {"template": template}}},
        "status": {"lastSuccessfulTime": ago(hours), "lastScheduleTime": ago(hours)},
    }


SELECTOR = {"matchLabels": {"instance": "cache"}}
NODES: list[Object] = [
    {"metadata": {"name": f"node-{number}", "labels": {"topology.kubernetes.io/zone": f"zone-{number}"}}} for number in range(6)
]
AROUND: dict[str, Any] = {
    "now": NOW,
    "nodes": NODES,
    "budgets": [{"spec": {"selector": SELECTOR}}],
    "policies": [{"spec": {"podSelector": SELECTOR, "policyTypes": ["Ingress"]}}],
    "volumes": {"data-cache-0": 0.3},
    "backups": [backup("make"), backup("drill"), backup("restore", 900)],
    "exporters": [
        {
            "metadata": {"name": "cache-exporter", "namespace": "shop"},
            "status": {"readyReplicas": 1},
        }
    ],
    "rules": [{"metadata": {"name": "cache", "namespace": "shop"}}],
}
GROUP = Facts(
    Cache("cache", "redis", "sentinel", "cache.shop.svc", tls=True, purpose="session", master_name="cache"),
    servers=[server("cache-0", "master"), server("cache-1"), server("cache-2")],
    sentinels=[sentinel(f"cache-{number}") for number in range(3)],
    pods=[pod(f"cache-{number}", number) for number in range(3)],
    **AROUND,
)
_SLOTS = {"cluster_state": "ok", "cluster_slots_ok": "16384"}
_SHARDS = [(shard, ordinal) for shard in range(3) for ordinal in range(2)]
CLUSTER = Facts(
    Cache("cache", "redis", "cluster", "cache.shop.svc", tls=True, purpose="session"),
    servers=[
        Server(**{**vars(server(f"cache-{shard}-{ordinal}", "slave" if ordinal else "master")), "cluster": _SLOTS})
        for shard, ordinal in _SHARDS
    ],
    pods=[pod(f"cache-{shard}-{ordinal}", (shard + ordinal) % 3, f"cache-{shard}") for shard, ordinal in _SHARDS],
    **AROUND,
)
PAIR = Facts(
    Cache("cache", "redis", "standalone", "cache.shop.svc", tls=True, purpose="session"),
    servers=[server("cache-0", "master"), server("cache-replica-0")],
    pods=[pod("cache-0", 0), pod("cache-replica-0", 1, "cache-replica")],
    **AROUND,
)
_STATS = {"version": "1.6.38", "limit_maxbytes": str(96 * MIB)}
MEMCACHED = Facts(
    Cache("cache", "memcached", "sharded", "cache-0.cache-headless.shop.svc", tls=True),
    servers=[Server(f"cache-{number}", info=_STATS, settings={"evictions": "on"}, certificate=Certificate(365)) for number in range(3)],
    pods=[pod(f"cache-{number}", number) for number in range(3)],
    **AROUND,
)
EVERY = {"sentinel": GROUP, "cluster": CLUSTER, "standalone": PAIR, "memcached": MEMCACHED}
