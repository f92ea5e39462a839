"""Caches in Kubernetes."""

from pulumi_caches.kubernetes.cache_backup import CacheBackup, CacheBackupArgs
from pulumi_caches.kubernetes.cache_monitoring import CacheMonitoring, CacheMonitoringArgs, ExporterPlace, RuleFormat
from pulumi_caches.kubernetes.cache_warmup import CacheWarmup, CacheWarmupArgs
from pulumi_caches.kubernetes.cluster_conf import Endpoint
from pulumi_caches.kubernetes.memcached import MemcachedAuth
from pulumi_caches.kubernetes.memcached_shards import MemcachedShards, MemcachedShardsArgs, MemcachedWorkload
from pulumi_caches.kubernetes.operator_limits import Operator, OperatorMode
from pulumi_caches.kubernetes.placement import Spread, Toleration
from pulumi_caches.kubernetes.redis_cluster_with_init import RedisClusterWithInit, RedisClusterWithInitArgs
from pulumi_caches.kubernetes.redis_operator_chart import RedisOperatorChart, RedisOperatorChartArgs
from pulumi_caches.kubernetes.redis_operator_cluster import RedisOperatorCluster, RedisOperatorClusterArgs
from pulumi_caches.kubernetes.redis_stateful_set import RedisStatefulSet, RedisStatefulSetArgs
from pulumi_caches.kubernetes.scrape import Scrape
from pulumi_caches.kubernetes.sentinel_group import SentinelGroup, SentinelGroupArgs
from pulumi_caches.kubernetes.server import AofFsync, Engine
from pulumi_caches.kubernetes.warmup_source import SourceFormat
from pulumi_caches.purpose import EvictionPolicy, Persistence, Purpose

__all__ = [
    "AofFsync",
    "CacheBackup",
    "CacheBackupArgs",
    "CacheMonitoring",
    "CacheMonitoringArgs",
    "CacheWarmup",
    "CacheWarmupArgs",
    "Endpoint",
    "Engine",
    "EvictionPolicy",
    "ExporterPlace",
    "MemcachedAuth",
    "MemcachedShards",
    "MemcachedShardsArgs",
    "MemcachedWorkload",
    "Operator",
    "OperatorMode",
    "Persistence",
    "Purpose",
    "RedisClusterWithInit",
    "RedisClusterWithInitArgs",
    "RedisOperatorChart",
    "RedisOperatorChartArgs",
    "RedisOperatorCluster",
    "RedisOperatorClusterArgs",
    "RedisStatefulSet",
    "RedisStatefulSetArgs",
    "RuleFormat",
    "Scrape",
    "SentinelGroup",
    "SentinelGroupArgs",
    "SourceFormat",
    "Spread",
    "Toleration",
]
