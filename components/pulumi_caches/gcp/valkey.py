"""Memorystore for Valkey, from a plan."""

import re
from typing import Any

import pulumi
import pulumi_gcp as gcp

from pulumi_caches.gcp.plan import Plan
from pulumi_caches.gcp.served import ROLES, Served, chain_of, nodes_settings
from pulumi_caches.managed import Auth, Persistence

_NETWORK = re.compile(r"projects/([^/]+)/global/networks/[^/]+")
_PERSISTENCE: dict[Persistence, dict[str, Any]] = {
    Persistence.NONE: {"mode": "DISABLED"},
    Persistence.RDB: {"mode": "RDB", "rdb_config": {"rdb_snapshot_period": "ONE_HOUR"}},
    Persistence.AOF: {"mode": "AOF", "aof_config": {"append_fsync": "EVERY_SEC"}},
}


def make_valkey(plan: Plan, opts: pulumi.ResourceOptions) -> Served:
    """The instance."""
    made = gcp.memorystore.Instance(plan.name, **inputs(plan), opts=opts)
    return Served(made, [made.endpoints, made.managed_server_cas], _at_discovery if plan.clustered else _at_primary)


def inputs(plan: Plan) -> dict[str, Any]:
    """What Google is asked for."""
    managed = plan.managed
    asked = {
        **nodes_settings(plan),
        "instance_id": plan.name,
        "location": plan.region,
        "mode": "CLUSTER" if plan.clustered else "CLUSTER_DISABLED",
        "node_type": plan.node_type.name if plan.node_type else None,
        "authorization_mode": "IAM_AUTH" if managed.auth is Auth.CLOUD else "AUTH_DISABLED",
        "transit_encryption_mode": "SERVER_AUTHENTICATION" if managed.tls else "TRANSIT_ENCRYPTION_DISABLED",
        "engine_version": f"VALKEY_{managed.engine_version.replace('.', '_')}" if managed.engine_version else None,
        "engine_configs": plan.configs,
        "persistence_config": _PERSISTENCE[managed.persistence],
        "desired_auto_created_endpoints": [{"network": plan.network, "project_id": plan.project or _own_project(plan.network)}],
    }
    if replication := plan.replication:
        asked["cross_instance_replication_config"] = {
            "instance_role": ROLES[replication.role],
            "primary_instance": {"instance": replication.primary} if replication.primary is not None else None,
            "secondary_instances": [{"instance": each} for each in replication.secondaries] or None,
        }
    return asked


def _own_project(network: pulumi.Input[str]) -> pulumi.Output[str]:
    """The project that a network is in."""

    def project(path: str) -> str:
        if found := _NETWORK.fullmatch(path):
            return found.group(1)
        raise pulumi.RunError(f"gcp_network = {path!r}: must be projects/PROJECT/global/networks/NAME")

    return pulumi.Output.from_input(network).apply(project)


def _at_discovery(endpoints: Any, authorities: Any) -> dict[str, Any]:
    found = _by_type(endpoints)["DISCOVERY"]
    return {"mode": "cluster", "host": found["ip_address"], "port": int(found["port"]), **chain_of(authorities)}


def _at_primary(endpoints: Any, authorities: Any) -> dict[str, Any]:
    by_type = _by_type(endpoints)
    writes = by_type["PRIMARY"]
    found = {"mode": "standalone", "host": writes["ip_address"], "port": int(writes["port"]), **chain_of(authorities)}
    if reads := by_type.get("READER"):
        found |= {"reader_host": reads["ip_address"], "reader_port": int(reads["port"])}
    return found


def _by_type(endpoints: Any) -> dict[str, Any]:
    """Connections by CONNECTION_TYPE_…: the first of each, as a cluster may have several."""
    connections = [each["psc_auto_connection"] for endpoint in endpoints for each in endpoint["connections"]]
    return {each["connection_type"].removeprefix("CONNECTION_TYPE_"): each for each in reversed(connections)}
