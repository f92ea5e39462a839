"""Caches in Azure."""

from pulumi_caches.azure.azure_cache_for_redis import AzureCacheForRedis, AzureCacheForRedisArgs
from pulumi_caches.azure.azure_managed_redis import AzureManagedRedis, AzureManagedRedisArgs
from pulumi_caches.azure.cache_for_redis_options import CacheTier
from pulumi_caches.azure.managed_redis_options import Clustering
from pulumi_caches.azure.network import AzureNetwork, AzureNetworkArgs
from pulumi_caches.azure.skus import Tier

__all__ = [
    "AzureCacheForRedis",
    "AzureCacheForRedisArgs",
    "AzureManagedRedis",
    "AzureManagedRedisArgs",
    "AzureNetwork",
    "AzureNetworkArgs",
    "CacheTier",
    "Clustering",
    "Tier",
]
