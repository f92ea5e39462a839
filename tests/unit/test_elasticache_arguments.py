"""Every argument of ElastiCache that can't work is refused before anything is registered, in words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi_caches.aws import AwsNetwork, ElastiCache
from unit.refusal import refused

GIVEN: dict[str, Any] = {"region": "us-east-1", "aws_subnet_ids": ["subnet-1", "subnet-2"]}
MEMCACHED: dict[str, Any] = {"engine": "memcached"}
SERVERLESS: dict[str, Any] = {"aws_serverless": True}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"node_type": "cache.r7g.large"}, "node_type: there is no such argument; did you mean 'aws_node_type'?"),
    ({"region": None}, "region: is needed: one of AWS's regions, such as eu-west-1"),
    ({"region": "us-east-3"}, "region = 'us-east-3': ElastiCache is not known there; did you mean 'us-east-"),
    ({"engine": "valky"}, "engine = 'valky': must be one of valkey, redis, memcached; did you mean 'valkey'?"),
    # Sizes
    ({"memory_gib": 1000}, "memory_gib = 1000: no node in us-east-1 has that much for data: more shards, of less each"),
    ({"aws_node_type": "cache.r7g.larg"}, "did you mean 'cache.r7g.large'?"),
    ({"region": "ap-east-2", "aws_node_type": "cache.r8g.large"}, "ap-east-2 does not have it, af-south-1"),
    ({"aws_node_type": "cache.m7g.large", "memory_gib": 4}, "memory_gib = 4: aws_node_type says what it has: leave one of both out"),
    ({"engine": "redis", "aws_node_type": "cache.r8g.large"}, "nodes of r8g are for Valkey only"),
    ({**MEMCACHED, "aws_node_type": "cache.r6gd.xlarge"}, "nodes of r6gd are for Valkey and Redis only"),
    ({"shards": 501}, "shards = 501: must be from 1 to 500"),
    ({"shards": 200, "replicas_per_shard": 2}, "with 2 replicas of each these are 600 nodes, at most 500 are possible"),
    ({"replicas_per_shard": 6}, "replicas_per_shard = 6: must be from 0 to 5"),
    ({"replicas_per_shard": 0}, "replicas_per_shard = 0: nobody could take over"),
    # Versions
    ({"engine_version": "8.3"}, "engine_version = '8.3': ElastiCache for Valkey has 7.2, 8.0, 8.1, 8.2, 9.0, 9.1, as text"),
    ({"engine": "redis", "engine_version": "7.4"}, "ElastiCache for Redis OSS has 6.2, 7.0, 7.1"),
    ({"engine_version": 8.0}, "engine_version = 8.0: ElastiCache for Valkey has"),
    # Logins and TLS
    ({"tls": False}, "tls = False: with auth cloud logins would cross the network in plain text"),
    ({**MEMCACHED, "auth": "password"}, "auth = 'password': ElastiCache for Memcached has only none"),
    ({"password_version": 2}, "password_version = 2: there is no password: give auth: password"),
    ({"aws_tls_optional": True}, "aws_tls_optional = True: is for the way from tls: false to true, with auth none"),
    # Data
    ({"persistence": "aof"}, "persistence = 'aof': ElastiCache for Valkey has only none"),
    ({"aws_durability": "sync"}, "aws_durability = 'sync': needs several shards"),
    ({"aws_durability": "sync", "shards": 2, "engine_version": "8.2"}, "aws_durability = 'sync': needs engine valkey, 9.0 or newer"),
    ({"backup_retention_days": 36}, "backup_retention_days = 36: must be from 0 to 35"),
    ({"backup_time": "3:00"}, "backup_time = '3:00': must be a time of day in UTC, HH:MM"),
    ({**MEMCACHED, "backup_retention_days": 1}, "ElastiCache for Memcached makes no backups each day"),
    ({**MEMCACHED, "aws_restore_from": "a"}, "aws_restore_from = 'a': Memcached has no backups"),
    ({"aws_password_secret": "shop/carts"}, "aws_password_secret = 'shop/carts': there is no password: give auth: password"),
    (
        {"auth": "password", "aws_password_secret": "shop", "password_version": 2},
        "password_version = 2: the password is in aws_password_secret",
    ),
    ({**MEMCACHED, "aws_final_backup": True}, "aws_final_backup = True: only replication groups make one"),
    ({"aws_kms_key": "my-key"}, "aws_kms_key = 'my-key': must be a key's ARN"),
    ({"aws_configs": {"maxmemory-policy": "noeviction"}}, "'maxmemory-policy' has an argument of its own"),
    ({"aws_configs": {"notify-keyspace-event": "Kg"}}, "did you mean 'notify-keyspace-events'?"),
    ({"aws_log_retention_days": 8}, "aws_log_retention_days = 8: CloudWatch has only 1, 3, 5, 7"),
    # Serverless
    ({**SERVERLESS, "shards": 3}, "shards = 3: AWS chooses them for a serverless cache: leave it out"),
    ({**SERVERLESS, "tls": True}, "tls = True: a serverless cache speaks TLS always"),
    ({**SERVERLESS, "aws_node_type": "cache.r7g.large"}, "a serverless cache has no nodes of its own"),
    ({**SERVERLESS, "aws_subnet_ids": ["subnet-1"]}, "aws_subnet_ids: has 1, a serverless cache has 2 or 3 in as many zones"),
    ({**SERVERLESS, "aws_restore_from": "mine"}, "is restored from a snapshot's ARN"),
    ({"aws_ecpu_per_second": 5000}, "only a serverless cache has such a limit"),
    # Networks
    ({"aws_subnet_ids": None}, "aws_subnet_ids: is needed: subnets of a VPC"),
    ({"aws_subnet_ids": ["subnet-1"]}, "aws_subnet_ids: has 1: with high_availability at least 2"),
    ({"aws_subnet_ids": ["a", "b"]}, "aws_subnet_ids: 'a' does not begin with subnet-"),
    ({"aws_security_group_ids": "sg-1"}, "aws_security_group_ids: must be a list of strings"),
    # Other regions
    (
        {"aws_global_datastore": True, "aws_node_type": "cache.t4g.small"},
        "aws_node_type = 'cache.t4g.small': a global datastore has nodes of size large at least",
    ),
    ({"aws_primary": "g", "memory_gib": 4}, "memory_gib = 4: a secondary has the primary's: leave it out"),
    ({"aws_primary": "g", "aws_global_datastore": True}, "a secondary can't be a primary too"),
    ({"aws_global_datastore": True, "high_availability": False}, "members of a global datastore need a replica at least"),
]
NETWORK_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"region": "london"}, "region = 'london': must be one of AWS's regions"),
    ({"ip_range": "10.0.0.1/20"}, "ip_range = '10.0.0.1/20': must be a range of IPv4 addresses"),
    ({"ip_range": "8.8.0.0/16"}, "ip_range = '8.8.0.0/16': must be of private addresses"),
    ({"zones": 4}, "zones = 4: must be from 2 to 3"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_what_can_not_work_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(ElastiCache, {key: value for key, value in {**GIVEN, **args}.items() if value is not None})


@pytest.mark.parametrize(("args", "message"), NETWORK_REFUSED)
def test_what_can_not_be_a_network_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(AwsNetwork, {"region": "us-east-1", **args})
