"""Caches in AWS."""

from pulumi_caches.aws.elasticache import ElastiCache, ElastiCacheArgs
from pulumi_caches.aws.network import AwsNetwork, AwsNetworkArgs

__all__ = ["AwsNetwork", "AwsNetworkArgs", "ElastiCache", "ElastiCacheArgs"]
