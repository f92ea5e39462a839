"""Memorystore for Redis Cluster, from a plan."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from pulumi_caches.gcp.plan import Plan
from pulumi_caches.gcp.served import ROLES, Served, chain_of, nodes_settings
from pulumi_caches.managed import Auth, Persistence

_PERSISTENCE: dict[Persistence, dict[str, Any]] = {
    Persistence.NONE: {"mode": "DISABLED"},
    Persistence.RDB: {"mode": "RDB", "rdb_config": {"rdb_snapshot_period": "ONE_HOUR"}},
    Persistence.AOF: {"mode": "AOF", "aof_config": {"append_fsync": "EVERYSEC"}},
}


def make_redis_cluster(plan: Plan, opts: pulumi.ResourceOptions) -> Served:
    """The cluster."""
    made = gcp.redis.Cluster(plan.name, **inputs(plan), opts=opts)
    return Served(made, [made.discovery_endpoints, made.managed_server_cas], _at_discovery)


def inputs(plan: Plan) -> dict[str, Any]:
    """What Google is asked for."""
    managed = plan.managed
    encryption = "SERVER_AUTHENTICATION" if managed.tls else "DISABLED"
    asked = {
        **nodes_settings(plan),
        "name": plan.name,
        "region": plan.region,
        "node_type": f"REDIS_{plan.node_type.name}" if plan.node_type else None,
        "authorization_mode": f"AUTH_MODE_{'IAM_AUTH' if managed.auth is Auth.CLOUD else 'DISABLED'}",
        "transit_encryption_mode": f"TRANSIT_ENCRYPTION_MODE_{encryption}",
        "redis_configs": plan.configs,
        "persistence_config": _PERSISTENCE[managed.persistence],
        "psc_configs": [{"network": plan.network}],
    }
    if replication := plan.replication:
        asked["cross_cluster_replication_config"] = {
            "cluster_role": ROLES[replication.role],
            "primary_cluster": {"cluster": replication.primary} if replication.primary is not None else None,
            "secondary_clusters": [{"cluster": each} for each in replication.secondaries] or None,
        }
    return asked


def _at_discovery(endpoints: Any, authorities: Any) -> dict[str, Any]:
    return {"mode": "cluster", "host": endpoints[0]["address"], "port": int(endpoints[0]["port"]), **chain_of(authorities)}
