"""Memorystore for Redis, from a plan: one server, and replicas of which one takes over with high availability."""

from typing import Any

import pulumi
import pulumi_gcp as gcp

from pulumi_caches.gcp.plan import Plan
from pulumi_caches.gcp.served import Served, in_pem, maintenance
from pulumi_caches.managed import Auth, Persistence

VERSIONS = {"5.0": "REDIS_5_0", "6.x": "REDIS_6_X", "7.0": "REDIS_7_0", "7.2": "REDIS_7_2"}
"""As the API calls them."""


def make_redis_instance(plan: Plan, opts: pulumi.ResourceOptions) -> Served:
    """The instance."""
    made = gcp.redis.Instance(plan.name, **inputs(plan), opts=opts)
    parts = [made.host, made.port, made.read_endpoint, made.read_endpoint_port, made.server_ca_certs, made.auth_string]
    return Served(made, parts, _where)


def inputs(plan: Plan) -> dict[str, Any]:
    """What Google is asked for."""
    managed = plan.managed
    snapshots = {"persistence_mode": "RDB", "rdb_snapshot_period": "ONE_HOUR"}
    return {
        "name": plan.name,
        "region": plan.region,
        "project": plan.project,
        "location_id": plan.zone,
        "tier": "STANDARD_HA" if managed.high_availability else "BASIC",
        "memory_size_gb": plan.size_gib,
        "replica_count": managed.replicas_per_shard,
        "read_replicas_mode": f"READ_REPLICAS_{'ENABLED' if managed.replicas_per_shard > 1 else 'DISABLED'}",
        "redis_version": VERSIONS[managed.engine_version] if managed.engine_version else None,
        "authorized_network": plan.network,
        "connect_mode": "PRIVATE_SERVICE_ACCESS",
        "auth_enabled": managed.auth is Auth.PASSWORD,
        "transit_encryption_mode": "SERVER_AUTHENTICATION" if managed.tls else "DISABLED",
        "redis_configs": plan.configs,
        "persistence_config": snapshots if managed.persistence is Persistence.RDB else {"persistence_mode": "DISABLED"},
        "maintenance_policy": maintenance(managed.maintenance),
        "customer_managed_key": plan.kms_key,
        "labels": managed.tags,
        "deletion_protection": plan.deletion_protection,
    }


def _where(host: str, port: float, reader: str | None, reader_port: float | None, authorities: Any, password: str | None) -> dict[str, Any]:
    found = {"mode": "standalone", "host": host, "port": int(port), **in_pem([each["cert"] for each in authorities or []])}
    if reader:
        found |= {"reader_host": reader, "reader_port": int(reader_port or port)}
    return {**found, "password": password} if password else found
