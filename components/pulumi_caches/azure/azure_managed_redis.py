"""AzureManagedRedis: Redis Enterprise as Azure runs it."""

from dataclasses import dataclass
from typing import Any, NotRequired

import pulumi
from pulumi_azure_native import redisenterprise

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.azure.azure_cache import AzureCache, AzureCacheArgs, WayIn
from pulumi_caches.azure.managed_redis_options import (
    Clustering,
    Geo,
    OwnKey,
    read_clustering,
    read_geo,
    read_modules,
    read_own_key,
    read_snapshot_hours,
)
from pulumi_caches.azure.placement import CACHE_NAME, CACHE_NAME_RULE, NAME_MAXIMUM, read_region, read_zones, refuse_tags, resource_group
from pulumi_caches.azure.principals import read_principals
from pulumi_caches.azure.private_access import MANAGED_REDIS, PrivateAccess, make_private_access, read_private_access
from pulumi_caches.azure.skus import Sku, Tier, read_sku
from pulumi_caches.connection import when_ready
from pulumi_caches.guard import Checked, Facts, guard
from pulumi_caches.managed import Auth, EvictionPolicy, Persistence, Purpose, Service, read_managed
from pulumi_caches.prices import price, said

PORT = 10000
# The only one there can be.
_DATABASE = "default"
_EVERYTHING = "default"


class AzureManagedRedisArgs(AzureCacheArgs):
    """Arguments of AzureManagedRedis. `region` is required, and azure_subnet_id or azure_public_access."""

    azure_tier: NotRequired[Tier]
    """balanced, memory, compute or flash: processors for the memory. Default: balanced."""
    azure_sku: NotRequired[str]
    """A size by Azure's name, such as Balanced_B5, instead of memory_gib and azure_tier. Default: the smallest that has memory_gib."""
    azure_clustering: NotRequired[Clustering]
    """OSSCluster, EnterpriseCluster or NoCluster, which alone can change. Default: OSSCluster, with RediSearch EnterpriseCluster."""
    azure_modules: NotRequired[list[str]]
    """RediSearch, RedisBloom, RedisJSON, RedisTimeSeries. Can't change. Default: none."""
    azure_snapshot_hours: NotRequired[int]
    """Hours between snapshots with persistence rdb: 1, 6 or 12. Default: 1."""
    azure_geo_group: NotRequired[str]
    """Name of a group of caches that replicate each other actively. Default: none."""
    azure_geo_members: NotRequired[list[str]]
    """The group's caches in the order in which they are made: names in this resource group, or databases' resource ids. At most 5."""
    azure_encryption_key_url: NotRequired[pulumi.Input[str]]
    """Key of Key Vault, with its version, that encrypts the disks. Default: a key of Microsoft's."""
    azure_encryption_identity_id: NotRequired[pulumi.Input[str]]
    """Resource id of the user-assigned identity that may use the key."""


