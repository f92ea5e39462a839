"""Every argument that can't work is refused before anything is registered, in words that say what to do."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import RedisStatefulSet, RedisStatefulSetArgs
from unit.refusal import refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    # Keys
    ({"replica": 2}, "replica: there is no such argument; did you mean 'replicas'?"),
    ({"memoryGib": 1}, "memoryGib: there is no such argument; did you mean 'memory_gib'?"),
    ({"tolerations": [{"kee": "a"}]}, "'kee' is not one of key, operator, value, effect; did you mean 'key'?"),
    # Sizes
    ({"memory_gib": 0.03}, "memory_gib = 0.03: must be from 0.0625 to 1024: an empty server with its buffers takes 64 MiB"),
    ({"memory_gib": -1}, "memory_gib = -1: must be from 0.0625"),
    ({"memory_gib": "1Gi"}, "memory_gib = '1Gi': must be a number"),
    ({"memory_gib": float("nan")}, "must be a number"),
    ({"memory_gib": True}, "must be a number"),
    ({"maxmemory_mib": 1025}, "maxmemory_mib = 1025: the memory limit is 1024 MiB and a tenth must stay free"),
    ({"maxmemory_mib": 922}, "give at most 921, or more memory_gib"),
    ({"maxmemory_mib": 0}, "maxmemory_mib = 0: must be from 1"),
    ({"memory_gib": 8, "storage_gib": 4}, "storage_gib = 4: holds less than maxmemory, 6144 MiB: give at least 24"),
    ({"storage_gib": 0}, "storage_gib = 0: must be from 1"),
    ({"cpu_request": 0}, "cpu_request = 0: must be from 0.01"),
    ({"cpu_request": 2, "cpu_limit": 1}, "cpu_limit = 1: is below cpu_request, 2"),
    # Closed sets
    ({"engine": "valky"}, "engine = 'valky': must be one of redis, valkey; did you mean 'valkey'?"),
    ({"maxmemory_policy": "lru"}, "maxmemory_policy = 'lru': must be one of noeviction, allkeys-lru"),
    ({"persistence": "aof,rdb"}, "persistence = 'aof,rdb': must be one of none, rdb, aof, aof+rdb"),
    ({"aof_fsync": "sometimes"}, "must be one of always, everysec, no"),
    ({"node_spread": "must"}, "must be one of none, preferred, required"),
    # Numbers
    ({"replicas": -1}, "replicas = -1: must be from 0 to 100"),
    ({"replicas": 1.5}, "replicas = 1.5: must be a whole number"),
    ({"io_threads": 0}, "io_threads = 0: must be from 1 to 128"),
    ({"hz": 501}, "hz = 501: must be from 1 to 500"),
    ({"max_clients": 0}, "max_clients = 0"),
    ({"databases": 0}, "databases = 0"),
    ({"maxmemory_samples": 65}, "maxmemory_samples = 65"),
    ({"repl_backlog_mib": 900}, "repl_backlog_mib = 900: must be from 1 to 192"),
    ({"password_version": 0}, "password_version = 0"),
    # Names and labels
    ({"namespace": "My_Space"}, "namespace = 'My_Space': must be lower-case letters"),
    ({"namespace": "n" * 64}, "has 64 characters, at most 63"),
    ({"labels": {"a b": "c"}}, "'a b' is not a valid key"),
    ({"labels": {"team": "-core"}}, "'-core' is not a valid label value"),
    ({"labels": {"team": 1}}, "must be a mapping of strings to strings"),
    ({"pod_annotations": {"/x": "y"}}, "'/x' is not a valid key"),
    ({"dedicated_nodes": "caches"}, "dedicated_nodes = 'caches': must be KEY=VALUE"),
    ({"tolerations": [{"operator": "Equal"}]}, "operator Equal needs a key"),
    ({"tolerations": [{"operator": "Is", "key": "a"}]}, "operator 'Is' is neither Equal nor Exists"),
    ({"tolerations": [{"operator": "Exists", "value": "a"}]}, "operator Exists takes no value"),
    ({"tolerations": [{"key": "a", "effect": "NoSchedul"}]}, "did you mean 'NoSchedule'?"),
    ({"image": "redis"}, "image = 'redis': needs an exact tag or a digest, such as docker.io/library/redis:"),
    ({"image": "registry:5000/redis"}, "needs an exact tag"),
    ({"image": "redis:latest"}, "needs an exact tag"),
    ({"existing_secret_name": "s", "existing_secret_key": "a b"}, "must be a Secret's key"),
    # Contradictions
    ({"persistence": "none", "replicas": 1}, "with persistence none a restarted primary is empty and would empty its replicas"),
    ({"persistence": "none", "storage_gib": 5}, "storage_gib = 5: there is no volume with persistence none"),
    ({"persistence": "rdb", "aof_fsync": "always"}, "there is no append-only file with persistence rdb"),
    ({"persistence": "aof", "rdb_save_points": ["1 1"]}, "there are no snapshots with persistence aof"),
    ({"persistence": "rdb", "rdb_save_points": []}, "persistence rdb needs at least one"),
    ({"persistence": "rdb", "rdb_save_points": ["often"]}, "'often' is not \"SECONDS CHANGES\""),
    ({"io_threads": 4, "cpu_limit": 2}, "more than the cores of cpu_limit, 2"),
    ({"min_replicas_to_write": 1}, "there are only 0 replicas: every write would be refused"),
    ({"existing_secret_name": "s", "password_version": 2}, "the passwords are in existing_secret_name"),
    ({"existing_secret_key": "k"}, "needs existing_secret_name"),
    # The escape hatch
    ({"extra_config": ["requirepass x"]}, "requirepass can't be set here: use existing_secret_name"),
    ({"extra_config": ["MAXMEMORY 1gb"]}, "maxmemory can't be set here: use maxmemory_mib"),
    ({"extra_config": ["replicaof a 1"]}, "replicaof can't be set here: use replicas"),
    ({"extra_config": ["a b\nrequirepass x"]}, 'is not one line of "directive value"'),
    ({"extra_config": [""]}, 'is not one line of "directive value"'),
    ({"notify_keyspace_events": "Kq"}, "must be letters of"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(RedisStatefulSet, args)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Cache", "its name must be lower-case letters"),
        ("1cache", "beginning with a letter"),
        ("cache-", "not ending with '-'"),
        ("c" * 45, "its name has 45 characters, at most 44 are possible"),
    ],
)
def test_a_name_that_kubernetes_would_refuse_is_refused(name: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RedisStatefulSet(name, {})


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ArgumentError) as raised:
        RedisStatefulSet("cache", cast(RedisStatefulSetArgs, {"replicas": -1, "engine": "x", "replica": 1}))
    assert str(raised.value).count("\n  * ") == 3
