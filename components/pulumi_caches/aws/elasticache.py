"""ElastiCache: Valkey, Redis or Memcached as AWS runs them."""

from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from pulumi_caches.arguments import Arguments
from pulumi_caches.aws.alarms import make_alarms
from pulumi_caches.aws.memcached import make_memcached
from pulumi_caches.aws.options import read_plan
from pulumi_caches.aws.plan import Durability, ElastiCacheEngine, Plan
from pulumi_caches.aws.replication_group import make_replication_group
from pulumi_caches.aws.secrets_manager import keep_connection
from pulumi_caches.aws.served import Served
from pulumi_caches.aws.serverless import make_serverless
from pulumi_caches.aws.users import make_users
from pulumi_caches.connection import Connection, when_ready
from pulumi_caches.managed import Auth, ManagedArgs
from pulumi_caches.prices import price, said

# The longest derived name that AWS limits is the user NAME-default: 40 characters.
NAME_MAXIMUM = 32
# How services call what is asked for in the same words everywhere; docs/elasticache.md has the same table.
MAPPING = {
    "memory_gib": ("nodeType, 25 % left free", "cacheUsageLimits.dataStorage", "nodeType, 25 % left free"),
    "shards": ("numNodeGroups", "AWS's choice", "numCacheNodes"),
    "replicas_per_shard": ("numCacheClusters, replicasPerNodeGroup", "AWS's choice", "none"),
    "high_availability": ("automaticFailoverEnabled, multiAzEnabled", "always", "azMode"),
    "engine_version": ("engineVersion", "majorEngineVersion", "engineVersion"),
    "tls": ("transitEncryptionEnabled", "always", "transitEncryptionEnabled"),
    "auth": ("userGroupIds", "userGroupId", "none"),
    "maxmemory_policy": ("parameterGroupName", "AWS's choice", "none"),
    "persistence": ("none", "none", "none"),
    "backup_retention_days": ("snapshotRetentionLimit", "snapshotRetentionLimit", "none"),
    "backup_time": ("snapshotWindow", "dailySnapshotTime", "none"),
    "maintenance_day": ("maintenanceWindow", "none", "maintenanceWindow"),
    "maintenance_time": ("maintenanceWindow", "none", "maintenanceWindow"),
    "tags": ("tags", "tags", "tags"),
}


class ElastiCacheArgs(ManagedArgs):
    """Arguments of ElastiCache. `region` and `aws_subnet_ids` are required."""

    engine: NotRequired[ElastiCacheEngine]
    """valkey, redis or memcached. Default: valkey."""
    aws_subnet_ids: list[pulumi.Input[str]]
    """Subnets to be reached in, one for each zone: at least 2 with high_availability, such as an AwsNetwork's subnet_ids."""
    aws_security_group_ids: NotRequired[list[pulumi.Input[str]]]
    """Security groups that say who reaches it, such as an AwsNetwork's. Default: the VPC's own, which lets in its members only."""
    aws_serverless: NotRequired[bool]
    """Whether AWS scales it and there are no nodes to choose. Another one is another cache. Default: false."""
    aws_ecpu_per_second: NotRequired[int]
    """The most that a serverless cache may do, in ElastiCache processing units, 1000 to 15000000. Default: no limit."""
    aws_node_type: NotRequired[str]
    """Kind of node, such as cache.r7g.large. Default: the smallest that has memory_gib."""
    aws_configs: NotRequired[dict[str, str]]
    """Settings that the service lets one change, such as notify-keyspace-events. Default: the service's."""
    aws_durability: NotRequired[Durability]
    """none, async or sync: what a lost server may cost; Valkey 9.0 and newer with several shards. Default: none."""
    aws_tls_optional: NotRequired[bool]
    """Whether clients without TLS are let in too: the step between tls false and true, which AWS wants. Default: false."""
    aws_kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the KMS key that encrypts disks and backups. Can't change. Default: a key of AWS's."""
    aws_log_retention_days: NotRequired[int]
    """Days that CloudWatch keeps the slow log and the engine's log, 0 for no logs. Default: 30."""
    aws_alarm_topics: NotRequired[list[pulumi.Input[str]]]
    """ARNs of SNS topics that alarms tell. Default: none, alarms are only seen."""
    aws_restore_from: NotRequired[pulumi.Input[str]]
    """Snapshot to begin with: its name, of a serverless cache its ARN. Another one is another cache. Default: none."""
    aws_final_backup: NotRequired[bool]
    """Whether a snapshot NAME-final is made when it is removed, which fails while there is one. Default: true where there are backups."""
    aws_global_datastore: NotRequired[bool]
    """Whether caches of other regions can follow it. Default: false."""
    aws_primary: NotRequired[pulumi.Input[str]]
    """What it follows from another region: the other ElastiCache's global_id. It is only read, and has the other's size and engine."""
    aws_password_secret: NotRequired[pulumi.Input[str]]
    """
    Name or ARN of a secret in Secrets Manager that has the password, instead of a generated one: 16 to 128 characters, alone or as
    `password` of a JSON object. Its version before stays valid too, and each `pulumi up` reads it anew. Default: none.
    """
    aws_connection_secret: NotRequired[bool]
    """Whether Secrets Manager keeps the connection, as JSON in a secret NAME-connection. Default: false."""
    password_version: NotRequired[int]
    """Raise it by one for a new password; the one before stays valid. Default: 1."""
    password_previous_valid: NotRequired[bool]
    """Whether the password before it is valid too; false ends a rotation. Default: true."""


