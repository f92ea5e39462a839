"""What the services have in common: what is asked of nodes in shards, and what says where a cache is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi

from pulumi_caches.gcp.plan import Plan, ReplicationRole
from pulumi_caches.managed import Weekly

ROLES = {ReplicationRole.PRIMARY: "PRIMARY", ReplicationRole.SECONDARY: "SECONDARY", ReplicationRole.DETACHED: "NONE"}
_SECONDS_PER_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Served:
    """A cache, and where it is once that is known."""

    resource: pulumi.CustomResource
    parts: list[pulumi.Output[Any]]
    """What `where` takes."""
    where: Callable[..., dict[str, Any]]
    """Fields of the connection: mode, host, port and what else is there."""


def nodes_settings(plan: Plan) -> dict[str, Any]:
    """Of Valkey and Redis Cluster, whose API is the same in this."""
    managed = plan.managed
    return {
        "project": plan.project,
        "shard_count": managed.shards,
        "replica_count": managed.replicas_per_shard,
        "zone_distribution_config": {"mode": "MULTI_ZONE"} if managed.high_availability else {"mode": "SINGLE_ZONE", "zone": plan.zone},
        "automated_backup_config": {
            "retention": f"{managed.backups.retention_days * _SECONDS_PER_DAY}s",
            "fixed_frequency_schedule": {"start_time": {"hours": managed.backups.hour}},
        }
        if managed.backups
        else None,
        "maintenance_policy": maintenance(managed.maintenance),
        "kms_key": plan.kms_key,
        "labels": managed.tags,
        "deletion_protection_enabled": plan.deletion_protection,
    }


def maintenance(window: Weekly, **more: str) -> dict[str, Any]:
    """When the service may maintain it."""
    return {"weekly_maintenance_windows": [{"day": window.day.upper(), "start_time": {"hours": window.hour}, **more}]}


def chain_of(authorities: list[Any] | None) -> dict[str, str]:
    """The connection's authority: the certificates of those that have signed the servers'; nothing without TLS."""
    return in_pem([text for each in authorities or [] for chain in each["ca_certs"] for text in chain["certificates"]])


def in_pem(certificates: list[str]) -> dict[str, str]:
    """The connection's authority, from certificates."""
    return {"ca_pem": "\n".join([*map(str.strip, certificates), ""])} if certificates else {}
