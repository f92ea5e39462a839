"""Every argument that can't work is refused before anything is registered, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import MemcachedShards
from unit.memcached_servers import read
from unit.refusal import refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    # Keys
    ({"replicas": 2}, "replicas: there is no such argument"),
    ({"shard": 2}, "shard: there is no such argument; did you mean 'shards'?"),
    # Sizes
    ({"memory_gib": 0.03}, "memory_gib = 0.03: must be from 0.0625 to 1024"),
    (
        {"item_memory_mib": 922},
        "the memory limit is 1024 MiB, of which the hash table, connections and probes need some: give at most 921",
    ),
    ({"memory_gib": 0.125, "item_memory_mib": 105}, "give at most 104, or more memory_gib"),
    ({"item_memory_mib": 7}, "item_memory_mib = 7: must be from 8"),
    ({"max_item_size_mib": 0.25}, "max_item_size_mib = 0.25: must be from 0.5 to 1024"),
    ({"max_item_size_mib": 1.2}, "max_item_size_mib = 1.2: must be a multiple of 0.5"),
    ({"memory_gib": 0.0625, "max_item_size_mib": 20.5}, "is more than half of item_memory_mib, 40: the server would not start"),
    ({"cpu_request": 2, "cpu_limit": 1}, "cpu_limit = 1: is below cpu_request, 2"),
    # Numbers
    ({"shards": 0}, "shards = 0: must be from 1 to 100"),
    ({"threads": 65}, "threads = 65: must be from 1 to 64"),
    ({"threads": 4, "cpu_limit": 2}, "threads = 4: more than the cores of cpu_limit, 2"),
    ({"max_connections": 100}, "max_connections = 100: must be from 512"),
    ({"growth_factor": 1}, "growth_factor = 1: must be from 1.01 to 10"),
    ({"min_chunk_bytes": 0}, "min_chunk_bytes = 0: must be from 1 to 65536"),
    # Closed sets and forms
    ({"workload": "daemonset"}, "workload = 'daemonset': must be one of statefulset, deployment"),
    ({"auth": "ldap"}, "auth = 'ldap': must be one of password, none"),
    ({"auth": "sasl"}, "auth = 'sasl': SASL needs the binary protocol, which Memcached calls deprecated, and one password at a time: use"),
    ({"image": "memcached"}, "image = 'memcached': needs an exact tag or a digest, such as docker.io/library/memcached:1.6.38"),
    ({"namespace": "My_Space"}, "namespace = 'My_Space': must be lower-case letters"),
    # Contradictions
    ({"workload": "deployment", "shards": 2}, "shards = 2: behind the one Service of workload deployment a key would be on any of them"),
    ({"auth": "none", "password_version": 2}, "password_version = 2: there is no password with auth none"),
    ({"auth": "none", "existing_secret_name": "s"}, "existing_secret_name = 's': there is no password with auth none"),
    ({"storage_class": "fast"}, "storage_class = 'fast': there is no volume without extstore_gib"),
    ({"extstore_gib": 0}, "extstore_gib = 0: must be from 1 to 16384"),
    ({"extstore_gib": 5, "max_item_size_mib": 8}, "on disk an item has at most 4 MiB, and max_item_size_mib is 8"),
    ({"extstore_gib": 5, "warm_restart": True}, "warm_restart = True: can't be combined with extstore_gib: the server would start empty"),
    (
        {"memory_gib": 0.0625, "warm_restart": True},
        "warm_restart = True: needs 64 MiB for items, one for each size that they are rounded up to, and there are 40: give more",
    ),
    ({"proxy": True}, "proxy = True: Memcached's proxy can neither log in to shards nor ask clients for a login: set auth to none"),
    ({"proxy": True, "auth": "none", "tls_secret_name": "s"}, "proxy = True: can't be combined with tls_secret_name"),
    ({"proxy": True, "auth": "none", "workload": "deployment"}, "proxy = True: with workload deployment there is only one server"),
    ({"proxy_image": "memcached:1.6.45"}, "proxy_image = 'memcached:1.6.45': needs proxy"),
    ({"proxy_memory_gib": 1}, "proxy_memory_gib = 1: needs proxy"),
    ({"proxy": True, "auth": "none", "proxy_memory_gib": 0.1}, "proxy_memory_gib = 0.1: must be from 0.105469 to 1024: so much is for its"),
    (
        {"proxy": True, "auth": "none", "proxy_image": "memcached:1.6.38"},
        "proxy_image = 'memcached:1.6.38': the official image has no proxy before 1.6.39",
    ),
    ({"tls_secret_read": False}, "tls_secret_read = False: needs tls_secret_name"),
    ({"existing_secret_name": "s", "password_version": 2}, "the passwords are in existing_secret_name"),
    # The escape hatch
    ({"extra_options": ["idle_timout=5"]}, "'idle_timout=5': there is no such option here; did you mean 'idle_timeout'?"),
    ({"extra_options": ["idle_timeout"]}, "must be idle_timeout=N, N a whole number from 0"),
    ({"extra_options": ["idle_timeout=-1"]}, "must be idle_timeout=N"),
    ({"extra_options": ["idle_timeout=1,ssl_key=x"]}, "must be idle_timeout=N"),
    ({"extra_options": ["hashpower=15"]}, "must be hashpower=N, N a whole number from 16 to 32"),
    ({"extra_options": ["hashpower=26"]}, "hashpower=26 takes 512 MiB, and only 256 MiB are left beside the items"),
    ({"extra_options": ["warm_max_factor=0"]}, "must be warm_max_factor=N, N a number above 0"),
    ({"extra_options": ["hash_algorithm=md5"]}, "must be hash_algorithm= one of jenkins, murmur3, xxh3"),
    ({"extra_options": ["no_lru_crawler=1"]}, "'no_lru_crawler=1': takes no value"),
    ({"extra_options": ["track_sizes", "track_sizes"]}, "track_sizes is there twice"),
    ({"extra_options": ["hot_lru_pct=50"]}, "may be at most 80 together"),
    ({"extra_options": ["temporary_ttl=5", "no_lru_maintainer"]}, "temporary_ttl does nothing with no_lru_maintainer"),
    ({"extra_options": ["ext_path=/x:1G"]}, "'ext_path=/x:1G': there is no such option here"),
    ({"extra_options": "track_sizes"}, "must be a list of strings"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(MemcachedShards, args)


def test_a_name_whose_job_would_be_too_long_is_refused() -> None:
    with pytest.raises(ArgumentError, match="its name has 49 characters, at most 48 are possible"):
        MemcachedShards("c" * 49, {})


def test_every_problem_is_reported_at_once() -> None:
    assert refused(MemcachedShards, {"shards": 0, "threads": 0, "shard": 1, "extra_options": ["x", "y"]}).count("\n  * ") == 5


@pytest.mark.parametrize(
    ("args", "argument"),
    [
        ({}, "--memory-limit=768"),
        ({"memory_gib": 0.0625}, "--memory-limit=40"),
        ({"memory_gib": 4, "item_memory_mib": 3000}, "--memory-limit=3000"),
        ({}, "--max-item-size=1024k"),
        ({"max_item_size_mib": 2.5}, "--max-item-size=2560k"),
        ({}, "--threads=4"),
        ({"cpu_limit": 2.5}, "--threads=2"),
        ({"cpu_limit": 0.5}, "--threads=1"),
        ({"threads": 8, "cpu_limit": 8}, "--threads=8"),
        ({}, "--conn-limit=1024"),
        ({}, "--slab-growth-factor=1.25"),
        ({}, "--slab-min-size=48"),
        ({"evictions": False}, "--disable-evictions"),
        ({}, "--auth-file=/run/cache/logins"),
        ({"extstore_gib": 10}, "--extended=ext_path=/data/extstore:9216m"),
        ({"warm_restart": True}, "--memory-file=/data/items"),
        ({"tls_secret_name": "s"}, "--enable-ssl"),
        ({"tls_secret_name": "s"}, "--listen=*,notls:127.0.0.1:11212"),
        ({"extra_options": ["idle_timeout=60"]}, "--extended=idle_timeout=60"),
    ],
    ids=str,
)
def test_has_the_argument(args: dict[str, Any], argument: str) -> None:
    assert argument in read(**args).command_line()


def test_what_nobody_asked_for_is_not_among_the_arguments() -> None:
    assert len(read(auth="none").command_line()) == 7


@given(memory_gib=st.floats(0.0625, 1024))
def test_whatever_the_size_a_quarter_of_the_limit_stays_free_and_never_less_than_the_server_takes_itself(memory_gib: float) -> None:
    free = max(memory_gib * 1024 * 0.25, 24)
    assert 40 <= read(memory_gib=memory_gib).item_memory_mib <= memory_gib * 1024 - free