class ElastiCache(pulumi.ComponentResource):
    """
    A cache of Amazon ElastiCache, which only its VPC reaches, by TLS and with logins of IAM where the service has them.

    Creates, named after the component: the replication group, serverless cache or Memcached cluster; a subnet group, a parameter
    group, log groups, a user with its group, and alarms in CloudWatch. One shard is reached as one server, more are a cluster.
    """

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when it is made. Secret."""
    global_id: pulumi.Output[str]
    """What aws_primary of another region's takes; empty without aws_global_datastore."""
    connection_secret_arn: pulumi.Output[str]
    """The secret of the connection, once it has it; empty without aws_connection_secret."""
    monthly_cost: pulumi.Output[str]
    """What its servers cost a month at list prices, in words; says so where that is not known."""

    def __init__(self, name: str, args: ElastiCacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        arguments = Arguments("ElastiCache", name, NAME_MAXIMUM, args, ElastiCacheArgs)
        plan = read_plan(arguments, name)
        arguments.finish()
        super().__init__("caches:index:ElastiCache", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        users, password = make_users(plan, child)
        served = _make(plan, users, child)
        make_alarms(plan, pulumi.ResourceOptions(parent=self, depends_on=[served.resource]))

        def connect(password: str | None, *parts: Any) -> Connection:
            known = {**_known(plan), **served.where(*parts)}
            return {**known, **({"password": password} if password else {})}  # type: ignore[typeddict-item] # `where` has the rest

        self.connection = when_ready(connect, plan.engine.value, [password, *served.parts], [served.resource])
        self.global_id = served.global_id if served.global_id is not None else pulumi.Output.from_input("")
        kept = keep_connection(plan, self.connection, child) if plan.connection_secret else ""
        self.connection_secret_arn = pulumi.Output.from_input(kept)
        self.monthly_cost = pulumi.Output.from_input(_priced(plan))
        self.register_outputs(
            {
                "connection": self.connection,
                "globalId": self.global_id,
                "connectionSecretArn": self.connection_secret_arn,
                "monthlyCost": self.monthly_cost,
            }
        )


def _make(plan: Plan, users: aws.elasticache.UserGroup | None, opts: pulumi.ResourceOptions) -> Served:
    if plan.serverless:
        return make_serverless(plan, users, opts)
    subnet_group = aws.elasticache.SubnetGroup(
        plan.name, name=plan.name, description=plan.name, subnet_ids=plan.subnet_ids, **plan.common(), opts=opts
    )
    if plan.engine is ElastiCacheEngine.MEMCACHED:
        return make_memcached(plan, subnet_group, opts)
    return make_replication_group(plan, users, subnet_group, opts)


def _known(plan: Plan) -> dict[str, Any]:
    """What of the connection does not wait for the cloud."""
    managed = plan.managed
    known: dict[str, Any] = {"engine": plan.engine.value, "tls": managed.tls, "provider": "aws", "region": plan.region}
    if managed.auth is not Auth.NONE:
        known["username"] = plan.name
    if managed.auth is Auth.CLOUD:
        known |= {"auth": "iam", "cache_name": plan.name}
    if managed.auth is Auth.NONE:
        known["auth"] = "none"
    if managed.purpose:
        known["purpose"] = managed.purpose.value
    return known


def _priced(plan: Plan) -> str:
    if plan.serverless:
        return "not known: AWS bills a serverless cache by what is stored and done"
    if plan.node_type is None:
        return "not known: its nodes are its primary's"
    found = price("aws", plan.engine.value, plan.node_type, plan.region)
    return said(found, plan.managed.shards * (1 + plan.managed.replicas_per_shard))
