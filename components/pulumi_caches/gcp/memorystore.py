"""Memorystore: Valkey, Redis or Memcached as Google runs them."""

from typing import Any, NotRequired

import pulumi

from pulumi_caches.arguments import Arguments
from pulumi_caches.connection import Connection, when_ready
from pulumi_caches.gcp.memcached import make_memcached
from pulumi_caches.gcp.network import make_service_connection_policy
from pulumi_caches.gcp.options import MEMCACHED_ENDS, read_plan
from pulumi_caches.gcp.plan import Engine, Plan, ReplicationRole
from pulumi_caches.gcp.redis_cluster import make_redis_cluster
from pulumi_caches.gcp.redis_instance import make_redis_instance
from pulumi_caches.gcp.served import Served
from pulumi_caches.gcp.valkey import make_valkey
from pulumi_caches.managed import Auth, ManagedArgs
from pulumi_caches.prices import Price, price, said

# Of Redis and Memcached; Valkey's may have 63 characters.
NAME_MAXIMUM = 40
MEMCACHED_ENDING = (
    f"Memorystore for Memcached ends: from 2027-02-01 Google makes none in new projects, on {MEMCACHED_ENDS} all are shut down. "
    "Use engine valkey, or MemcachedShards in a cluster."
)
# How services call what is asked for in the same words everywhere; docs/memorystore.md has the same table.
MAPPING = {
    "memory_gib": (
        "nodeType, by writable GB",
        "nodeType, by writable GB",
        "memorySizeGb, 20 % left free",
        "nodeConfig.memorySizeMb, 10 % left free",
    ),
    "shards": ("shardCount", "shardCount", "1", "nodeCount"),
    "replicas_per_shard": ("replicaCount", "replicaCount", "replicaCount", "none"),
    "high_availability": ("zoneDistributionConfig", "zoneDistributionConfig", "tier", "none"),
    "engine_version": ("engineVersion", "Google's choice", "redisVersion", "memcacheVersion"),
    "tls": ("transitEncryptionMode", "transitEncryptionMode", "transitEncryptionMode", "none"),
    "auth": ("authorizationMode", "authorizationMode", "authEnabled", "none"),
    "maxmemory_policy": ("engineConfigs", "redisConfigs", "redisConfigs", "none"),
    "persistence": ("persistenceConfig", "persistenceConfig", "persistenceConfig", "none"),
    "backup_retention_days": ("automatedBackupConfig", "automatedBackupConfig", "none", "none"),
    "backup_time": ("automatedBackupConfig", "automatedBackupConfig", "none", "none"),
    "maintenance_day": ("maintenancePolicy", "maintenancePolicy", "maintenancePolicy", "maintenancePolicy"),
    "maintenance_time": ("maintenancePolicy", "maintenancePolicy", "maintenancePolicy", "maintenancePolicy"),
    "tags": ("labels", "labels", "labels", "labels"),
}


class MemorystoreArgs(ManagedArgs):
    """Arguments of Memorystore. `region` and `gcp_network` are required."""

    engine: NotRequired[Engine]
    """valkey, redis or memcached. Another one is another cache. Default: valkey."""
    gcp_network: pulumi.Input[str]
    """VPC from which it is reached: projects/PROJECT/global/networks/NAME, or a GcpNetwork's network_id."""
    gcp_subnetworks: NotRequired[list[pulumi.Input[str]]]
    """Subnetworks that it gets addresses in: makes the network's service connection policy for the region. Default: there is one."""
    gcp_project: NotRequired[pulumi.Input[str]]
    """Project to make it in. Default: the network's for its addresses, the provider's for all else."""
    gcp_node_type: NotRequired[str]
    """Kind of node of Valkey or a Redis Cluster, such as HIGHCPU_MEDIUM. Default: the smallest that has memory_gib."""
    gcp_memcached_cpus: NotRequired[int]
    """Processors of each Memcached node, 1 to 32. Default: 1."""
    gcp_zone: NotRequired[str]
    """The zone that it is all in, without high_availability. Default for Redis and Memcached: Google's choice."""
    gcp_configs: NotRequired[dict[str, str]]
    """Settings that the service lets one change, such as notify-keyspace-events. Default: the service's."""
    gcp_kms_key: NotRequired[pulumi.Input[str]]
    """Key of Cloud KMS that encrypts the disks. Can't change. Default: a key of Google's."""
    gcp_replication_role: NotRequired[ReplicationRole]
    """primary, secondary or detached in replication across regions. Default: it takes no part."""
    gcp_primary: NotRequired[pulumi.Input[str]]
    """Full name of the primary that a secondary follows: the other Memorystore's cache_id."""
    gcp_secondaries: NotRequired[list[pulumi.Input[str]]]
    """Full names of a primary's secondaries; needed to switch over. Default: as Google knows them."""
    gcp_deletion_protection: NotRequired[bool]
    """Whether Google refuses to remove it: first give false and run `pulumi up`. Default: true."""


