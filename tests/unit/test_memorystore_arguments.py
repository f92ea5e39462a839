"""Every argument of Memorystore that can't work is refused before anything is registered, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_caches.gcp import GcpNetwork, Memorystore
from unit.refusal import refused

GIVEN: dict[str, Any] = {"region": "europe-west1", "gcp_network": "projects/shop/global/networks/main"}
REDIS = {"engine": "redis"}
CLUSTER = {"engine": "redis", "shards": 3}
MEMCACHED = {"engine": "memcached"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    # Where
    ({"region": None}, "region: is needed: one of Google's regions, such as europe-west1"),
    ({"region": "europe"}, "region = 'europe': must be one of Google's regions, such as europe-west1"),
    ({"region": "us-east-1"}, "region = 'us-east-1': must be one of Google's regions"),
    ({"gcp_network": None}, "gcp_network = None: is needed: projects/PROJECT/global/networks/NAME, or GcpNetwork's network_id"),
    ({"gcp_network": "default"}, "gcp_network = 'default': is needed: projects/"),
    ({"gcp_zone": "europe-west1-b"}, "gcp_zone = 'europe-west1-b': with high_availability Google takes several zones"),
    ({"high_availability": False}, "gcp_zone: is needed without high_availability"),
    ({"high_availability": False, "gcp_zone": "us-central1-a"}, "gcp_zone = 'us-central1-a': is not in region europe-west1"),
    ({"high_availability": False, "gcp_zone": "b"}, "gcp_zone = 'b': must be one of Google's zones"),
    # What
    ({"engine": "keydb"}, "engine = 'keydb': must be one of valkey, redis, memcached"),
    ({"node_type": "CUSTOM_PICO"}, "node_type: there is no such argument; did you mean 'gcp_node_type'?"),
    ({"engine_version": "8.1"}, "engine_version = '8.1': Memorystore for Valkey has 7.2, 8.0, 9.0, as text"),
    ({"engine_version": 8.0}, "engine_version = 8.0: Memorystore for Valkey has 7.2, 8.0, 9.0, as text; did you mean '8.0'?"),
    ({**REDIS, "engine_version": "7.1"}, "engine_version = '7.1': Memorystore for Redis has 5.0, 6.x, 7.0, 7.2"),
    ({**CLUSTER, "engine_version": "7.2"}, "engine_version = '7.2': the cloud chooses that of Memorystore for Redis Cluster: leave it out"),
    # How large
    ({"memory_gib": 90}, "memory_gib = 90: the largest node has 81.96 GiB for data: give less for each of more shards, here at least 2"),
    ({"memory_gib": 0}, "memory_gib = 0: must be from 0.1 to 4096"),
    ({"shards": 251}, "shards = 251: must be from 1 to 250"),
    ({"replicas_per_shard": 6}, "replicas_per_shard = 6: must be from 0 to 5"),
    ({"replicas_per_shard": 0}, "replicas_per_shard = 0: nobody could take over: give at least 1, or high_availability: false"),
    ({"gcp_node_type": "HIGHMEM_LARGE"}, "gcp_node_type = 'HIGHMEM_LARGE': must be one of SHARED_CORE_NANO, CUSTOM_PICO"),
    ({"gcp_node_type": "highmem_medium"}, "did you mean 'HIGHMEM_MEDIUM'?"),
    ({"gcp_node_type": "CUSTOM_MINI", "shards": 2}, "gcp_node_type = 'CUSTOM_MINI': is for Valkey with one shard only"),
    ({**CLUSTER, "gcp_node_type": "CUSTOM_MINI"}, "gcp_node_type = 'CUSTOM_MINI': is for Valkey with one shard only"),
    ({**REDIS, "gcp_node_type": "STANDARD_SMALL"}, "gcp_node_type = 'STANDARD_SMALL': Memorystore for Redis has no kinds of nodes"),
    ({"gcp_node_type": "CUSTOM_PICO", "memory_gib": 2}, "memory_gib = 2: CUSTOM_PICO has 1.01 GiB for data"),
    (
        {**REDIS, "memory_gib": 241},
        "memory_gib = 241: needs a size of 302 GiB with what is left free, and Memorystore for Redis has at most 300",
    ),
    (
        {**REDIS, "replicas_per_shard": 2},
        "replicas_per_shard = 2: more than one needs a size of 5 GiB: give memory_gib of at least 4, or 1",
    ),
    ({**REDIS, "high_availability": False, "replicas_per_shard": 1}, "replicas_per_shard = 1: must be from 0 to 0"),
    (
        {**MEMCACHED, "memory_gib": 300},
        "memory_gib = 300: needs a size of 334 GiB with what is left free, and Memorystore for Memcached has at most 256",
    ),
    ({**MEMCACHED, "shards": 21}, "shards = 21: must be from 1 to 20"),
    ({"gcp_memcached_cpus": 2}, "gcp_memcached_cpus = 2: only nodes of Memcached are chosen by processors"),
    ({**MEMCACHED, "gcp_memcached_cpus": 33}, "gcp_memcached_cpus = 33: must be from 1 to 32"),
    # Who gets in
    ({"auth": "password"}, "auth = 'password': Memorystore for Valkey has only cloud, none"),
    ({**CLUSTER, "auth": "password"}, "auth = 'password': Memorystore for Redis Cluster has only cloud, none"),
    ({**REDIS, "auth": "cloud"}, "auth = 'cloud': Memorystore for Redis has only password, none"),
    ({**MEMCACHED, "auth": "cloud"}, "auth = 'cloud': Memorystore for Memcached has only none"),
    ({"auth": "iam"}, "auth = 'iam': must be one of cloud, password, none"),
    ({"tls": False}, "tls = False: with auth cloud logins would cross the network in plain text"),
    ({**MEMCACHED, "tls": True}, "tls = True: Memorystore for Memcached speaks plain text only: leave it out"),
    # What is kept
    ({**REDIS, "persistence": "aof"}, "persistence = 'aof': Memorystore for Redis has only rdb, none"),
    ({"persistence": "aof+rdb"}, "persistence = 'aof+rdb': Memorystore for Valkey has only aof, rdb, none"),
    ({**REDIS, "backup_retention_days": 7}, "backup_retention_days = 7: Memorystore for Redis makes no backups each day"),
    ({"backup_retention_days": 36}, "backup_retention_days = 36: must be from 0 to 35"),
    (
        {"purpose": "cache", "backup_time": "03:00"},
        "backup_time = '03:00': there are no backups: give backup_retention_days, or leave it out",
    ),
    ({"backup_time": "3:00"}, "backup_time = '3:00': must be a time of day in UTC, HH:MM"),
    ({"backup_time": "03:30"}, "backup_time = '03:30': this cloud begins at full hours only"),
    ({"purpose": "queue", "maxmemory_policy": "allkeys-lru"}, "maxmemory_policy = 'allkeys-lru': would remove entries of a queue"),
    ({**MEMCACHED, "maxmemory_policy": "allkeys-lru"}, "maxmemory_policy = 'allkeys-lru': Memcached removes what was not used for longest"),
    # How it is kept
    ({"maintenance_day": "sun"}, "maintenance_day = 'sun': must be one of monday, tuesday"),
    ({"maintenance_time": "24:00"}, "maintenance_time = '24:00': must be a time of day in UTC, HH:MM"),
    (
        {"gcp_configs": {"maxmemory-policy": "noeviction"}},
        "gcp_configs = {'maxmemory-policy': 'noeviction'}: 'maxmemory-policy' has an argument",
    ),
    ({"gcp_configs": {"notify-keyspace-event": "Kg"}}, "did you mean 'notify-keyspace-events'?"),
    ({**MEMCACHED, "gcp_configs": {"timeout": "10"}}, "'timeout': this engine takes none"),
    ({"tags": {"team": 1}}, "tags = {'team': 1}: must be a mapping of strings to strings"),
    ({"gcp_kms_key": "my-key"}, "gcp_kms_key = 'my-key': must be projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY"),
    ({**MEMCACHED, "gcp_kms_key": "k"}, "gcp_kms_key = 'k': Memcached keeps nothing that could be encrypted"),
    # Other regions
    ({"gcp_primary": "projects/shop/locations/us-east1/instances/a"}, "gcp_primary: needs gcp_replication_role"),
    ({"gcp_replication_role": "secondary"}, "gcp_primary: a secondary needs it, the full name of the primary"),
    ({"gcp_replication_role": "detached", "gcp_secondaries": ["x"]}, "gcp_secondaries: only a primary has them"),
    (
        {**REDIS, "gcp_replication_role": "primary"},
        "gcp_replication_role = 'primary': Memorystore for Redis is not replicated across regions",
    ),
]
NETWORK_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"region": "london"}, "region = 'london': must be one of Google's regions"),
    ({"ip_range": "10.0.0.1/20"}, "ip_range = '10.0.0.1/20': must be a range of IPv4 addresses"),
    ({"ip_range": "8.8.0.0/16"}, "ip_range = '8.8.0.0/16': must be of private addresses"),
    ({"ip_range": "10.0.0.0/30"}, "ip_range = '10.0.0.0/30': must be of private addresses, with 8 to 29 bits"),
    ({"range": "10.0.0.0/20"}, "range: there is no such argument"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED)
def test_what_can_not_work_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(Memorystore, {key: value for key, value in {**GIVEN, **args}.items() if value is not None})


@pytest.mark.parametrize(("args", "message"), NETWORK_REFUSED)
def test_what_can_not_be_a_network_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(GcpNetwork, {"region": "europe-west1", **args})


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = refused(Memorystore, {"region": "x", "shards": 0, "tls": "yes"})
    assert all(f"* {key} = " in said for key in ("shards", "tls", "region", "gcp_network"))
