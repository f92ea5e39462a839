"""What stands behind Azure's caches in the emulator: real servers, who may log in to them, and what replicates."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from clouds.emulator import copying, servers
from clouds.emulator.cloud import Cloud, ConflictError, Resource
from clouds.emulator.servers import User
from clouds.emulator.serving import end, follow, only_read, place_of, serve

ENTERPRISE_PORT = 10_000
CLASSIC_PORT = 6380
# Of a cluster; the real service has more with larger sizes.
_SHARDS = 2
_EVERYTHING = "~* &* +@all"
_BUILT_IN = {
    "Data Owner": _EVERYTHING,
    "Data Contributor": "~* &* +@all -@dangerous +cluster|info +cluster|nodes +cluster|slots +cluster|shards",
    "Data Reader": "~* +@read +@connection +cluster|info +cluster|nodes +cluster|slots +cluster|shards",
}


def make_database(cloud: Cloud, resource: Resource) -> None:
    """Starts a database of Azure Managed Redis, or changes it."""
    inputs = resource.inputs
    persistence = inputs.get("persistence") or {}
    settings = {
        "maxmemory-policy": _hyphens(inputs.get("evictionPolicy", "VolatileLRU")),
        "appendonly": "yes" if persistence.get("aofEnabled") else "no",
    }
    shards = _SHARDS if inputs.get("clusteringPolicy", "OSSCluster") == "OSSCluster" else 0
    _serve(cloud, resource, ENTERPRISE_PORT, shards, settings, tls=inputs.get("clientProtocol") != "Plaintext")
    resource.outputs |= {"redisVersion": "8.0", "resourceState": "Running", "port": ENTERPRISE_PORT}
    resource.hidden["keys_on"] = inputs.get("accessKeysAuthentication") == "Enabled"
    _admit(cloud, resource)
    _replicate(cloud, [*_others(cloud, resource), resource])


def end_database(cloud: Cloud, resource: Resource) -> None:
    """Ends a database; the others of its group go on."""
    end(cloud, resource)
    _replicate(cloud, _others(cloud, resource), resource.hidden.pop("replicator", []))


def _group(resource: Resource) -> str | None:
    nickname = (resource.inputs.get("geoReplication") or {}).get("groupNickname")
    return None if nickname is None else str(nickname)


def _others(cloud: Cloud, resource: Resource) -> list[Resource]:
    """The other members of a database's group."""
    if (group := _group(resource)) is None:
        return []
    return [other for other in cloud.all(resource.token) if other.id != resource.id and _group(other) == group]


def _replicate(cloud: Cloud, members: list[Resource], running: Iterable[int] = ()) -> None:
    """Has the members of a group follow each other, and notes the replicator with the last of them."""
    if not members or (group := _group(members[-1])) is None:
        return
    servers.stop([*running, *(process for member in members for process in member.hidden.pop("replicator", []))])
    if len(members) > 1:
        places = [place_of(cloud, member) for member in members]
        members[-1].hidden["replicator"] = copying.start_mesh(cloud.folder / f"group-{group}", places)
    for member in members:
        linked = [{"id": each.id, "state": "Linked"} for each in members]
        member.outputs["geoReplication"] = {"groupNickname": group, "linkedDatabases": linked}
        cloud.save(member)


def make_cache(cloud: Cloud, resource: Resource) -> None:
    """Starts an Azure Cache for Redis, or changes it."""
    inputs = resource.inputs
    configuration = inputs.get("redisConfiguration") or {}
    settings = {"maxmemory-policy": configuration.get("maxmemoryPolicy", "volatile-lru")}
    if events := configuration.get("notifyKeyspaceEvents"):
        settings["notify-keyspace-events"] = events
    _serve(cloud, resource, CLASSIC_PORT, inputs.get("shardCount") or 0, settings, tls=True)
    resource.outputs |= {
        "hostName": servers.address_of(cloud.folder, resource.id),
        "sslPort": CLASSIC_PORT,
        "port": 6379,
        "redisVersion": "6.0",
        "type": "Microsoft.Cache/Redis",
        "accessKeys": {},
        "linkedServers": [],
        "instances": [],
    }
    resource.hidden["keys_on"] = not inputs.get("disableAccessKeyAuthentication")
    _admit(cloud, resource)


def end_cache(cloud: Cloud, resource: Resource) -> None:
    """Ends a cache, unless it is linked."""
    if is_linked(cloud, resource):
        raise ConflictError(f"{resource.id} can't be deleted while it is linked: unlink it first")
    end(cloud, resource)


def is_linked(cloud: Cloud, resource: Resource) -> bool:
    """Whether a cache follows another one, or has one that follows it."""
    return bool(resource.hidden.get("follows")) or any(each.hidden.get("follows") == resource.id for each in cloud.all(resource.token))


def _hyphens(policy: str) -> str:
    """AllKeysLRU as allkeys-lru."""
    for prefix in ("AllKeys", "Volatile", "No"):
        if policy.startswith(prefix):
            rest = policy.removeprefix(prefix).lower()
            return f"{prefix.lower()}{rest}" if prefix == "No" else f"{prefix.lower()}-{rest}"
    raise ConflictError(f"there is no eviction policy {policy}")


