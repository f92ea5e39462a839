"""What stands behind ElastiCache in the emulator: real servers, who may log in to them, and what follows what."""

from __future__ import annotations

import secrets
from typing import Any

from certificates import certify
from clouds.emulator import servers
from clouds.emulator.cloud import Cloud, ConflictError, Resource
from clouds.emulator.servers import Place, User, address_of

PORT, MEMCACHED_PORT = 6379, 11211
GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
SERVERLESS = "aws:elasticache/serverlessCache:ServerlessCache"
GLOBAL = "aws:elasticache/globalReplicationGroup:GlobalReplicationGroup"
USER = "aws:elasticache/user:User"
USER_GROUP = "aws:elasticache/userGroup:UserGroup"
PARAMETERS = "aws:elasticache/parameterGroup:ParameterGroup"


def make_group(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a replication group; one that joins a global datastore follows its primary."""
    inputs = resource.inputs
    own = inputs
    primary = None
    if joined := inputs.get("globalReplicationGroupId"):
        primary = _primary_of(cloud, joined)
        own = {**primary.inputs, **{key: value for key, value in inputs.items() if value is not None}}
    shards = own.get("numNodeGroups") or 0
    replicas = (own.get("replicasPerNodeGroup") if shards else (own.get("numCacheClusters") or 1) - 1) or 0
    tls = bool(own.get("transitEncryptionEnabled"))
    # More than one replica would only be more processes.
    _serve(cloud, resource, own["engine"], tls=tls, shards=shards, replicas=min(replicas, 1) if shards else 0)
    servers.configure(_place(cloud, resource), _settings(cloud, own.get("parameterGroupName")))
    readers = [] if shards or not replicas else [_reader(cloud, resource)]
    admit(cloud, resource)
    host = address_of(cloud.folder, resource.id)
    endpoints = {"configurationEndpointAddress": host} if shards else {"primaryEndpointAddress": host}
    resource.outputs = {**inputs, "arn": f"arn:aws:elasticache:{inputs.get('region')}:replicationgroup:{resource.id}", **endpoints}
    if not shards:
        resource.outputs["readerEndpointAddress"] = readers[0] if readers else host
    if primary is not None and not resource.hidden.get("follows"):
        if shards:
            raise ConflictError("globalReplicationGroupId: clusters are not replicated across regions by the emulator")
        servers.follow(_place(cloud, resource), _place(cloud, primary))
        resource.hidden["follows"] = primary.id


def make_serverless(cloud: Cloud, resource: Resource) -> None:
    """Starts a serverless cache: a cluster of one shard."""
    engine = resource.inputs["engine"]
    if engine == "memcached":
        raise ConflictError("a serverless Memcached is not emulated")
    _serve(cloud, resource, engine, tls=True, shards=1, replicas=0)
    admit(cloud, resource)
    endpoint = {"address": address_of(cloud.folder, resource.id), "port": PORT}
    resource.outputs = {**resource.inputs, "status": "available", "endpoints": [endpoint], "readerEndpoints": [endpoint]}


def make_memcached(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a cluster of Memcached."""
    if resource.inputs.get("transitEncryptionEnabled"):
        raise ConflictError("Memcached with TLS is not emulated: give tls: false")
    addresses = [address_of(cloud.folder, f"{resource.id}/{number}") for number in range(resource.inputs["numCacheNodes"])]
    running: dict[str, int] = resource.hidden.setdefault("nodes", {})
    servers.stop(running.pop(gone) for gone in set(running) - set(addresses))
    for address in addresses:
        running[address] = running.get(address) or servers.start_memcached(address, MEMCACHED_PORT, 64)
    resource.hidden["processes"] = list(running.values())
    nodes = [{"address": address, "port": MEMCACHED_PORT, "id": f"{number:04d}"} for number, address in enumerate(addresses, 1)]
    resource.outputs = {**resource.inputs, "cacheNodes": nodes}


def make_global(cloud: Cloud, resource: Resource) -> None:
    """Notes what it is called."""
    resource.outputs = {**resource.inputs, "globalReplicationGroupId": resource.id.rpartition("/")[2]}


def make_login(cloud: Cloud, resource: Resource) -> None:
    """Notes a user or a group of users, and lets the caches know."""
    resource.outputs = {**resource.inputs, "arn": f"arn:aws:elasticache:{resource.inputs.get('region')}:{resource.id}"}
    cloud.save(resource)
    for token in (GROUP, SERVERLESS):
        for cache in cloud.all(token):
            admit(cloud, cache)


def admit(cloud: Cloud, resource: Resource) -> None:
    """The users of the cache's group; everybody when it has none."""
    inputs = resource.inputs
    groups = inputs.get("userGroupIds") or [inputs[key] for key in ("userGroupId",) if inputs.get(key)]
    users = [] if not groups else [_user(resource, user) for user in _users(cloud, inputs.get("region"), groups[0])]
    everywhere = [_place(cloud, resource)]
    if resource.hidden.get("reader"):
        everywhere.append(_place(cloud, resource, address_of(cloud.folder, f"{resource.id}/reader")))
    for place in everywhere:
        # The default user, where the group names none, is off.
        servers.set_users(place, None, [user for user in users if user.name != "default"], open_to_all=not groups)


def end(cloud: Cloud, resource: Resource) -> None:
    """Ends a cache's servers."""
    servers.stop([*resource.hidden.get("processes", []), *resource.hidden.get("reader", [])])


def _users(cloud: Cloud, region: Any, group_id: str) -> list[dict[str, Any]]:
    group = cloud.read(f"{region}/usergroup/{group_id}")
    if group is None:
        raise ConflictError(f"UserGroupNotFound: {group_id}")
    found = [cloud.read(f"{region}/user/{user_id}") for user_id in group.inputs.get("userIds") or []]
    return [user.inputs for user in found if user is not None]


def _user(cache: Resource, user: dict[str, Any]) -> User:
    mode = user.get("authenticationMode") or {}
    if mode.get("type") == "iam":
        region, _, name = cache.id.split("/")
        wanted = {"cache": name.lower(), "region": region, "serverless": cache.token == SERVERLESS}
        return User(user["userName"], user["accessString"], {"by": "iam", **wanted})
    passwords = [f">{password}" for password in mode.get("passwords") or []]
    return User(user["userName"], " ".join([*(passwords or ["nopass"]), user["accessString"]]))


def _serve(cloud: Cloud, resource: Resource, engine: str, *, tls: bool, shards: int, replicas: int) -> None:
    hidden = resource.hidden
    hidden.setdefault("admin_password", secrets.token_urlsafe(32))
    shape = {"engine": engine, "port": PORT, "tls": tls, "shards": shards, "replicas": replicas}
    if hidden.get("processes") and hidden["shape"] == shape:
        return
    # AWS moves data when it changes a group; here one of another shape begins empty.
    end(cloud, resource)
    hidden.pop("reader", None)
    hidden["shape"] = shape
    hidden["processes"] = _start(cloud, _place(cloud, resource))


def _start(cloud: Cloud, place: Place) -> list[int]:
    certified = certify(f"IP:{place.address}")
    with (cloud.folder / "authorities.pem").open("a") as authorities:
        authorities.write(certified.authority_pem)
    return servers.start(place, certified, {})


def _place(cloud: Cloud, resource: Resource, address: str = "") -> Place:
    address = address or address_of(cloud.folder, resource.id)
    hidden = resource.hidden
    return Place(cloud.folder / address, address, resource_type=resource.token, admin_password=hidden["admin_password"], **hidden["shape"])


def _reader(cloud: Cloud, resource: Resource) -> str:
    """A replica behind an address of its own."""
    place = _place(cloud, resource, address_of(cloud.folder, f"{resource.id}/reader"))
    if not resource.hidden.get("reader"):
        resource.hidden["reader"] = _start(cloud, place)
        servers.follow(place, _place(cloud, resource))
    return place.address


def _settings(cloud: Cloud, group: str | None) -> dict[str, str]:
    found = [each.inputs for each in cloud.all(PARAMETERS) if each.inputs.get("name") == group]
    # Of a server that runs.
    fixed = {"cluster-enabled", "reserved-memory-percent"}
    return {each["name"]: each["value"] for inputs in found[:1] for each in inputs.get("parameters") or [] if each["name"] not in fixed}


def _primary_of(cloud: Cloud, global_id: str) -> Resource:
    for datastore in cloud.all(GLOBAL):
        if datastore.outputs["globalReplicationGroupId"] == global_id:
            for group in cloud.all(GROUP):
                if group.id.rpartition("/")[2] == datastore.inputs["primaryReplicationGroupId"].rpartition("/")[2]:
                    return group
    raise ConflictError(f"GlobalReplicationGroupNotFound: {global_id}")
