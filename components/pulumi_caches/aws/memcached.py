"""A cluster of Memcached nodes, from a plan."""

from typing import Any

import pulumi
import pulumi_aws as aws

from pulumi_caches.aws.plan import MEMCACHED_PORT, Plan, window
from pulumi_caches.aws.replication_group import make_parameters
from pulumi_caches.aws.served import Served


def make_memcached(plan: Plan, subnet_group: aws.elasticache.SubnetGroup, opts: pulumi.ResourceOptions) -> Served:
    """The nodes; clients spread keys over them."""
    managed = plan.managed
    made = aws.elasticache.Cluster(
        plan.name,
        cluster_id=plan.name,
        engine="memcached",
        engine_version=plan.version,
        node_type=plan.node_type,
        num_cache_nodes=managed.shards,
        az_mode="cross-az" if managed.high_availability and managed.shards > 1 else "single-az",
        parameter_group_name=make_parameters(plan, opts).name,
        port=MEMCACHED_PORT,
        subnet_group_name=subnet_group.name,
        security_group_ids=plan.security_group_ids,
        maintenance_window=window(managed.maintenance),
        transit_encryption_enabled=managed.tls,
        apply_immediately=True,
        **plan.common(),
        # A name can be had once.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True)),
    )
    return Served(made, [made.cache_nodes], _sharded)


def _sharded(nodes: list[Any]) -> dict[str, Any]:
    first = nodes[0]
    addresses = [f"{node['address']}:{int(node['port'])}" for node in nodes]
    return {"mode": "sharded", "host": first["address"], "port": int(first["port"]), "nodes": addresses}