class AzureManagedRedis(AzureCache):
    """
    A cache of Azure Managed Redis, which only its private network reaches, by TLS and with logins of Microsoft Entra ID.

    Creates, named after the component: the cache with its database, an access policy assignment for each of azure_principals,
    a private endpoint with azure_subnet_id, which azure_private_dns_zone_id knows, and a resource group where none is given.
    """

    def __init__(self, name: str, args: AzureManagedRedisArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:AzureManagedRedis", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        group_name = resource_group(name, args.get("azure_resource_group_name"), plan.region, child)
        checked = guard(f"{name}-made-as", plan.facts(), [], plan.refuse_changes, child)
        cluster = redisenterprise.RedisEnterprise(name, **plan.cluster(checked), resource_group_name=group_name, opts=child)
        placed: dict[str, Any] = {"resource_group_name": group_name, "cluster_name": cluster.name}
        database = redisenterprise.Database(
            name,
            **placed,
            **plan.database(cluster.id),
            # Azure links the members of a group when they are made, and only then.
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=["geoReplication"])),
        )
        ready: list[pulumi.Resource] = [database]
        for principal, object_id in plan.principals.items():
            assignment = redisenterprise.AccessPolicyAssignment(
                f"{name}-{principal}",
                **placed,
                database_name=database.name,
                access_policy_assignment_name=principal,
                access_policy_name=_EVERYTHING,
                user={"object_id": object_id},
                opts=child,
            )
            ready.append(assignment)
        if plan.private is not None:
            ready += make_private_access(name, plan.private, MANAGED_REDIS, cluster.id, group_name, plan.region, plan.tags, child)

        key: pulumi.Output[str] | None = None
        if not plan.entra:
            keys = redisenterprise.list_database_keys_output(
                **placed, database_name=database.name, opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[database])
            )
            key = pulumi.Output.secret(keys.apply(lambda known: known.primary_key))
        connection = when_ready(plan.way_in.connection, "redis", [cluster.host_name, database.port, key], ready)
        self._export(
            connection,
            cluster.id,
            group_name,
            said(price("azure", "managed-redis", plan.sku.name, plan.region), 2 if plan.high_availability else 1),
        )


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and what Azure is asked for."""

    name: str
    cache_name: str
    region: str
    sku: Sku
    high_availability: bool
    entra: bool
    purpose: Purpose | None
    maxmemory_policy: EvictionPolicy
    persistence: Persistence
    snapshot_hours: int
    clustering: Clustering
    modules: list[str]
    zones: list[str]
    geo: Geo | None
    own_key: OwnKey | None
    principals: dict[str, pulumi.Input[str]]
    public: bool
    private: PrivateAccess | None
    tags: dict[str, str]

    def cluster(self, checked: pulumi.Output[Checked]) -> dict[str, Any]:
        """What the cache's machines are."""
        asked: dict[str, Any] = {
            # Nothing is made before the check.
            "cluster_name": checked.apply(lambda _: self.cache_name),
            "location": self.region,
            "sku": {"name": self.sku.name},
            "high_availability": _enabled(self.high_availability),
            "minimum_tls_version": "1.2",
            "public_network_access": _enabled(self.public),
            "tags": self.tags,
        }
        if self.zones:
            asked["zones"] = self.zones
        if self.own_key is not None:
            identity_id = self.own_key.identity_id
            asked["identity"] = {"type": "UserAssigned", "user_assigned_identities": [identity_id]}
            asked["encryption"] = {
                "customer_managed_key_encryption": {
                    "key_encryption_key_url": self.own_key.url,
                    "key_encryption_key_identity": {
                        "identity_type": "userAssignedIdentity",
                        "user_assigned_identity_resource_id": identity_id,
                    },
                }
            }
        return asked

    def database(self, cluster_id: pulumi.Output[str]) -> dict[str, Any]:
        """What serves on them."""
        asked: dict[str, Any] = {
            "database_name": _DATABASE,
            "port": PORT,
            "client_protocol": "Encrypted",
            "access_keys_authentication": _enabled(not self.entra),
            "clustering_policy": self.clustering.value,
            "eviction_policy": _EVICTION[self.maxmemory_policy],
            "persistence": {"aof_enabled": self.persistence is Persistence.AOF, "rdb_enabled": self.persistence is Persistence.RDB},
            "modules": [{"name": module} for module in self.modules],
        }
        if self.persistence is Persistence.AOF:
            asked["persistence"]["aof_frequency"] = "1s"
        if self.persistence is Persistence.RDB:
            asked["persistence"]["rdb_frequency"] = f"{self.snapshot_hours}h"
        if self.geo is not None:
            asked["geo_replication"] = {
                "group_nickname": self.geo.nickname,
                "linked_databases": [{"id": self._database_id(member, cluster_id)} for member in self.geo.members],
            }
        return asked

    def _database_id(self, member: str, cluster_id: pulumi.Output[str]) -> pulumi.Input[str]:
        """Of a member of the group. Names are of this resource group, and may be of caches of other stacks."""
        if member.startswith("/"):
            return member
        other = self.cache_name if member == self.name else member
        return cluster_id.apply(lambda own: f"{own.rpartition('/')[0]}/{other}/databases/{_DATABASE}")

    def facts(self) -> dict[str, Any]:
        """What Azure does not change in what is there."""
        return {
            "high_availability": self.high_availability,
            "azure_clustering": self.clustering.value,
            "azure_modules": sorted(self.modules),
            "azure_geo_group": self.geo.nickname if self.geo else "",
            "flash": self.sku.tier is Tier.FLASH,
        }

    def refuse_changes(self, first: Facts, now: Facts) -> None:
        """Raises ArgumentError for what Azure would refuse half way."""
        can = (("high_availability", False), ("azure_clustering", Clustering.NONE.value))
        changed = [key for key in now if first[key] != now[key] and (key, first[key]) not in can]
        if changed:
            problems = "".join(f"\n  * {key}: {first[key]!r} can't become {now[key]!r}: {_ADVICE[key]}" for key in changed)
            raise ArgumentError(f"AzureManagedRedis {self.name!r} can't be changed like that:{problems}\n{_WAY_OUT}")

    @property
    def way_in(self) -> WayIn:
        return WayIn("cluster" if self.clustering is Clustering.OSS else "standalone", self.cache_name, self.region, self.purpose)


