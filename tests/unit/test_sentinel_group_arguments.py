"""Every argument of SentinelGroup that can't work is refused before anything is registered, in words that say what to do."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import SentinelGroup, SentinelGroupArgs
from unit import mocks
from unit.refusal import refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    # Keys
    ({"member": 3}, "member: there is no such argument; did you mean 'members'?"),
    ({"sentinelQuorum": 2}, "sentinelQuorum: there is no such argument; did you mean 'sentinel_quorum'?"),
    ({"replicas": 2}, "replicas: there is no such argument"),
    # Members
    ({"members": 2}, "members = 2: must be from 3 to 9"),
    ({"members": 1}, "members = 1: must be from 3 to 9"),
    ({"members": 11}, "members = 11: must be from 3 to 9"),
    ({"members": 4}, "members = 4: must be odd: two halves of 4 are no majority; give 3 or 5"),
    ({"members": 8}, "members = 8: must be odd: two halves of 8 are no majority; give 7 or 9"),
    ({"members": 3.5}, "members = 3.5: must be a whole number"),
    ({"members": "3"}, "members = '3': must be a number"),
    # When they fail over
    ({"sentinel_quorum": 0}, "sentinel_quorum = 0: must be from 1 to 9"),
    (
        {"sentinel_quorum": 3},
        "sentinel_quorum = 3: can't be met: the sentinel beside a lost master is lost too, so at most 2 of 3 are left",
    ),
    ({"members": 5, "sentinel_quorum": 5}, "sentinel_quorum = 5: can't be met"),
    ({"down_after_milliseconds": 499}, "down_after_milliseconds = 499: must be from 500 to 600000"),
    ({"down_after_milliseconds": 600_001}, "down_after_milliseconds = 600001: must be from 500 to 600000"),
    ({"down_after_milliseconds": "1s"}, "down_after_milliseconds = '1s': must be a number"),
    ({"announce": "name"}, "announce = 'name': must be one of address, hostname"),
    # Time to stop
    (
        {"termination_grace_seconds": 44},
        "termination_grace_seconds = 44: a pod may take 15 s to hand over and 30 s to end and save: give at least 45",
    ),
    ({"termination_grace_seconds": 0}, "termination_grace_seconds = 0: must be from 1"),
    ({"persistence": "rdb", "termination_grace_seconds": 45}, "and 46 s to end and save: give at least 61"),
    ({"persistence": "rdb", "memory_gib": 64, "termination_grace_seconds": 1028}, "and 1014 s to end and save: give at least 1029"),
    # Writes
    ({"min_replicas_to_write": 3}, "min_replicas_to_write = 3: there are only 2 replicas: every write would be refused"),
    ({"members": 5, "min_replicas_to_write": 5}, "there are only 4 replicas"),
    ({"min_replicas_to_write": -1}, "min_replicas_to_write = -1: must be from 0"),
    ({"min_replicas_max_lag_seconds": 1}, "min_replicas_max_lag_seconds = 1: must be from 2 to 60"),
    ({"min_replicas_max_lag_seconds": 61}, "min_replicas_max_lag_seconds = 61: must be from 2 to 60"),
    ({"repl_backlog_mib": 900}, "repl_backlog_mib = 900: must be from 1 to 192"),
    ({"replica_max_stale_seconds": -1}, "replica_max_stale_seconds = -1: must be from 0"),
    # The front
    ({"front_replicas": -1}, "front_replicas = -1: must be from 0 to 20"),
    ({"front_replicas": 21}, "front_replicas = 21: must be from 0 to 20"),
    ({"front_replicas": True}, "front_replicas = True: must be a number"),
    ({"front": True}, "front: there is no such argument"),
    ({"front_image": "haproxy:3.0.11"}, "front_image = 'haproxy:3.0.11': there is no front: give front_replicas"),
    ({"front_replicas": 2, "front_image": "haproxy"}, "front_image = 'haproxy': needs an exact tag or a digest"),
    # What it shares with the other components
    ({"runtime_image": "caches-runtime"}, "runtime_image = 'caches-runtime': needs an exact tag or a digest"),
    ({"runtime_image": "mirror.example:5000/caches-runtime"}, "runtime_image = 'mirror.example:5000/caches-runtime': needs an exact tag"),
    ({"runtime_image": "mirror.example/caches-runtime:latest"}, "needs an exact tag"),
    ({"image": "redis"}, "image = 'redis': needs an exact tag or a digest"),
    ({"evictable": "no"}, "evictable = 'no': must be true or false"),
    ({"persistence": "none", "storage_gib": 5}, "there is no volume with persistence none"),
    ({"existing_secret_name": "s", "password_version": 2}, "the passwords are in existing_secret_name"),
    ({"node_spread": "must"}, "must be one of none, preferred, required"),
    ({"labels": {"a b": "c"}}, "'a b' is not a valid key"),
    ({"pod_annotations": {"/x": "y"}}, "'/x' is not a valid key"),
    ({"namespace": "My_Space"}, "namespace = 'My_Space': must be lower-case letters"),
    ({"extra_config": ["replicaof a 1"]}, "replicaof can't be set here"),
    ({"extra_config": ["replica-announce-ip 10.0.0.1"]}, "replica-announce-ip can't be set here"),
    ({"extra_config": ["masteruser x"]}, "masteruser can't be set here"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(SentinelGroup, args)


@pytest.mark.parametrize(
    "args",
    [
        {"members": 3, "sentinel_quorum": 2},
        {"members": 9, "sentinel_quorum": 8},
        {"members": 3.0, "sentinel_quorum": 1.0},
        {"min_replicas_to_write": 2},
        {"members": 9, "min_replicas_to_write": 8},
        {"down_after_milliseconds": 500},
        {"down_after_milliseconds": 600_000},
        {"termination_grace_seconds": 45},
        {"persistence": "rdb", "termination_grace_seconds": 61},
        {"persistence": "rdb", "memory_gib": 64, "termination_grace_seconds": 1029},
        {"runtime_image": "mirror.example/caches-runtime@sha256:00"},
        {"persistence": "none"},
        {"front_replicas": 20, "front_image": "haproxy:3.0.11"},
        {"front_replicas": 0},
    ],
    ids=str,
)
def test_the_last_value_that_works_is_accepted(args: dict[str, Any]) -> None:
    assert "cache" in mocks.run(lambda: SentinelGroup("cache", cast(SentinelGroupArgs, args)) and None).named("StatefulSet")


@pytest.mark.parametrize(
    ("name", "message"),
    [("Cache", "its name must be lower-case letters"), ("c" * 45, "its name has 45 characters, at most 44 are possible")],
)
def test_a_name_that_kubernetes_would_refuse_is_refused(name: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SentinelGroup(name, {})


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ArgumentError) as raised:
        SentinelGroup("cache", cast(SentinelGroupArgs, {"members": 4, "sentinel_quorum": 4, "engine": "x", "member": 1}))
    assert str(raised.value).count("\n  * ") == 4
