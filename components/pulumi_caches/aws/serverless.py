"""A serverless cache, from a plan."""

import math
from typing import Any

import pulumi
import pulumi_aws as aws

from pulumi_caches.aws.plan import ElastiCacheEngine, Plan
from pulumi_caches.aws.served import Served


def make_serverless(plan: Plan, users: aws.elasticache.UserGroup | None, opts: pulumi.ResourceOptions) -> Served:
    """The cache, which holds at most memory_gib."""
    backups = plan.managed.backups
    limits: Any = {"data_storage": {"maximum": math.ceil(plan.managed.memory_gib), "unit": "GB"}}
    if plan.ecpu_per_second:
        limits["ecpu_per_seconds"] = [{"maximum": plan.ecpu_per_second}]
    made = aws.elasticache.ServerlessCache(
        plan.name,
        name=plan.name,
        description=plan.name,
        engine=plan.engine.value,
        major_engine_version=plan.version,
        cache_usage_limits=limits,
        subnet_ids=plan.subnet_ids,
        security_group_ids=plan.security_group_ids,
        kms_key_id=plan.kms_key,
        user_group_id=users.user_group_id if users else None,
        daily_snapshot_time=f"{backups.hour:02d}:{backups.minute:02d}" if backups else None,
        snapshot_retention_limit=backups.retention_days if backups else None,
        snapshot_arns_to_restores=[plan.restore_from] if plan.restore_from is not None else None,
        **plan.common(),
        # A name can be had once.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True)),
    )
    return Served(made, [made.endpoints, made.reader_endpoints], _where(plan))


def _where(plan: Plan) -> Any:
    def where(endpoints: list[Any], readers: list[Any] | None) -> dict[str, Any]:
        host, port = endpoints[0]["address"], int(endpoints[0]["port"])
        if plan.engine is ElastiCacheEngine.MEMCACHED:
            return {"mode": "sharded", "host": host, "port": port, "nodes": [f"{host}:{port}"], "serverless": True}
        # Clients have to speak Cluster with any of them.
        found = {"mode": "cluster", "host": host, "port": port, "serverless": True}
        return {**found, "reader_host": readers[0]["address"], "reader_port": int(readers[0]["port"])} if readers else found

    return where
