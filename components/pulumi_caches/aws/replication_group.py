"""A replication group of Valkey or Redis, with one shard or as a cluster, from a plan."""

from typing import Any

import pulumi
import pulumi_aws as aws

from pulumi_caches.aws.plan import PORT, Durability, ElastiCacheEngine, Plan, window
from pulumi_caches.aws.served import Served
from pulumi_caches.aws.sizes import TIERED, family_of

# What a global datastore has its members have; AWS takes no change of a member alone, and its provider overlooks some.
_OF_DATASTORE = ["nodeType", "engineVersion", "numNodeGroups", "parameterGroupName"]


def make_replication_group(
    plan: Plan, users: aws.elasticache.UserGroup | None, subnet_group: aws.elasticache.SubnetGroup, opts: pulumi.ResourceOptions
) -> Served:
    """The group, its settings and its logs; with aws_global_datastore what other regions' groups join."""
    managed = plan.managed
    several = managed.high_availability and managed.replicas_per_shard > 0
    logs: Any = _make_logs(plan, opts)
    group = aws.elasticache.ReplicationGroup(
        plan.name,
        replication_group_id=plan.name,
        description=plan.name,
        subnet_group_name=subnet_group.name,
        security_group_ids=plan.security_group_ids,
        user_group_ids=[users.user_group_id] if users else None,
        # In a cluster it can't be off.
        automatic_failover_enabled=several or plan.clustered,
        multi_az_enabled=several,
        maintenance_window=window(managed.maintenance),
        snapshot_retention_limit=managed.backups.retention_days if managed.backups else 0,
        snapshot_window=_snapshots(plan),
        final_snapshot_identifier=f"{plan.name}-final" if plan.final_backup else None,
        log_delivery_configurations=logs,
        apply_immediately=True,
        cluster_mode="enabled" if plan.clustered else "disabled",
        **_shape(plan),
        **(_joined(plan) if plan.primary is not None else _own(plan, opts)),
        **plan.common(),
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                # Between a cluster and one server nothing leads; and a name can be had once.
                replace_on_changes=["clusterMode"],
                delete_before_replace=True,
                ignore_changes=_OF_DATASTORE if plan.global_datastore else [],
            ),
        ),
    )
    global_id = _make_global(plan, group, opts) if plan.global_datastore else None
    if plan.clustered:
        return Served(group, [group.configuration_endpoint_address], _in_cluster, global_id)
    return Served(group, [group.primary_endpoint_address, group.reader_endpoint_address], _standalone(plan), global_id)


def make_parameters(plan: Plan, opts: pulumi.ResourceOptions) -> aws.elasticache.ParameterGroup:
    """The settings, in a group that is made anew for another family, before the old one goes."""
    settings = dict(plan.configs)
    if plan.engine is not ElastiCacheEngine.MEMCACHED:
        settings["maxmemory-policy"] = plan.managed.maxmemory_policy.value
        if plan.clustered:
            settings["cluster-enabled"] = "yes"
    return aws.elasticache.ParameterGroup(
        f"{plan.name}-parameters",
        name=f"{plan.name}-{plan.family.replace('.', '-')}{'-cluster' if 'cluster-enabled' in settings else ''}",
        family=plan.family,
        parameters=[{"name": key, "value": value} for key, value in sorted(settings.items())],
        **plan.common(),
        opts=opts,
    )


def _own(plan: Plan, opts: pulumi.ResourceOptions) -> dict[str, Any]:
    """What a secondary of a global datastore has from its primary."""
    managed = plan.managed
    return {
        "engine": plan.engine.value,
        "engine_version": plan.version,
        "node_type": plan.node_type,
        "parameter_group_name": make_parameters(plan, opts).name,
        "transit_encryption_enabled": managed.tls,
        "transit_encryption_mode": ("preferred" if plan.tls_optional else "required") if managed.tls else None,
        "at_rest_encryption_enabled": True,
        "kms_key_id": plan.kms_key,
        "port": PORT,
        "snapshot_name": plan.restore_from,
        "data_tiering_enabled": True if plan.node_type and family_of(plan.node_type) == TIERED else None,
        "durability": plan.durability.value if plan.durability is not Durability.NONE else None,
    }


def _joined(plan: Plan) -> dict[str, Any]:
    return {"global_replication_group_id": plan.primary}


def _shape(plan: Plan) -> dict[str, Any]:
    managed = plan.managed
    if not plan.clustered:
        return {"num_cache_clusters": 1 + managed.replicas_per_shard}
    # Of a secondary AWS knows the shards.
    shards = managed.shards if plan.primary is None else None
    return {"num_node_groups": shards, "replicas_per_node_group": managed.replicas_per_shard}


def _snapshots(plan: Plan) -> str | None:
    if not (backups := plan.managed.backups):
        return None
    return f"{backups.hour:02d}:{backups.minute:02d}-{(backups.hour + 1) % 24:02d}:{backups.minute:02d}"


def _make_logs(plan: Plan, opts: pulumi.ResourceOptions) -> list[dict[str, Any]]:
    """Log groups, and what is delivered to them."""
    if not plan.log_retention_days:
        return []
    return [
        {
            "destination": aws.cloudwatch.LogGroup(
                f"{plan.name}-{kind}",
                name=f"/aws/elasticache/{plan.name}/{kind}",
                retention_in_days=plan.log_retention_days,
                **plan.common(),
                opts=opts,
            ).name,
            "destination_type": "cloudwatch-logs",
            "log_format": "json",
            "log_type": kind,
        }
        for kind in ("slow-log", "engine-log")
    ]


def _make_global(plan: Plan, group: aws.elasticache.ReplicationGroup, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    made = aws.elasticache.GlobalReplicationGroup(
        f"{plan.name}-global",
        # Known when the group is, so that another group is another datastore, and what follows it is removed before.
        global_replication_group_id_suffix=group.id.apply(lambda _: plan.name),
        primary_replication_group_id=group.id,
        cache_node_type=plan.node_type,
        engine=plan.engine.value,
        engine_version=plan.version,
        num_node_groups=plan.managed.shards if plan.clustered else None,
        region=plan.region,
        # Once another group is promoted, a refresh finds that one here: no reason to replace the datastore and what follows.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["primaryReplicationGroupId"])),
    )
    return made.global_replication_group_id


def _in_cluster(address: str) -> dict[str, Any]:
    return {"mode": "cluster", "host": address, "port": PORT}


def _standalone(plan: Plan) -> Any:
    def where(address: str, reader: str | None) -> dict[str, Any]:
        found = {"mode": "standalone", "host": address, "port": PORT}
        if plan.managed.replicas_per_shard and reader:
            found |= {"reader_host": reader, "reader_port": PORT}
        return found

    return where
