"""AzureCacheForRedis: the older service, for who has it already."""

import re
from dataclasses import dataclass
from typing import Any, NotRequired

import pulumi
from pulumi_azure_native import redis

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.azure.azure_cache import AzureCache, AzureCacheArgs, WayIn
from pulumi_caches.azure.cache_for_redis_options import (
    REPLICAS_MAXIMUM,
    SHARDS_MAXIMUM,
    TIERS,
    CacheTier,
    Secondary,
    Size,
    Storage,
    read_assigned,
    read_events,
    read_firewall_rules,
    read_policies,
    read_secondary,
    read_size,
    read_storage,
    read_tier,
    refuse_what_only_premium_has,
)
from pulumi_caches.azure.placement import CACHE_NAME_RULE, NAME_MAXIMUM, read_region, read_zones, refuse_tags, resource_group
from pulumi_caches.azure.principals import read_principals
from pulumi_caches.azure.private_access import CACHE_FOR_REDIS, PrivateAccess, make_private_access, read_private_access
from pulumi_caches.connection import when_ready
from pulumi_caches.guard import Checked, Facts, guard
from pulumi_caches.managed import Auth, EvictionPolicy, Persistence, Purpose, Service, Weekly, read_managed
from pulumi_caches.prices import price, said

PORT = 6380
RETIREMENT = (
    "Azure Cache for Redis retires: since 2026-04-01 it is refused to tenants that had none before, on 2028-09-30 support ends, and on "
    "2028-10-01 every cache is turned off. Make an AzureManagedRedis beside it, let the clients move (docs/azure-cache-for-redis.md) and "
    "remove this one."
)
# Of a host name's first part.
_NAME = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*")


class AzureCacheForRedisArgs(AzureCacheArgs):
    """Arguments of AzureCacheForRedis. `region` is required, and azure_subnet_id or azure_public_access."""

    azure_cache_tier: NotRequired[CacheTier]
    """basic, standard or premium. Can't become a lower one. Default: standard, without high_availability basic."""
    azure_notify_keyspace_events: NotRequired[str]
    """Redis' notify-keyspace-events. Default: none."""
    azure_storage_connection_string: NotRequired[pulumi.Input[str]]
    """Storage account that premium persistence writes to; secret."""
    azure_snapshot_minutes: NotRequired[int]
    """Minutes between snapshots with persistence rdb: 15, 30, 60, 360, 720 or 1440. Default: 60."""
    azure_principal_policies: NotRequired[dict[str, str]]
    """What each of them may do: Data Owner, Data Contributor, Data Reader or one of azure_access_policies. Default: Data Owner."""
    azure_access_policies: NotRequired[dict[str, str]]
    """Access policies of your own, as Redis' ACL rules such as `+@read ~orders:*`, by name. Default: none."""
    azure_firewall_rules: NotRequired[dict[str, str]]
    """From where on the internet, as two IPv4 addresses with a hyphen, by name. Default: from everywhere."""
    azure_secondary_id: NotRequired[pulumi.Input[str]]
    """Resource id of a premium cache in another region that follows this one. Default: none."""
    azure_secondary_region: NotRequired[str]
    """The secondary's region."""