def _enabled(wanted: bool) -> str:
    return "Enabled" if wanted else "Disabled"


_ADVICE = {
    "high_availability": "Azure can turn it on later, but not off",
    "azure_clustering": "Azure can only change it from NoCluster",
    "azure_modules": "they are chosen when the cache is made",
    "azure_geo_group": "caches join a group when they are made",
    "flash": "Azure can't move data between memory and flash: the tier flash (True) and the others (False) are different",
}
_SERVICE = Service(
    "Azure Managed Redis",
    auths=(Auth.CLOUD, Auth.PASSWORD),
    backups=False,
    lacking={
        "shards": "Azure chooses them with the size: see azure_clustering for how clients see them",
        "replicas_per_shard": "there is one with high_availability, else none",
        "maintenance_day": "Azure chooses when it maintains Azure Managed Redis",
        "maintenance_time": "Azure chooses when it maintains Azure Managed Redis",
    },
)
_WAY_OUT = "Put the old value back; or make a second cache under another name, let the clients move and remove this one."
_EVICTION = {
    EvictionPolicy.NOEVICTION: "NoEviction",
    EvictionPolicy.ALLKEYS_LRU: "AllKeysLRU",
    EvictionPolicy.ALLKEYS_LFU: "AllKeysLFU",
    EvictionPolicy.ALLKEYS_RANDOM: "AllKeysRandom",
    EvictionPolicy.VOLATILE_LRU: "VolatileLRU",
    EvictionPolicy.VOLATILE_LFU: "VolatileLFU",
    EvictionPolicy.VOLATILE_RANDOM: "VolatileRandom",
    EvictionPolicy.VOLATILE_TTL: "VolatileTTL",
}


def _read(name: str, args: AzureManagedRedisArgs) -> _Plan:
    arguments = Arguments("AzureManagedRedis", name, NAME_MAXIMUM, args, AzureManagedRedisArgs)
    managed = read_managed(arguments, _SERVICE)
    geographic = arguments.given("azure_geo_group")
    persistence = Persistence.NONE if geographic and not arguments.given("persistence") else managed.persistence
    sku = read_sku(arguments, managed.memory_gib, geographic=geographic)
    entra = managed.auth is not Auth.PASSWORD
    public = arguments.flag("azure_public_access", False)
    evicts = managed.maxmemory_policy is not EvictionPolicy.NOEVICTION
    modules = read_modules(arguments, sku.tier, evicts, geographic=geographic)
    plan = _Plan(
        name=name,
        cache_name=arguments.text("azure_name", name, CACHE_NAME, CACHE_NAME_RULE),
        region=read_region(arguments),
        sku=sku,
        high_availability=managed.high_availability,
        entra=entra,
        purpose=managed.purpose,
        maxmemory_policy=managed.maxmemory_policy,
        persistence=persistence,
        snapshot_hours=read_snapshot_hours(arguments, snapshots=persistence is Persistence.RDB),
        clustering=read_clustering(arguments, sku, modules),
        modules=modules,
        zones=read_zones(arguments, high_availability=managed.high_availability),
        geo=read_geo(arguments, name, sku, high_availability=managed.high_availability, persistent=persistence is not Persistence.NONE),
        own_key=read_own_key(arguments),
        principals=read_principals(arguments, entra=entra),
        public=public,
        private=read_private_access(arguments, public=public),
        tags=managed.tags,
    )
    refuse_tags(arguments, managed.tags)
    arguments.finish()
    return plan