class Memorystore(pulumi.ComponentResource):
    """
    A cache of Google Cloud Memorystore, which only its network reaches, by TLS and with logins of IAM where the service has them.

    Creates, named after the component: the instance or cluster, and with gcp_subnetworks the service connection policy by which it
    gets addresses in the network. One shard is an instance, more are a cluster that clients have to know as one.
    """

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when it is made. Secret."""
    cache_id: pulumi.Output[str]
    """Google's full name of it: what gcp_primary of another takes."""
    monthly_cost: pulumi.Output[str]
    """What its servers cost a month at list prices, in words; says so where that is not known."""

    def __init__(self, name: str, args: MemorystoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        arguments = Arguments("Memorystore", name, NAME_MAXIMUM, args, MemorystoreArgs)
        plan = read_plan(arguments, name)
        arguments.finish()
        super().__init__("caches:index:Memorystore", name, {}, opts)
        if plan.engine is Engine.MEMCACHED:
            pulumi.log.warn(MEMCACHED_ENDING, self)

        after: list[pulumi.Resource] = []
        if subnetworks := args.get("gcp_subnetworks"):
            after = [make_service_connection_policy(name, plan.region, plan.network, subnetworks, pulumi.ResourceOptions(parent=self))]
        served = _make(plan, pulumi.ResourceOptions(parent=self, depends_on=after))

        def connect(*parts: Any) -> Connection:
            return {**_known(plan), **served.where(*parts)}  # type: ignore[typeddict-item] # `where` has the rest

        self.connection = when_ready(connect, plan.engine.value, served.parts, [served.resource])
        self.cache_id = served.resource.id
        self.monthly_cost = pulumi.Output.from_input(said(*_priced(plan)))
        self.register_outputs({"connection": self.connection, "cacheId": self.cache_id, "monthlyCost": self.monthly_cost})


def _make(plan: Plan, opts: pulumi.ResourceOptions) -> Served:
    if plan.engine is Engine.VALKEY:
        return make_valkey(plan, opts)
    if plan.engine is Engine.MEMCACHED:
        return make_memcached(plan, opts)
    return make_redis_cluster(plan, opts) if plan.clustered else make_redis_instance(plan, opts)


def _known(plan: Plan) -> dict[str, Any]:
    """What of the connection does not wait for the cloud."""
    managed = plan.managed
    known: dict[str, Any] = {"engine": plan.engine.value, "tls": managed.tls, "provider": "gcp", "region": plan.region}
    if managed.auth is Auth.CLOUD:
        known |= {"auth": "iam", "cache_name": plan.name}
    if managed.auth is Auth.NONE:
        known["auth"] = "none"
    if managed.purpose:
        known["purpose"] = managed.purpose.value
    return known


def _priced(plan: Plan) -> tuple[Price | None, float]:
    """The price of a unit, and how many there are."""
    managed = plan.managed
    nodes = managed.shards * (1 + managed.replicas_per_shard)
    if plan.node_type:
        service = "valkey" if plan.engine is Engine.VALKEY else "redis-cluster"
        return price("gcp", service, plan.node_type.name, plan.region), nodes
    if plan.engine is Engine.MEMCACHED or managed.replicas_per_shard > 1:
        return None, nodes
    band = max(first for first in (1, 5, 11, 36, 101) if first <= plan.size_gib)
    return price("gcp", f"redis-{'standard' if managed.high_availability else 'basic'}", str(band), plan.region), plan.size_gib
