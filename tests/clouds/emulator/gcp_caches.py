"""What stands behind Google's caches in the emulator: real servers, who may log in to them, and what follows what."""

from __future__ import annotations

import secrets
from typing import Any

from clouds.emulator import servers
from clouds.emulator.cloud import Cloud, ConflictError, Resource
from clouds.emulator.servers import MEMCACHED_PORT, address_of
from clouds.emulator.serving import end as end_servers
from clouds.emulator.serving import follow, only_read, place_of, serve, serve_memcached, start_reader

PORT, TLS_PORT = 6379, 6378
TOKEN_FILE = "access-token"


def make_valkey(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Valkey."""
    inputs = resource.inputs
    clustered = inputs.get("mode", "CLUSTER") == "CLUSTER"
    replicas = inputs.get("replicaCount") or 0
    shards = inputs["shardCount"] if clustered else 0
    nodes = {"shards": shards, "replicas": min(replicas, 1) if clustered else 0}
    iam = inputs.get("authorizationMode") == "IAM_AUTH"
    tls = inputs.get("transitEncryptionMode") == "SERVER_AUTHENTICATION"
    serve(cloud, resource, {"engine": "valkey", "port": PORT, "tls": tls, **nodes}, _settings(inputs, "engineConfigs"))
    _replicate(cloud, resource, inputs.get("crossInstanceReplicationConfig") or {}, "instanceRole", "primaryInstance", "instance")
    _admit(cloud, resource, _token(cloud) if iam else None)
    host = address_of(cloud.folder, resource.id)
    # Its discoveryEndpoints are empty for endpoints that it makes itself.
    connections = [_connection("DISCOVERY" if clustered else "PRIMARY", host, inputs)]
    if replicas and not clustered:
        connections.append(_connection("READER", _reader(cloud, resource), inputs))
    resource.outputs |= {**_made(cloud, resource), "name": resource.id, "endpoints": [{"connections": connections}]}


def make_redis_cluster(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Redis Cluster."""
    inputs = resource.inputs
    tls = inputs.get("transitEncryptionMode") == "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION"
    nodes = {"shards": inputs["shardCount"], "replicas": min(inputs.get("replicaCount") or 0, 1)}
    serve(cloud, resource, {"engine": "redis", "port": PORT, "tls": tls, **nodes}, _settings(inputs, "redisConfigs"))
    _replicate(cloud, resource, inputs.get("crossClusterReplicationConfig") or {}, "clusterRole", "primaryCluster", "cluster")
    _admit(cloud, resource, _token(cloud) if inputs.get("authorizationMode") == "AUTH_MODE_IAM_AUTH" else None)
    resource.outputs |= {
        **_made(cloud, resource),
        "discoveryEndpoints": [{"address": address_of(cloud.folder, resource.id), "port": PORT, "pscConfig": inputs["pscConfigs"][0]}],
    }


def make_redis_instance(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Redis."""
    inputs = resource.inputs
    tls = inputs.get("transitEncryptionMode") == "SERVER_AUTHENTICATION"
    port = TLS_PORT if tls else PORT
    serve(cloud, resource, {"engine": "redis", "port": port, "tls": tls}, _settings(inputs, "redisConfigs"))
    password = resource.hidden.setdefault("password", secrets.token_urlsafe(27)) if inputs.get("authEnabled") else None
    _admit(cloud, resource, password)
    outputs: dict[str, Any] = {"host": address_of(cloud.folder, resource.id), "port": port, "authString": password or ""}
    if inputs.get("readReplicasMode") == "READ_REPLICAS_ENABLED":
        outputs |= {"readEndpoint": _reader(cloud, resource), "readEndpointPort": port}
    outputs["serverCaCerts"] = [{"cert": _authorities(cloud, resource), "sha1Fingerprint": "", "serialNumber": ""}] if tls else []
    resource.outputs |= outputs


def make_memcached(cloud: Cloud, resource: Resource) -> None:
    """Starts or changes a Memorystore for Memcached."""
    addresses = [address_of(cloud.folder, f"{resource.id}/{number}") for number in range(resource.inputs["nodeCount"])]
    serve_memcached(cloud, resource, addresses, tls=False)
    nodes = [{"host": address, "port": MEMCACHED_PORT, "nodeId": str(number), "state": "READY"} for number, address in enumerate(addresses)]
    resource.outputs |= {"memcacheNodes": nodes, "discoveryEndpoint": f"{addresses[0]}:{MEMCACHED_PORT}"}


def end(cloud: Cloud, resource: Resource) -> None:
    """Ends a cache's servers, unless they are protected."""
    if resource.inputs.get("deletionProtectionEnabled") or resource.inputs.get("deletionProtection"):
        raise ConflictError(f"{resource.id} is protected from deletion: set deletionProtection to false and apply that first")
    end_servers(cloud, resource)


def _reader(cloud: Cloud, resource: Resource) -> str:
    place = start_reader(cloud, resource)
    password = resource.hidden.get("admitted")
    servers.set_users(place, password, open_to_all=password is None)
    return place.address


def _admit(cloud: Cloud, resource: Resource, password: str | None) -> None:
    """The default user, with a password or, where the service has no logins, without."""
    resource.hidden["admitted"] = password
    servers.set_users(place_of(cloud, resource), password, open_to_all=password is None, only_read=only_read(resource))


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


def _made(cloud: Cloud, resource: Resource) -> dict[str, Any]:
    """What only comes back."""
    authorities = [{"caCerts": [{"certificates": [_authorities(cloud, resource)]}]}] if resource.hidden["shape"]["tls"] else []
    return {"state": "ACTIVE", "uid": resource.hidden.setdefault("uid", secrets.token_hex(8)), "managedServerCas": authorities}


def _authorities(cloud: Cloud, resource: Resource) -> str:
    """What clients trust: those of a cache, and of its reader."""
    places = [place_of(cloud, resource, part) for part in ("", *(["/reader"] if resource.hidden.get("reader") else []))]
    return "".join((place.folder / "ca.crt").read_text() for place in places)


def _network(inputs: dict[str, Any]) -> str:
    return str((inputs.get("desiredAutoCreatedEndpoints") or [{}])[0].get("network", ""))


def _connection(kind: str, address: str, inputs: dict[str, Any]) -> dict[str, Any]:
    where = {"connectionType": f"CONNECTION_TYPE_{kind}", "ipAddress": address, "port": PORT, "network": _network(inputs)}
    return {"pscAutoConnection": where}


def _replicate(cloud: Cloud, resource: Resource, config: dict[str, Any], role: str, primary: str, key: str) -> None:
    """Makes one follow another, or ends that."""
    wanted = (config.get(primary) or {}).get(key) if config.get(role) == "SECONDARY" else None
    if wanted == resource.hidden.get("follows"):
        return
    other = cloud.read(wanted) if wanted else None
    if wanted and other is None:
        raise ConflictError(f"{primary}: {wanted} was not found")
    follow(cloud, resource, other)
