"""Memorystore for Memcached, from a plan."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from pulumi_caches.gcp.plan import Plan
from pulumi_caches.gcp.served import Served, maintenance

VERSIONS = {"1.5": "MEMCACHE_1_5", "1.6.15": "MEMCACHE_1_6_15"}
"""As the API calls them."""


def make_memcached(plan: Plan, opts: pulumi.ResourceOptions) -> Served:
    """The instance."""
    made = gcp.memcache.Instance(plan.name, **inputs(plan), opts=opts)
    return Served(made, [made.memcache_nodes], _at_nodes)


def inputs(plan: Plan) -> dict[str, Any]:
    """What Google is asked for."""
    managed = plan.managed
    return {
        "name": plan.name,
        "region": plan.region,
        "project": plan.project,
        "node_count": managed.shards,
        "node_config": {"cpu_count": plan.memcached_cpus, "memory_size_mb": plan.size_gib * 1024},
        "memcache_version": VERSIONS[managed.engine_version] if managed.engine_version else None,
        "zones": [plan.zone] if plan.zone else None,
        "authorized_network": plan.network,
        # Its windows have a length, of at least three hours.
        "maintenance_policy": maintenance(managed.maintenance, duration="10800s"),
        "labels": managed.tags,
        "deletion_protection": plan.deletion_protection,
    }


def _at_nodes(nodes: Any) -> dict[str, Any]:
    addresses = [f"{node['host']}:{int(node['port'])}" for node in nodes]
    return {"mode": "sharded", "host": nodes[0]["host"], "port": int(nodes[0]["port"]), "nodes": addresses}
