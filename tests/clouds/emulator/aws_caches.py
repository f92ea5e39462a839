"""What stands behind ElastiCache in the emulator: real servers, who may log in to them, and what follows what."""

from __future__ import annotations

from typing import Any

from clouds.emulator import servers
from clouds.emulator.cloud import Cloud, ConflictError, Problems, Resource
from clouds.emulator.servers import MEMCACHED_PORT, User, address_of
from clouds.emulator.serving import end, follow, only_read, place_of, serve, serve_memcached, start_reader

PORT = 6379
GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
SERVERLESS = "aws:elasticache/serverlessCache:ServerlessCache"
GLOBAL = "aws:elasticache/globalReplicationGroup:GlobalReplicationGroup"
USER = "aws:elasticache/user:User"
USER_GROUP = "aws:elasticache/userGroup:UserGroup"
PARAMETERS = "aws:elasticache/parameterGroup:ParameterGroup"


def make_group(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a replication group; one that joins a global datastore follows its primary."""
    inputs, hidden = resource.inputs, resource.hidden
    primary = None
    if (joined := inputs.get("globalReplicationGroupId")) and "inherited" not in hidden:
        primary = _leader(cloud, _datastore(cloud, joined))
        hidden["inherited"] = own(primary)
        hidden["of_datastore"] = primary.hidden["of_datastore"]
    told = own(resource)
    shards = told.get("numNodeGroups") or 0
    replicas = (told.get("replicasPerNodeGroup") if shards else (told.get("numCacheClusters") or 1) - 1) or 0
    # More than one replica would only be more processes.
    nodes = {"shards": shards, "replicas": min(replicas, 1) if shards else 0}
    shape = {"engine": told["engine"], "port": PORT, "tls": bool(told.get("transitEncryptionEnabled")), **nodes}
    serve(cloud, resource, shape, _settings(cloud, told.get("parameterGroupName")))
    if primary:
        follow(cloud, resource, primary)
    readers = [] if shards or not replicas else [start_reader(cloud, resource).address]
    admit(cloud, resource)
    host = address_of(cloud.folder, resource.id)
    endpoints = {"configurationEndpointAddress": host} if shards else {"primaryEndpointAddress": host}
    arn = f"arn:aws:elasticache:{inputs.get('region')}:replicationgroup:{resource.id}"
    resource.outputs = {**inputs, **hidden.get("of_datastore", {}), "arn": arn, **endpoints}
    if not shards:
        resource.outputs["readerEndpointAddress"] = readers[0] if readers else host


def end_group(cloud: Cloud, resource: Resource) -> None:
    """Ends its servers, unless others follow them."""
    for datastore in cloud.all(GLOBAL):
        if _leader(cloud, datastore).id == resource.id:
            raise ConflictError(f"InvalidReplicationGroupState: {resource.id} is the primary of {datastore.id}")
    end(cloud, resource)


def group_conflicts(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
    """A member of a global datastore is not scaled or upgraded alone."""
    group = cloud.read(f"{inputs.get('region')}/replicationgroup/{inputs['replicationGroupId']}")
    if group and "of_datastore" in group.hidden:
        for key in ("nodeType", "engineVersion", "numNodeGroups"):
            if inputs.get(key) != group.inputs.get(key):
                yield key, "can't be changed of a member of a global datastore: change the datastore"


def end_global(cloud: Cloud, resource: Resource) -> None:
    """Forgets it, unless there are others than the primary in it."""
    leader, *others = _members(cloud, resource)
    if others:
        raise ConflictError(f"InvalidGlobalReplicationGroupState: {', '.join(each.id for each in others)} are in {resource.id}")
    leader.inputs |= leader.hidden.pop("of_datastore")
    cloud.save(leader)


def promote(cloud: Cloud, group_id: str) -> str:
    """Makes a group the primary of its global datastore, as FailoverGlobalReplicationGroup does. Returns the one before, which follows."""
    group = cloud.read(group_id)
    primary = cloud.read(group.hidden["follows"]) if group and group.hidden.get("follows") else None
    if group is None or primary is None:
        following = [each.id for each in cloud.all(GROUP) if each.hidden.get("follows")]
        raise ConflictError(f"{group_id} follows none, only {', '.join(following) or 'nothing'} does")
    [datastore] = [each for each in cloud.all(GLOBAL) if _leader(cloud, each).id == primary.id]
    others = [each for each in _members(cloud, datastore) if each.id != group.id]
    follow(cloud, group, None)
    for other in others:
        follow(cloud, other, group)
    datastore.hidden["leader"] = group.id
    # What a refresh finds.
    for known in (datastore.inputs, datastore.outputs):
        known["primaryReplicationGroupId"] = group.id
    cloud.save(datastore)
    for member in (group, *others):
        cloud.save(member)
        if servers.run(member.hidden["processes"]):
            admit(cloud, member)
    return primary.id


def own(resource: Resource) -> dict[str, Any]:
    """What a group is: its inputs, what it had from its primary when it joined that, and what its datastore was given since."""
    given = {key: value for key, value in resource.inputs.items() if value is not None}
    return {**resource.hidden.get("inherited", {}), **given, **resource.hidden.get("of_datastore", {})}


def make_serverless(cloud: Cloud, resource: Resource) -> None:
    """Starts a serverless cache: a cluster of one shard."""
    engine = resource.inputs["engine"]
    port = PORT
    if engine == "memcached":
        port = MEMCACHED_PORT
        serve_memcached(cloud, resource, [address_of(cloud.folder, resource.id)], tls=True)
    else:
        serve(cloud, resource, {"engine": engine, "port": PORT, "tls": True, "shards": 1}, {})
        admit(cloud, resource)
    endpoint = {"address": address_of(cloud.folder, resource.id), "port": port}
    resource.outputs = {**resource.inputs, "status": "available", "endpoints": [endpoint], "readerEndpoints": [endpoint]}


def make_memcached(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a cluster of Memcached."""
    addresses = [address_of(cloud.folder, f"{resource.id}/{number}") for number in range(resource.inputs["numCacheNodes"])]
    serve_memcached(cloud, resource, addresses, tls=bool(resource.inputs.get("transitEncryptionEnabled")))
    nodes = [{"address": address, "port": MEMCACHED_PORT, "id": f"{number:04d}"} for number, address in enumerate(addresses, 1)]
    resource.outputs = {**resource.inputs, "cacheNodes": nodes}


def make_global(cloud: Cloud, resource: Resource) -> None:
    """Gives every member what it is given, the primary first."""
    inputs = resource.inputs
    # Who leads is not changed by a change of something else.
    inputs["primaryReplicationGroupId"] = resource.hidden.setdefault("leader", inputs["primaryReplicationGroupId"])
    names = {"cacheNodeType": "nodeType", "engine": "engine", "engineVersion": "engineVersion", "numNodeGroups": "numNodeGroups"}
    given = {name: inputs[key] for key, name in names.items() if inputs.get(key) is not None}
    for member in _members(cloud, resource):
        if member.hidden.get("of_datastore") != given:
            member.hidden["of_datastore"] = given
            make_group(cloud, member)
            cloud.save(member)
    resource.outputs = {**inputs, "globalReplicationGroupId": _global_id(resource)}


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
    # The default user, where the group names none, is off.
    users = [user for user in users if user.name != "default"]
    for part in ("", *(["/reader"] if resource.hidden.get("reader") else [])):
        servers.set_users(place_of(cloud, resource, part), None, users, open_to_all=not groups, only_read=only_read(resource))


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


def _settings(cloud: Cloud, group: str | None) -> dict[str, str]:
    found = [each.inputs for each in cloud.all(PARAMETERS) if each.inputs.get("name") == group]
    # Of a server that runs.
    fixed = {"cluster-enabled", "reserved-memory-percent"}
    return {each["name"]: each["value"] for inputs in found[:1] for each in inputs.get("parameters") or [] if each["name"] not in fixed}


def _datastore(cloud: Cloud, global_id: str) -> Resource:
    for datastore in cloud.all(GLOBAL):
        if _global_id(datastore) == global_id:
            return datastore
    raise ConflictError(f"GlobalReplicationGroupNotFound: {global_id}")


def _global_id(datastore: Resource) -> str:
    return datastore.id.rpartition("/")[2]


def _members(cloud: Cloud, datastore: Resource) -> list[Resource]:
    """The groups of a global datastore, who leads it first."""
    leader = _leader(cloud, datastore)
    return [leader, *(each for each in cloud.all(GROUP) if each.hidden.get("follows") == leader.id)]


def _leader(cloud: Cloud, datastore: Resource) -> Resource:
    for group in cloud.all(GROUP):
        if datastore.inputs["primaryReplicationGroupId"] in (group.id, group.id.rpartition("/")[2]):
            return group
    raise ConflictError(f"ReplicationGroupNotFound: {datastore.inputs['primaryReplicationGroupId']}")
