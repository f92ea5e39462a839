"""What only Azure Cache for Redis has: tiers and sizes, shards, storage for persistence, firewall rules, access policies and a
secondary, checked.

Sizes and what each tier can do: Microsoft's "What is Azure Cache for Redis?" and "Configure geo-replication for Premium".
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pulumi

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.azure.placement import resource_id
from pulumi_caches.azure.skus import GB_PER_GIB
from pulumi_caches.managed import Managed, Persistence

SHARDS_MAXIMUM = 10
REPLICAS_MAXIMUM = 3
BUILT_IN_POLICIES = ["Data Owner", "Data Contributor", "Data Reader"]
# What maxmemory-reserved and maxfragmentationmemory-reserved take together unless they are set.
_RESERVED = 0.2
# Classes of events, as Redis has them.
_EVENTS = re.compile(r"[KEg$lshztxedmnA]+")
_CACHE_ID = resource_id(r"Microsoft\.Cache/redis/[^/]+")
_SNAPSHOT_MINUTES = [15, 30, 60, 360, 720, 1440]


class CacheTier(StrEnum):
    """What a cache consists of. A cache can get a higher one, and not a lower one."""

    BASIC = "basic"
    """One server, without Azure's promises."""
    STANDARD = "standard"
    """Two servers."""
    PREMIUM = "premium"
    """Two to four servers in each shard; persistence, zones, a secondary in another region."""


TIERS = list(CacheTier)
_STANDARD_GB = [0.25, 1, 2.5, 6, 13, 26, 53]
_PREMIUM_GB = [6.0, 13, 26, 53, 120]


@dataclass(frozen=True)
class Size:
    """Azure's name of what is bought."""

    tier: CacheTier
    capacity: int
    size_gb: float

    @property
    def sku(self) -> str:
        """As prices are listed."""
        return f"{self.tier.value.capitalize()}_{self.family}{self.capacity}"

    @property
    def family(self) -> str:
        return "P" if self.tier is CacheTier.PREMIUM else "C"

    @property
    def usable_gb(self) -> float:
        """What is left for data."""
        return self.size_gb * (1 - _RESERVED)


def sizes(tier: CacheTier) -> list[Size]:
    """All of a tier, the smallest first."""
    first, gigabytes = (1, _PREMIUM_GB) if tier is CacheTier.PREMIUM else (0, _STANDARD_GB)
    return [Size(tier, capacity, size_gb) for capacity, size_gb in enumerate(gigabytes, start=first)]


@dataclass(frozen=True)
class Storage:
    """Where snapshots or the append-only file go."""

    connection_string: pulumi.Input[str]
    minutes: int


@dataclass(frozen=True)
class Secondary:
    """A cache in another region that follows this one."""

    cache_id: pulumi.Input[str]
    region: str


def read_tier(arguments: Arguments, high_availability: bool) -> CacheTier:
    """Reads `azure_cache_tier`."""
    tier = arguments.choice("azure_cache_tier", CacheTier.STANDARD if high_availability else CacheTier.BASIC)
    if tier is CacheTier.BASIC and high_availability:
        arguments.refuse("azure_cache_tier", "is one server: give standard or premium, or high_availability: false")
    if tier is not CacheTier.BASIC and not high_availability:
        arguments.refuse("azure_cache_tier", "has a second server: give high_availability: true, or basic")
    return tier


def read_size(arguments: Arguments, tier: CacheTier, memory_gib: float) -> Size:
    """The smallest whose shards hold that much each."""
    of_tier = sizes(tier)
    fitting = [size for size in of_tier if size.usable_gb >= memory_gib * GB_PER_GIB]
    if not fitting:
        limit = of_tier[-1].usable_gb / GB_PER_GIB
        arguments.refuse(
            "memory_gib", f"tier {tier.value} has at most {limit:.0f} GiB for data in a shard: give less, or shards of premium"
        )
    return fitting[0] if fitting else of_tier[-1]


def refuse_what_only_premium_has(arguments: Arguments, tier: CacheTier, managed: Managed, persistence: Persistence) -> None:
    """Refuses it with the other tiers."""
    if tier is not CacheTier.PREMIUM:
        wants = {
            "shards": managed.shards > 1,
            "replicas_per_shard": managed.replicas_per_shard > 1,
            "persistence": persistence is not Persistence.NONE,
            "azure_zones": arguments.given("azure_zones"),
            "azure_secondary_id": arguments.given("azure_secondary_id"),
        }
        for key, wanted in wants.items():
            if wanted:
                arguments.refuse(key, f"is for azure_cache_tier premium, not {tier.value}", shown=False)


