"""What Azure refuses though its models allow it, after its documentation of the two Redis services."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

Problems = Iterator[tuple[str, str]]

_WITHOUT_GEO = re.compile(r"Balanced_B[01]|FlashOptimized_\w+")
# NoCluster works up to 25 GB.
_UNSHARDED = re.compile(r"Balanced_B(0|1|3|5|10|20)|MemoryOptimized_M(10|20)|ComputeOptimized_X(3|5|10|20)")
_PREMIUM_ONLY = ("shardCount", "replicasPerPrimary", "replicasPerMaster", "subnetId", "staticIP")
_OLD_TLS = ("1.0", "1.1")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def redis_enterprise(inputs: dict[str, Any]) -> Problems:
    """The machines of Azure Managed Redis."""
    sku = inputs.get("sku") or {}
    if str(sku.get("name")).startswith("Enterprise"):
        yield "sku.name", f"{sku['name']} can't be created any more: Enterprise tiers retire on 2027-03-31"
    elif sku.get("capacity") is not None:
        yield "sku.capacity", "is for Enterprise SKUs: Azure Managed Redis has sizes only"
    if inputs.get("minimumTlsVersion") in _OLD_TLS:
        yield "minimumTlsVersion", f"{inputs['minimumTlsVersion']} is obsolete: only 1.2 can be used"
    if "publicNetworkAccess" not in inputs:
        yield "publicNetworkAccess", "is required"
    encryption = (inputs.get("encryption") or {}).get("customerManagedKeyEncryption") or {}
    identity = encryption.get("keyEncryptionKeyIdentity") or {}
    if encryption and identity.get("identityType") != "userAssignedIdentity":
        yield "encryption", "Key Vault can only be reached with a user-assigned identity"
    if encryption and "UserAssigned" not in str((inputs.get("identity") or {}).get("type")):
        yield "identity", "the cache does not have the identity that its encryption is to use"


def database(inputs: dict[str, Any]) -> Problems:
    """The database of Azure Managed Redis, by itself."""
    if inputs.get("databaseName") not in (None, "default"):
        yield "databaseName", f"{inputs['databaseName']!r} must be default"
    persistence = inputs.get("persistence") or {}
    if persistence.get("aofEnabled") and persistence.get("rdbEnabled"):
        yield "persistence", "at most one of AOF and RDB may be enabled"
    for kind in ("aof", "rdb"):
        if persistence.get(f"{kind}Frequency") and not persistence.get(f"{kind}Enabled"):
            yield f"persistence.{kind}Frequency", f"needs {kind}Enabled"
    modules = {module.get("name") for module in inputs.get("modules") or []}
    if strange := modules - {"RediSearch", "RedisBloom", "RedisJSON", "RedisTimeSeries", None}:
        yield "modules", f"there is no module {sorted(strange)[0]}"
    if "RediSearch" in modules and inputs.get("clusteringPolicy") != "EnterpriseCluster":
        yield "clusteringPolicy", "RediSearch needs EnterpriseCluster"
    if "RediSearch" in modules and inputs.get("evictionPolicy") != "NoEviction":
        yield "evictionPolicy", "RediSearch needs NoEviction"
    if not (geo := inputs.get("geoReplication")):
        return
    linked = geo.get("linkedDatabases") or []
    if not geo.get("groupNickname") or not linked:
        yield "geoReplication", "needs a nickname and the linked databases"
    if len(linked) > 5:
        yield "geoReplication.linkedDatabases", f"has {len(linked)}, at most 5 are possible"
    if persistence.get("aofEnabled") or persistence.get("rdbEnabled"):
        yield "persistence", "does not work with geo-replication"
    if modules - {"RediSearch", "RedisJSON", None}:
        yield "modules", "only RediSearch and RedisJSON work with geo-replication"


def database_in(cluster: dict[str, Any], inputs: dict[str, Any]) -> Problems:
    """The database and the machines that it is to be on."""
    sku = cluster["sku"]["name"]
    if inputs.get("clusteringPolicy") == "NoCluster" and not _UNSHARDED.fullmatch(sku):
        yield "clusteringPolicy", f"NoCluster works up to 25 GB, and {sku} has more"
    if not inputs.get("geoReplication"):
        return
    if _WITHOUT_GEO.fullmatch(sku):
        yield "geoReplication", f"does not work with {sku}"
    if cluster.get("highAvailability") == "Disabled":
        yield "geoReplication", "needs high availability"


def geo_group(others: list[tuple[str, dict[str, Any], dict[str, Any]]], cluster: dict[str, Any], inputs: dict[str, Any]) -> Problems:
    """A new member, and what others have: their ids, machines and databases."""
    for other_id, other_cluster, other in others:
        if other_cluster["sku"]["name"] != cluster["sku"]["name"]:
            yield "geoReplication", f"{other_id} has another SKU, {other_cluster['sku']['name']}: all of a group must have the same"
        for key in ("evictionPolicy", "clusteringPolicy", "clientProtocol", "modules"):
            if other.get(key) != inputs.get(key):
                yield "geoReplication", f"{other_id} has another {key}: all of a group must have the same"
        if (other.get("geoReplication") or {}).get("groupNickname") != inputs["geoReplication"]["groupNickname"]:
            yield "geoReplication", f"{other_id} is not in this group, and a cache joins one when it is made"


def redis_enterprise_update(old: dict[str, Any], new: dict[str, Any]) -> Problems:
    """A change to machines that are there."""
    if old.get("highAvailability") != "Disabled" and new.get("highAvailability") == "Disabled":
        yield "highAvailability", "can't be turned off"
    if old["sku"]["name"].startswith("Flash") != new["sku"]["name"].startswith("Flash"):
        yield "sku.name", f"{old['sku']['name']} can't become {new['sku']['name']}: data can't move between memory and flash"


def database_update(old: dict[str, Any], new: dict[str, Any]) -> Problems:
    """A change to a database that is there."""
    if old.get("clusteringPolicy") not in ("NoCluster", new.get("clusteringPolicy")):
        yield "clusteringPolicy", f"{old.get('clusteringPolicy')} can't be changed without deleting the database"
    if (old.get("modules") or []) != (new.get("modules") or []):
        yield "modules", "can only be given when the database is made"
    if new.get("geoReplication") and not old.get("geoReplication"):
        yield "geoReplication", "a database that is there joins by force-link only"


def redis(inputs: dict[str, Any]) -> Problems:
    """Azure Cache for Redis."""
    sku = inputs.get("sku") or {}
    tier, family, capacity = sku.get("name"), sku.get("family"), sku.get("capacity")
    if tier in ("Basic", "Standard", "Premium") and family in ("C", "P"):
        if (tier == "Premium") != (family == "P"):
            yield "sku.family", f"{family} is not of tier {tier}"
        lowest, highest = (1, 5) if family == "P" else (0, 6)
        if isinstance(capacity, int) and not lowest <= capacity <= highest:
            yield "sku.capacity", f"{capacity} must be from {lowest} to {highest} with family {family}"
    if tier != "Premium":
        for key in _PREMIUM_ONLY:
            if inputs.get(key) is not None:
                yield key, f"is for tier Premium, not {tier}"
    configuration = inputs.get("redisConfiguration") or {}
    rdb, aof = (configuration.get(f"{kind}BackupEnabled") == "true" for kind in ("rdb", "aof"))
    if (rdb or aof) and tier != "Premium":
        yield "redisConfiguration", f"persistence is for tier Premium, not {tier}"
    if rdb and aof:
        yield "redisConfiguration", "at most one of AOF and RDB may be enabled"
    if rdb and "rdbStorageConnectionString" not in configuration:
        yield "redisConfiguration", "rdb-backup-enabled needs rdb-storage-connection-string"
    if rdb and configuration.get("rdbBackupFrequency") not in ("15", "30", "60", "360", "720", "1440"):
        yield "redisConfiguration", "rdb-backup-frequency must be 15, 30, 60, 360, 720 or 1440"
    if inputs.get("disableAccessKeyAuthentication") and configuration.get("aadEnabled") != "true":
        yield "disableAccessKeyAuthentication", "nobody could log in: needs aad-enabled"
    if inputs.get("minimumTlsVersion") in _OLD_TLS:
        yield "minimumTlsVersion", f"{inputs['minimumTlsVersion']} is retired: 1.2 is needed"
    if isinstance(shards := inputs.get("shardCount"), int) and not 1 <= shards <= 30:
        yield "shardCount", f"{shards} must be from 1 to 30"


def redis_update(old: dict[str, Any], new: dict[str, Any]) -> Problems:
    """A change to a cache that is there."""
    tiers = ["Basic", "Standard", "Premium"]
    if tiers.index(new["sku"]["name"]) < tiers.index(old["sku"]["name"]):
        yield "sku.name", f"{old['sku']['name']} can't become {new['sku']['name']}: a cache can't get a lower tier"


def patch_schedule(inputs: dict[str, Any]) -> Problems:
    """When a cache is patched."""
    for index, entry in enumerate(inputs.get("scheduleEntries") or []):
        hour = entry.get("startHourUtc")
        if isinstance(hour, int) and not 0 <= hour <= 23:
            yield f"scheduleEntries[{index}].startHourUtc", f"{hour} must be from 0 to 23"


def firewall_rule(inputs: dict[str, Any]) -> Problems:
    """From where a cache can be reached."""
    addresses = []
    for key in ("startIP", "endIP"):
        if not isinstance(value := inputs.get(key), str):
            continue
        try:
            addresses.append(ipaddress.IPv4Address(value))
        except ValueError:
            yield key, f"{value!r} is no IPv4 address"
    if len(addresses) == 2 and addresses[1] < addresses[0]:
        yield "endIP", "comes before startIP"


def object_id(key: str, value: Any) -> Problems:
    """Of who may log in."""
    if isinstance(value, str) and not _GUID.fullmatch(value):
        yield key, f"{value!r} is no object id"