def _serve(cloud: Cloud, resource: Resource, port: int, shards: int, settings: dict[str, str], *, tls: bool) -> None:
    resource.hidden.setdefault("keys", {"primaryKey": secrets.token_urlsafe(32), "secondaryKey": secrets.token_urlsafe(32)})
    # Azure has an operation of its own to empty a group.
    without = {"rename-command FLUSHALL": '""', "rename-command FLUSHDB": '""'} if _group(resource) else {}
    serve(cloud, resource, {"shards": shards, "tls": tls, "port": port}, settings, without)


def _admit(cloud: Cloud, cache: Resource, changed: Resource | None = None, *, gone: bool = False) -> None:
    """Lets in who may be; `changed` is an assignment that comes or goes."""
    inside = [each for each in cloud.inside(cache.id) if each.token.endswith(":AccessPolicyAssignment")]
    inside = [each for each in inside if changed is None or each.id != changed.id]
    if changed is not None and not gone:
        inside.append(changed)
    users = [_user(cloud, cache, assignment) for assignment in inside]
    key = cache.hidden["keys"]["primaryKey"] if cache.hidden["keys_on"] else None
    servers.set_users(place_of(cloud, cache), key, users, only_read=only_read(cache))


def _user(cloud: Cloud, cache: Resource, assignment: Resource) -> User:
    inputs = assignment.inputs
    by = {"by": "entra", "cloud": str(cloud.folder)}
    if user := inputs.get("user"):
        return User(user["objectId"], _EVERYTHING, by)
    policy = inputs["accessPolicyName"]
    own = cloud.read(f"{cache.id}/accessPolicies/{policy}")
    return User(inputs["objectId"], f"{own.inputs['permissions']} +auth +hello" if own else _BUILT_IN[policy], by)


def _cache_of(cloud: Cloud, assignment: Resource) -> Resource:
    cache = cloud.read(assignment.id.rpartition("/accessPolicyAssignments/")[0])
    if cache is None:
        raise ConflictError(f"{assignment.id}: there is no such cache")
    return cache


def give_access(cloud: Cloud, assignment: Resource) -> None:
    """Lets somebody in."""
    cache = _cache_of(cloud, assignment)
    policy = assignment.inputs["accessPolicyName"]
    if "user" not in assignment.inputs and policy not in _BUILT_IN and cloud.read(f"{cache.id}/accessPolicies/{policy}") is None:
        raise ConflictError(f"there is no access policy {policy!r}")
    _admit(cloud, cache, assignment)


def take_access(cloud: Cloud, assignment: Resource) -> None:
    """Lets somebody in no more."""
    _admit(cloud, _cache_of(cloud, assignment), assignment, gone=True)


def _linked(cloud: Cloud, inputs: dict[str, Any], primary_id: str) -> tuple[Resource, Resource]:
    primary, secondary = cloud.read(primary_id), cloud.read(inputs["linkedRedisCacheId"])
    if primary is None or secondary is None:
        raise ConflictError(f"linkedRedisCacheId: {inputs['linkedRedisCacheId']} was not found")
    return primary, secondary


def link(cloud: Cloud, resource: Resource) -> None:
    """Makes one cache follow another, as Redis does."""
    primary, secondary = _linked(cloud, resource.inputs, resource.id.partition("/linkedServers/")[0])
    shards = [each.hidden["shape"]["shards"] for each in (primary, secondary)]
    if shards[0] != shards[1]:
        raise ConflictError(f"linkedRedisCacheId: it has {shards[1]} shards, and its primary {shards[0]}: both must have the same number")
    _follow(cloud, secondary, primary)
    host = primary.outputs["hostName"]
    resource.outputs |= {"primaryHostName": host, "geoReplicatedPrimaryHostName": host}


def unlink(cloud: Cloud, resource: Resource) -> None:
    """Lets it be a cache of its own."""
    _, secondary = _linked(cloud, resource.inputs, resource.id.partition("/linkedServers/")[0])
    _follow(cloud, secondary, None)


def _follow(cloud: Cloud, secondary: Resource, primary: Resource | None) -> None:
    follow(cloud, secondary, primary)
    _admit(cloud, secondary)
    cloud.save(secondary)


def list_database_keys(cloud: Cloud, args: dict[str, Any]) -> dict[str, Any]:
    """The access keys of Azure Managed Redis."""
    return _keys(cloud, f"/redisEnterprise/{args['clusterName']}/databases/{args['databaseName']}")


def list_redis_keys(cloud: Cloud, args: dict[str, Any]) -> dict[str, Any]:
    """The access keys of Azure Cache for Redis."""
    return _keys(cloud, f"/redis/{args['name']}")


def _keys(cloud: Cloud, ending: str) -> dict[str, Any]:
    found = [resource for resource in cloud.everything() if resource.id.lower().endswith(ending.lower())]
    if not found:
        raise ConflictError(f"{ending} was not found")
    [cache] = found
    if not cache.hidden["keys_on"]:
        raise ConflictError("access keys are disabled")
    return dict(cache.hidden["keys"])