def read_storage(arguments: Arguments, persistence: Persistence) -> Storage | None:
    """Reads `azure_storage_connection_string` and `azure_snapshot_minutes`."""
    given = arguments.value("azure_storage_connection_string", None)
    minutes = arguments.whole("azure_snapshot_minutes", 60, 15, 1440)
    if minutes not in _SNAPSHOT_MINUTES:
        arguments.refuse("azure_snapshot_minutes", f"must be one of {', '.join(map(str, _SNAPSHOT_MINUTES))}")
    if persistence is Persistence.NONE:
        if given is not None:
            arguments.refuse("azure_storage_connection_string", "nothing is stored with persistence none", shown=False)
        return None
    if given is None:
        arguments.refuse("azure_storage_connection_string", f"persistence {persistence.value} needs a storage account to write to")
    return Storage(given or "", minutes)


def read_secondary(arguments: Arguments, persistence: Persistence, replicas: int) -> Secondary | None:
    """Reads `azure_secondary_id` and `azure_secondary_region`."""
    cache_id, region = arguments.value("azure_secondary_id", None), arguments.value("azure_secondary_region", None)
    if isinstance(cache_id, str) and not _CACHE_ID.fullmatch(cache_id):
        arguments.refuse("azure_secondary_id", "must be the resource id of an Azure Cache for Redis")
    if (cache_id is None) != (region is None):
        arguments.refuse("azure_secondary_region" if region is None else "azure_secondary_id", "a secondary needs its id and its region")
    if cache_id is None:
        return None
    if persistence is not Persistence.NONE:
        arguments.refuse("azure_secondary_id", "a cache with a secondary can't have persistence: give none")
    if replicas > 1:
        arguments.refuse("azure_secondary_id", "a cache with a secondary has one replica in each shard: leave out replicas_per_shard")
    return Secondary(cache_id, region or "")


def read_firewall_rules(arguments: Arguments, *, public: bool) -> dict[str, tuple[str, str]]:
    """Reads `azure_firewall_rules`: the first and last address, by name."""
    rules = arguments.value("azure_firewall_rules", {})
    if not isinstance(rules, Mapping):
        arguments.refuse("azure_firewall_rules", "must be a mapping of names to ranges of addresses")
        return {}
    if rules and not public:
        arguments.refuse("azure_firewall_rules", "are for access from the internet: give azure_public_access: true too")
    read = {}
    for name, text in rules.items():
        if not re.fullmatch(r"[A-Za-z0-9_]{1,256}", str(name)):
            arguments.refuse("azure_firewall_rules", f"{name!r} must be letters, digits and underscores")
        try:
            first, last = (ipaddress.IPv4Address(part.strip()) for part in str(text).split("-"))
        except ValueError:
            arguments.refuse("azure_firewall_rules", f"{text!r} must be two IPv4 addresses: 203.0.113.0-203.0.113.255")
            continue
        if last < first:
            arguments.refuse("azure_firewall_rules", f"{text!r} ends before it begins")
        read[str(name)] = (str(first), str(last))
    return read


def read_events(arguments: Arguments) -> str:
    """Reads `azure_notify_keyspace_events`."""
    return arguments.text("azure_notify_keyspace_events", "", _EVENTS, "must be letters of KEg$lshztxedmnA")


def read_policies(arguments: Arguments) -> dict[str, str]:
    """Reads `azure_access_policies`: ACL rules by name."""
    policies = arguments.annotations("azure_access_policies")
    for name in policies:
        if name in BUILT_IN_POLICIES:
            arguments.refuse("azure_access_policies", f"{name!r} is Azure's own: take another name")
    return policies


def read_assigned(arguments: Arguments, principals: Mapping[str, pulumi.Input[str]], policies: Mapping[str, str]) -> dict[str, str]:
    """Reads `azure_principal_policies`: what each of the principals may do."""
    assigned = arguments.annotations("azure_principal_policies")
    known = [*BUILT_IN_POLICIES, *policies]
    for name, policy in assigned.items():
        if name not in principals:
            arguments.refuse("azure_principal_policies", f"{name!r} is none of azure_principals{suggest(name, list(principals))}")
        if policy not in known:
            arguments.refuse("azure_principal_policies", f"{policy!r} is none of {', '.join(known)}{suggest(policy, known)}")
    return {name: assigned.get(name, BUILT_IN_POLICIES[0]) for name in principals}
