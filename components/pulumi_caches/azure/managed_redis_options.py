"""What only Azure Managed Redis has: clustering, modules, persistence, active geo-replication and a key of one's own, checked."""

import re
from dataclasses import dataclass
from enum import StrEnum

import pulumi

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.azure.placement import CACHE_NAME, resource_id
from pulumi_caches.azure.skus import UNSHARDED_MAXIMUM_GB, Sku, Tier

GEO_MEMBERS_MAXIMUM = 5
_MODULES = ["RediSearch", "RedisBloom", "RedisJSON", "RedisTimeSeries"]
_MODULES_WITH_GEO = ["RediSearch", "RedisJSON"]
_MODULES_WITH_FLASH = ["RedisJSON"]
_SNAPSHOT_HOURS = (1, 6, 12)
_KEY_URL = re.compile(r"https://[^/]+/keys/[^/]+/[0-9a-fA-F]+")
_NICKNAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_DATABASE_ID = resource_id(r"Microsoft\.Cache/redisEnterprise/[^/]+/databases/default")
_IDENTITY_ID = resource_id(r"Microsoft\.ManagedIdentity/userAssignedIdentities/[^/]+")


class Clustering(StrEnum):
    """How clients see the shards. Values are Azure's."""

    OSS = "OSSCluster"
    """As a Redis Cluster: clients talk to the shards themselves, which is fastest."""
    ENTERPRISE = "EnterpriseCluster"
    """As one server, behind a proxy."""
    NONE = "NoCluster"
    """There is one shard. Up to 25 GB."""


@dataclass(frozen=True)
class Geo:
    """Active geo-replication."""

    nickname: str
    members: list[str]
    """Those made before this one, and this one: names in the same resource group, or resource ids of databases."""


@dataclass(frozen=True)
class OwnKey:
    """A key of Key Vault that encrypts disks, and who may use it."""

    url: pulumi.Input[str]
    identity_id: pulumi.Input[str]


def read_clustering(arguments: Arguments, sku: Sku, modules: list[str]) -> Clustering:
    """Reads `azure_clustering`."""
    clustering = arguments.choice("azure_clustering", Clustering.ENTERPRISE if "RediSearch" in modules else Clustering.OSS)
    if clustering is Clustering.NONE and sku.size_gb > UNSHARDED_MAXIMUM_GB:
        arguments.refuse(
            "azure_clustering",
            f"works up to {UNSHARDED_MAXIMUM_GB} GB, and {sku.name} has {sku.size_gb:g}: give another one, or less memory_gib",
        )
    if "RediSearch" in modules and clustering is not Clustering.ENTERPRISE:
        arguments.refuse("azure_clustering", "RediSearch works with EnterpriseCluster only")
    return clustering


def read_modules(arguments: Arguments, tier: Tier, evicts: bool, *, geographic: bool) -> list[str]:
    """Reads `azure_modules`."""
    modules = arguments.texts("azure_modules", [])
    for module in modules:
        if module not in _MODULES:
            arguments.refuse("azure_modules", f"{module!r} is none of {', '.join(_MODULES)}{suggest(module, _MODULES)}")
        elif geographic and module not in _MODULES_WITH_GEO:
            arguments.refuse("azure_modules", f"{module} does not work with geo-replication: only {' and '.join(_MODULES_WITH_GEO)} do")
        elif tier is Tier.FLASH and module not in _MODULES_WITH_FLASH:
            arguments.refuse("azure_modules", f"{module} is not there in tier flash: only {' and '.join(_MODULES_WITH_FLASH)} is")
    if len(modules) != len(set(modules)):
        arguments.refuse("azure_modules", "names one of them twice")
    if "RediSearch" in modules and evicts:
        arguments.refuse("azure_modules", "RediSearch works with maxmemory_policy noeviction only: give that too")
    return modules


def read_snapshot_hours(arguments: Arguments, *, snapshots: bool) -> int:
    """Reads `azure_snapshot_hours`."""
    hours = arguments.whole("azure_snapshot_hours", 1, 1, 12)
    if hours not in _SNAPSHOT_HOURS:
        arguments.refuse("azure_snapshot_hours", f"must be one of {', '.join(map(str, _SNAPSHOT_HOURS))}")
    if arguments.given("azure_snapshot_hours") and not snapshots:
        arguments.refuse("azure_snapshot_hours", "there are snapshots with persistence rdb only")
    return hours


def read_geo(arguments: Arguments, name: str, sku: Sku, *, high_availability: bool, persistent: bool) -> Geo | None:
    """Reads `azure_geo_group` and `azure_geo_members`."""
    nickname = arguments.text("azure_geo_group", "", _NICKNAME, "must be 1 to 63 letters, digits and hyphens")
    members = arguments.texts("azure_geo_members", [])
    if not nickname:
        if members:
            arguments.refuse("azure_geo_members", "needs azure_geo_group, which they have in common")
        return None
    for member in members:
        if not CACHE_NAME.fullmatch(member) and not _DATABASE_ID.fullmatch(member):
            arguments.refuse("azure_geo_members", f"{member!r} is neither a cache's name nor the resource id of a database")
    others = [member for member in members if member != name]
    if len(others) + 1 > GEO_MEMBERS_MAXIMUM or len(set(members)) != len(members):
        arguments.refuse("azure_geo_members", f"must be different caches, with this one at most {GEO_MEMBERS_MAXIMUM}")
    if not sku.replicates_geographically:
        arguments.refuse("azure_geo_group", f"geo-replication does not work with {sku.name}: give at least Balanced_B3, and not tier flash")
    if not high_availability:
        arguments.refuse("azure_geo_group", "geo-replication needs high_availability: true")
    if persistent:
        arguments.refuse("azure_geo_group", "geo-replication works with persistence none only: the other regions keep the data")
    return Geo(nickname, members[: members.index(name) + 1] if name in members else [*members, name])


def read_own_key(arguments: Arguments) -> OwnKey | None:
    """Reads `azure_encryption_key_url` and `azure_encryption_identity_id`."""
    url = arguments.value("azure_encryption_key_url", None)
    identity_id = arguments.value("azure_encryption_identity_id", None)
    if isinstance(url, str) and not _KEY_URL.fullmatch(url):
        arguments.refuse(
            "azure_encryption_key_url", "must be the URL of a key with its version: https://VAULT.vault.azure.net/keys/NAME/VERSION"
        )
    if isinstance(identity_id, str) and not _IDENTITY_ID.fullmatch(identity_id):
        arguments.refuse("azure_encryption_identity_id", "must be the resource id of a user-assigned identity")
    if url is None and identity_id is None:
        return None
    for key, value in (("azure_encryption_key_url", url), ("azure_encryption_identity_id", identity_id)):
        if value is None:
            arguments.refuse(key, "a key of one's own needs both azure_encryption_key_url and azure_encryption_identity_id")
    return OwnKey(url, identity_id)