class AzureCacheForRedis(AzureCache):
    """
    A cache of Azure Cache for Redis, which retires: says so in each preview. New caches are AzureManagedRedis.

    Creates, named after the component: the cache, its patch schedule, access policies and their assignments,
    firewall rules, the link to a secondary, a private endpoint with azure_subnet_id, and a resource group where none is given.
    """

    def __init__(self, name: str, args: AzureCacheForRedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:AzureCacheForRedis", name, {}, opts)
        pulumi.log.warn(RETIREMENT, self)
        child = pulumi.ResourceOptions(parent=self)

        group_name = resource_group(name, args.get("azure_resource_group_name"), plan.region, child)
        checked = guard(f"{name}-made-as", {"azure_cache_tier": plan.size.tier.value}, [], plan.refuse_changes, child)
        cache = redis.Redis(name, **plan.cache(checked), resource_group_name=group_name, opts=child)
        ready: list[pulumi.Resource] = [cache, *plan.make_rules(cache, group_name, child)]
        if plan.private is not None:
            ready += make_private_access(name, plan.private, CACHE_FOR_REDIS, cache.id, group_name, plan.region, plan.tags, child)

        key: pulumi.Output[str] | None = None
        if not plan.entra:
            keys = redis.list_redis_keys_output(
                name=cache.name, resource_group_name=group_name, opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[cache])
            )
            key = pulumi.Output.secret(keys.apply(lambda known: known.primary_key))
        connection = when_ready(plan.way_in.connection, "redis", [cache.host_name, cache.ssl_port, key], ready)
        self._export(
            connection,
            cache.id,
            group_name,
            said(price("azure", "cache-for-redis", plan.size.sku, plan.region), plan.shards * (1 + plan.replicas_per_shard)),
        )


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and what Azure is asked for."""

    name: str
    cache_name: str
    region: str
    size: Size
    shards: int
    replicas_per_shard: int
    entra: bool
    purpose: Purpose | None
    maxmemory_policy: EvictionPolicy
    notify_keyspace_events: str
    persistence: Persistence
    storage: Storage | None
    zones: list[str]
    policies: dict[str, str]
    principals: dict[str, pulumi.Input[str]]
    assigned: dict[str, str]
    firewall_rules: dict[str, tuple[str, str]]
    secondary: Secondary | None
    maintenance: Weekly
    public: bool
    private: PrivateAccess | None
    tags: dict[str, str]

    def cache(self, checked: pulumi.Output[Checked]) -> dict[str, Any]:
        """The cache itself."""
        asked: dict[str, Any] = {
            # Nothing is made before the check.
            "name": checked.apply(lambda _: self.cache_name),
            "location": self.region,
            "sku": {"name": self.size.tier.value.capitalize(), "family": self.size.family, "capacity": self.size.capacity},
            "redis_version": "6",
            "enable_non_ssl_port": False,
            "minimum_tls_version": "1.2",
            "public_network_access": "Enabled" if self.public else "Disabled",
            "disable_access_key_authentication": self.entra,
            "redis_configuration": self._configuration(),
            "tags": self.tags,
        }
        if self.shards > 1:
            asked["shard_count"] = self.shards
        if self.replicas_per_shard > 1:
            asked["replicas_per_primary"] = self.replicas_per_shard
        if self.zones:
            asked |= {"zones": self.zones, "zonal_allocation_policy": "UserDefined"}
        return asked

    def _configuration(self) -> dict[str, pulumi.Input[str]]:
        settings: dict[str, pulumi.Input[str]] = {
            "aad_enabled": str(self.entra).lower(),
            "maxmemory_policy": self.maxmemory_policy.value,
        }
        if self.notify_keyspace_events:
            settings["notify_keyspace_events"] = self.notify_keyspace_events
        if self.storage is not None:
            where = pulumi.Output.secret(self.storage.connection_string)
            if self.persistence is Persistence.RDB:
                settings |= {
                    "rdb_backup_enabled": "true",
                    "rdb_backup_frequency": str(self.storage.minutes),
                    "rdb_storage_connection_string": where,
                }
            else:
                settings |= {"aof_backup_enabled": "true", "aof_storage_connection_string0": where}
        return settings

    def make_rules(self, cache: redis.Redis, group_name: pulumi.Input[str], opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        """Who may reach it and do what, when it is patched, and what follows it."""
        of_cache = {"cache_name": cache.name, "resource_group_name": group_name}
        made: list[pulumi.Resource] = []
        policies = [
            redis.AccessPolicy(f"{self.name}-{policy}", **of_cache, access_policy_name=policy, permissions=permissions, opts=opts)
            for policy, permissions in self.policies.items()
        ]
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=policies))
        for principal, object_id in self.principals.items():
            made.append(
                redis.AccessPolicyAssignment(
                    f"{self.name}-{principal}",
                    **of_cache,
                    access_policy_assignment_name=principal,
                    access_policy_name=self.assigned[principal],
                    object_id=object_id,
                    object_id_alias=principal,
                    opts=after,
                )
            )
        for rule, (first, last) in self.firewall_rules.items():
            made.append(redis.FirewallRule(f"{self.name}-{rule}", **of_cache, rule_name=rule, start_ip=first, end_ip=last, opts=opts))
        made.append(
            redis.PatchSchedule(
                self.name,
                name=cache.name,
                default="default",
                resource_group_name=group_name,
                schedule_entries=[
                    redis.ScheduleEntryArgs(
                        day_of_week=redis.DayOfWeek(self.maintenance.day.value.capitalize()), start_hour_utc=self.maintenance.hour
                    )
                ],
                opts=opts,
            )
        )
        if self.secondary is not None:
            made.append(
                redis.LinkedServer(
                    self.name,
                    name=cache.name,
                    resource_group_name=group_name,
                    linked_server_name=pulumi.Output.from_input(self.secondary.cache_id).apply(lambda known: known.rpartition("/")[2]),
                    linked_redis_cache_id=self.secondary.cache_id,
                    linked_redis_cache_location=self.secondary.region,
                    server_role=redis.ReplicationRole.SECONDARY,
                    opts=opts,
                )
            )
        return [*policies, *made]

    def refuse_changes(self, first: Facts, now: Facts) -> None:
        """Raises ArgumentError for what Azure would refuse half way."""
        key = "azure_cache_tier"
        if TIERS.index(now[key]) < TIERS.index(first[key]):
            raise ArgumentError(
                f"AzureCacheForRedis {self.name!r} can't be changed like that:\n  * {key}: {first[key]!r} can't become {now[key]!r}: "
                "a cache can't get a lower tier: put the old value back"
            )

    @property
    def way_in(self) -> WayIn:
        return WayIn("cluster" if self.shards > 1 else "standalone", self.cache_name, self.region, self.purpose)


_SERVICE = Service(
    "Azure Cache for Redis",
    shards=SHARDS_MAXIMUM,
    replicas=REPLICAS_MAXIMUM,
    versions=("6.0",),
    auths=(Auth.CLOUD, Auth.PASSWORD),
    backups=False,
    full_hours=True,
)


def _read(name: str, args: AzureCacheForRedisArgs) -> _Plan:
    arguments = Arguments("AzureCacheForRedis", name, NAME_MAXIMUM, args, AzureCacheForRedisArgs)
    managed = read_managed(arguments, _SERVICE)
    # It takes a storage account, of which nothing is known here.
    persistence = managed.persistence if arguments.given("persistence") else Persistence.NONE
    tier = read_tier(arguments, managed.high_availability)
    entra = managed.auth is not Auth.PASSWORD
    public = arguments.flag("azure_public_access", False)
    policies = read_policies(arguments)
    principals = read_principals(arguments, entra=entra)
    plan = _Plan(
        name=name,
        cache_name=arguments.text("azure_name", name, _NAME, CACHE_NAME_RULE.replace("60", "63")),
        region=read_region(arguments),
        size=read_size(arguments, tier, managed.memory_gib),
        shards=managed.shards,
        replicas_per_shard=managed.replicas_per_shard,
        entra=entra,
        purpose=managed.purpose,
        maxmemory_policy=managed.maxmemory_policy,
        notify_keyspace_events=read_events(arguments),
        persistence=persistence,
        storage=read_storage(arguments, persistence),
        zones=read_zones(arguments, high_availability=managed.high_availability),
        policies=policies,
        principals=principals,
        assigned=read_assigned(arguments, principals, policies),
        firewall_rules=read_firewall_rules(arguments, public=public),
        secondary=read_secondary(arguments, persistence, managed.replicas_per_shard),
        maintenance=managed.maintenance,
        public=public,
        private=read_private_access(arguments, public=public),
        tags=managed.tags,
    )
    refuse_what_only_premium_has(arguments, tier, managed, persistence)
    refuse_tags(arguments, managed.tags)
    arguments.finish()
    return plan
