"""What stands behind Google's caches in the emulator: real servers, who may log in to them, and what follows what."""

from __future__ import annotations

import secrets
from typing import Any

from certificates import certify
from clouds.emulator import servers
from clouds.emulator.cloud import Cloud, ConflictError, Resource
from clouds.emulator.servers import Place, address_of

PORT, TLS_PORT, MEMCACHED_PORT = 6379, 6378, 11211
TOKEN_FILE = "access-token"


def make_valkey(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Valkey."""
    inputs = resource.inputs
    clustered = inputs.get("mode", "CLUSTER") == "CLUSTER"
    replicas = inputs.get("replicaCount") or 0
    shards = inputs["shardCount"] if clustered else 0
    iam = inputs.get("authorizationMode") == "IAM_AUTH"
    tls = inputs.get("transitEncryptionMode") == "SERVER_AUTHENTICATION"
    _serve(cloud, resource, "valkey", PORT, _settings(inputs, "engineConfigs"), tls=tls, shards=shards, replicas=min(replicas, 1))
    _admit(cloud, resource, _token(cloud) if iam else None)
    host = address_of(cloud.folder, resource.id)
    outputs = {"state": "ACTIVE", "uid": resource.hidden["uid"], "name": resource.id, "managedServerCas": _authorities(resource, tls)}
    # Its discoveryEndpoints are empty for endpoints that it makes itself.
    connections = [_connection("DISCOVERY" if clustered else "PRIMARY", host, inputs)]
    if replicas and not clustered:
        connections.append(_connection("READER", _reader(cloud, resource, "valkey", PORT, tls=tls), inputs))
    outputs["endpoints"] = [{"connections": connections}]
    resource.outputs |= outputs
    _replicate(cloud, resource, inputs.get("crossInstanceReplicationConfig") or {}, "instanceRole", "primaryInstance", "instance")


def make_redis_cluster(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Redis Cluster."""
    inputs = resource.inputs
    tls = inputs.get("transitEncryptionMode") == "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION"
    replicas = min(inputs.get("replicaCount") or 0, 1)
    settings = _settings(inputs, "redisConfigs")
    _serve(cloud, resource, "redis", PORT, settings, tls=tls, shards=inputs["shardCount"], replicas=replicas)
    _admit(cloud, resource, _token(cloud) if inputs.get("authorizationMode") == "AUTH_MODE_IAM_AUTH" else None)
    resource.outputs |= {
        "state": "ACTIVE",
        "uid": resource.hidden["uid"],
        "managedServerCas": _authorities(resource, tls),
        "discoveryEndpoints": [{"address": address_of(cloud.folder, resource.id), "port": PORT, "pscConfig": inputs["pscConfigs"][0]}],
    }


def make_redis_instance(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Redis."""
    inputs = resource.inputs
    tls = inputs.get("transitEncryptionMode") == "SERVER_AUTHENTICATION"
    port = TLS_PORT if tls else PORT
    _serve(cloud, resource, "redis", port, _settings(inputs, "redisConfigs"), tls=tls)
    password = resource.hidden.setdefault("password", secrets.token_urlsafe(27)) if inputs.get("authEnabled") else None
    _admit(cloud, resource, password)
    outputs: dict[str, Any] = {"host": address_of(cloud.folder, resource.id), "port": port, "authString": password or ""}
    outputs["serverCaCerts"] = [{"cert": resource.hidden["authority_pem"], "sha1Fingerprint": "", "serialNumber": ""}] if tls else []
    if inputs.get("readReplicasMode") == "READ_REPLICAS_ENABLED":
        outputs |= {"readEndpoint": _reader(cloud, resource, "redis", port, tls=tls), "readEndpointPort": port}
    resource.outputs |= outputs


def make_memcached(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Memcached."""
    addresses = [address_of(cloud.folder, f"{resource.id}/{number}") for number in range(resource.inputs["nodeCount"])]
    running: dict[str, int] = resource.hidden.setdefault("nodes", {})
    servers.stop(running.pop(gone) for gone in set(running) - set(addresses))
    for address in addresses:
        running[address] = running.get(address) or servers.start_memcached(address, MEMCACHED_PORT, 64)
    resource.hidden["processes"] = list(running.values())
    nodes = [{"host": address, "port": MEMCACHED_PORT, "nodeId": str(number), "state": "READY"} for number, address in enumerate(addresses)]
    resource.outputs |= {"memcacheNodes": nodes, "discoveryEndpoint": f"{addresses[0]}:{MEMCACHED_PORT}"}


def end(cloud: Cloud, resource: Resource) -> None:
    """Ends a cache's servers, unless they are protected."""
    if resource.inputs.get("deletionProtectionEnabled") or resource.inputs.get("deletionProtection"):
        raise ConflictError(f"{resource.id} is protected from deletion: set deletionProtection to false and apply that first")
    servers.stop([*resource.hidden.get("processes", []), *resource.hidden.get("reader", [])])


def _serve(
    cloud: Cloud, resource: Resource, engine: str, port: int, settings: dict[str, str], *, tls: bool, shards: int = 0, replicas: int = 0
) -> None:
    hidden = resource.hidden
    hidden.setdefault("uid", secrets.token_hex(8))
    hidden.setdefault("admin_password", secrets.token_urlsafe(32))
    shape = {"engine": engine, "port": port, "tls": tls, "shards": shards, "replicas": replicas}
    if hidden.get("processes") and hidden["shape"] == shape:
        servers.configure(_place(cloud, resource), settings)
        return
    # The real service moves data when it is scaled; here a cluster of another shape begins empty, and says so.
    servers.stop(hidden.get("processes", []))
    hidden["shape"] = shape
    place = _place(cloud, resource)
    certified = certify(f"IP:{place.address}")
    hidden["processes"] = servers.start(place, certified, settings)
    hidden["authority_pem"] = certified.authority_pem
    with (cloud.folder / "authorities.pem").open("a") as authorities:
        authorities.write(certified.authority_pem)


def _place(cloud: Cloud, resource: Resource, address: str = "") -> Place:
    address = address or address_of(cloud.folder, resource.id)
    hidden = resource.hidden
    return Place(cloud.folder / address, address, resource_type=resource.token, admin_password=hidden["admin_password"], **hidden["shape"])


def _reader(cloud: Cloud, resource: Resource, engine: str, port: int, *, tls: bool) -> str:
    """A replica behind an address of its own."""
    address = address_of(cloud.folder, f"{resource.id}/reader")
    place = _place(cloud, resource, address)
    if not resource.hidden.get("reader"):
        certified = certify(f"IP:{address}")
        resource.hidden["reader"] = servers.start(place, certified, {})
        # Clients have one authority for both.
        resource.hidden["authority_pem"] += certified.authority_pem
        with (cloud.folder / "authorities.pem").open("a") as authorities:
            authorities.write(certified.authority_pem)
        servers.follow(place, _place(cloud, resource))
    password = resource.hidden.get("admitted")
    servers.set_users(place, password, open_to_all=password is None)
    return address


def _admit(cloud: Cloud, resource: Resource, password: str | None) -> None:
    """The default user, with a password or, where the service has no logins, without."""
    resource.hidden["admitted"] = password
    servers.set_users(_place(cloud, resource), password, open_to_all=password is None)


def _token(cloud: Cloud) -> str:
    """What IAM would sign: here one token for all, in a file from which clients of this machine take it."""
    file = cloud.folder / TOKEN_FILE
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o600)
        file.write_text(secrets.token_urlsafe(32))
    return file.read_text()


def _settings(inputs: dict[str, Any], key: str) -> dict[str, str]:
    modes = inputs.get("persistenceConfig") or {}
    return {"appendonly": "yes" if modes.get("mode") == "AOF" else "no", **(inputs.get(key) or {})}


def _authorities(resource: Resource, tls: bool) -> list[dict[str, Any]]:
    return [{"caCerts": [{"certificates": [resource.hidden["authority_pem"]]}]}] if tls else []


def _network(inputs: dict[str, Any]) -> str:
    return str((inputs.get("desiredAutoCreatedEndpoints") or [{}])[0].get("network", ""))


def _connection(kind: str, address: str, inputs: dict[str, Any]) -> dict[str, Any]:
    where = {"connectionType": f"CONNECTION_TYPE_{kind}", "ipAddress": address, "port": PORT, "network": _network(inputs)}
    return {"pscAutoConnection": where}


def _replicate(cloud: Cloud, resource: Resource, config: dict[str, Any], role: str, primary: str, key: str) -> None:
    """Makes one instance follow another, as its engine does."""
    if resource.hidden["shape"]["shards"]:
        if config.get(role) == "SECONDARY":
            raise ConflictError(f"{role}: clusters are not replicated across regions by the emulator")
        return
    following = resource.hidden.get("follows")
    wanted = (config.get(primary) or {}).get(key) if config.get(role) == "SECONDARY" else None
    if wanted == following:
        return
    other = cloud.read(wanted) if wanted else None
    if wanted and other is None:
        raise ConflictError(f"{primary}: {wanted} was not found")
    servers.follow(_place(cloud, resource), _place(cloud, other) if other else None)
    resource.hidden["follows"] = wanted
