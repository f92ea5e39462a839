"""Azure's resources of its two Redis services, as far as the components use them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from azure.mgmt.redis import models as classic_models
from azure.mgmt.redis.operations import _access_policy_assignment_operations as classic_assignments
from azure.mgmt.redis.operations import _access_policy_operations as classic_policies
from azure.mgmt.redis.operations import _firewall_rules_operations as firewall_rules
from azure.mgmt.redis.operations import _linked_server_operations as linked_servers
from azure.mgmt.redis.operations import _patch_schedules_operations as patch_schedules
from azure.mgmt.redis.operations import _redis_operations as classic_caches
from azure.mgmt.redisenterprise import models
from azure.mgmt.redisenterprise.operations import _access_policy_assignment_operations as assignments
from azure.mgmt.redisenterprise.operations import _databases_operations as databases
from azure.mgmt.redisenterprise.operations import _redis_enterprise_operations as clusters
from clouds.emulator import azure_caches, azure_models, azure_network, azure_rules
from clouds.emulator.cloud import Cloud, Kind, Problems, Resource
from clouds.emulator.servers import address_of

SUBSCRIPTION = "00000000-0000-4000-8000-000000000000"
_PREFIX = "azure-native"
ENTERPRISE, DATABASE = f"{_PREFIX}:redisenterprise:RedisEnterprise", f"{_PREFIX}:redisenterprise:Database"
CLASSIC = f"{_PREFIX}:redis:Redis"
# What can't be changed in place, besides where and what a resource is.
_CREATE_ONLY = {"location", "zones"}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _id(request: Callable[..., Any]) -> Callable[[Cloud, dict[str, Any]], str]:
    """A resource's id: what the vendor's package calls, without the host."""

    def made(cloud: Cloud, inputs: dict[str, Any]) -> str:
        parts = {_snake(key): inputs[key] for key in azure_models.path_parts(request)}
        if "subscription_id" in inspect.signature(request).parameters:
            parts["subscription_id"] = cloud.config.get("subscriptionId") or SUBSCRIPTION
        return str(request(**parts).url).partition("?")[0]

    return made


def _kind(
    request: Callable[..., Any],
    model: type,
    rules: Callable[[dict[str, Any]], Problems] = lambda _: iter(()),
    replaces: frozenset[str] = frozenset(),
    **behaviour: Any,
) -> Kind:
    """A kind of which Azure publishes a model."""
    parts = azure_models.path_parts(request)

    def problems(inputs: dict[str, Any]) -> Problems:
        yield from azure_models.path_problems(request, inputs)
        yield from ((part, "is required") for part in parts if part not in inputs)
        properties = {key: value for key, value in inputs.items() if key not in parts}
        yield from azure_models.problems(model, properties)
        yield from rules(inputs)

    def note(cloud: Cloud, resource: Resource) -> None:
        # What is written in a resource's address does not come back as a property.
        resource.outputs |= {key: value for key, value in resource.inputs.items() if key not in parts}
        resource.outputs |= {"name": _id(request)(cloud, resource.inputs).rpartition("/")[2], "provisioningState": "Succeeded"}
        make(cloud, resource)

    make: Callable[[Cloud, Resource], None] = behaviour.pop("make", lambda *_: None)
    return Kind(_id(request), frozenset(parts) | _CREATE_ONLY | replaces, problems, make=note, **behaviour)


def _cluster_made(cloud: Cloud, resource: Resource) -> None:
    highly = resource.inputs.get("highAvailability") != "Disabled"
    resource.outputs |= {
        "hostName": address_of(cloud.folder, resource.id),
        "redisVersion": "8.0",
        "resourceState": "Running",
        "redundancyMode": "ZR" if highly else "None",
        "kind": "v2",
        "type": "Microsoft.Cache/redisEnterprise",
        "privateEndpointConnections": [],
    }
    if identity := resource.inputs.get("identity"):
        resource.outputs["identity"] = _identity(identity)


def _identity(identity: dict[str, Any]) -> dict[str, Any]:
    """Azure answers with a mapping where the SDK takes a list."""
    assigned = {key: {"clientId": SUBSCRIPTION, "principalId": SUBSCRIPTION} for key in identity.get("userAssignedIdentities") or []}
    return {**identity, "userAssignedIdentities": assigned, "tenantId": SUBSCRIPTION, "principalId": ""}


def _database_conflicts(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
    own_id = _id(databases.build_create_request)(cloud, inputs)
    cluster = cloud.read(own_id.removesuffix(f"/databases/{inputs['databaseName']}"))
    if cluster is None:
        yield "clusterName", f"there is no cluster {inputs['clusterName']!r} in resource group {inputs['resourceGroupName']!r}"
        return
    yield from azure_rules.database_in(cluster.inputs, inputs)
    if geo := inputs.get("geoReplication"):
        others = [each["id"] for each in geo["linkedDatabases"] if each["id"].lower() != own_id.lower()]
        if len(others) == len(geo["linkedDatabases"]):
            yield "geoReplication.linkedDatabases", "does not name the database itself"
        found = [(other, cloud.read(other.rpartition("/databases/")[0]), cloud.read(other)) for other in others]
        if missing := [other for other, _, database in found if database is None]:
            yield "geoReplication.linkedDatabases", f"{missing[0]} was not found"
        known = [(other, where.inputs, database.inputs) for other, where, database in found if where and database]
        yield from azure_rules.geo_group(known, cluster.inputs, inputs)


def _classic_conflicts(cloud: Cloud, inputs: dict[str, Any]) -> Problems:
    own_id = _id(classic_caches.build_create_request)(cloud, inputs)
    for other in cloud.all(CLASSIC):
        if other.id.lower() != own_id.lower() and other.outputs["name"].lower() == inputs["name"].lower():
            yield "name", f"{inputs['name']!r} is taken: a name is unique in all of Azure"
    if (cache := cloud.read(own_id)) and azure_caches.is_linked(cloud, cache):
        for key in ("sku", "shardCount"):
            if cache.inputs.get(key) != inputs.get(key):
                yield key, "can't be changed while the cache is linked: unlink it first"


def _assignment_rules(inputs: dict[str, Any]) -> Problems:
    yield from azure_rules.object_id("user.objectId", (inputs.get("user") or {}).get("objectId"))
    if inputs.get("accessPolicyName") not in (None, "default"):
        yield "accessPolicyName", f"{inputs['accessPolicyName']!r} must be default"


KINDS: dict[str, Kind] = {
    **azure_network.KINDS,
    ENTERPRISE: _kind(
        clusters.build_create_request,
        models.Cluster,
        azure_rules.redis_enterprise,
        change_problems=azure_rules.redis_enterprise_update,
        make=_cluster_made,
    ),
    DATABASE: _kind(
        databases.build_create_request,
        models.Database,
        azure_rules.database,
        frozenset({"port"}),
        conflicts=_database_conflicts,
        change_problems=azure_rules.database_update,
        make=azure_caches.make_database,
        end=azure_caches.end_database,
    ),
    f"{_PREFIX}:redisenterprise:AccessPolicyAssignment": _kind(
        assignments.build_create_update_request,
        models.AccessPolicyAssignment,
        _assignment_rules,
        make=azure_caches.give_access,
        end=azure_caches.take_access,
    ),
    CLASSIC: _kind(
        classic_caches.build_create_request,
        classic_models.RedisCreateParameters,
        azure_rules.redis,
        frozenset({"subnetId", "staticIP"}),
        conflicts=_classic_conflicts,
        change_problems=azure_rules.redis_update,
        make=azure_caches.make_cache,
        end=azure_caches.end_cache,
    ),
    f"{_PREFIX}:redis:PatchSchedule": _kind(
        patch_schedules.build_create_or_update_request, classic_models.RedisPatchSchedule, azure_rules.patch_schedule
    ),
    f"{_PREFIX}:redis:FirewallRule": _kind(
        firewall_rules.build_create_or_update_request, classic_models.RedisFirewallRule, azure_rules.firewall_rule
    ),
    f"{_PREFIX}:redis:AccessPolicy": _kind(classic_policies.build_create_update_request, classic_models.RedisCacheAccessPolicy),
    f"{_PREFIX}:redis:AccessPolicyAssignment": _kind(
        classic_assignments.build_create_update_request,
        classic_models.RedisCacheAccessPolicyAssignment,
        lambda inputs: azure_rules.object_id("objectId", inputs.get("objectId")),
        make=azure_caches.give_access,
        end=azure_caches.take_access,
    ),
    f"{_PREFIX}:redis:LinkedServer": _kind(
        linked_servers.build_create_request,
        classic_models.RedisLinkedServerCreateParameters,
        make=azure_caches.link,
        end=azure_caches.unlink,
    ),
}

INVOKES: dict[str, Callable[[Cloud, dict[str, Any]], dict[str, Any]]] = {
    f"{_PREFIX}:redisenterprise:listDatabaseKeys": azure_caches.list_database_keys,
    f"{_PREFIX}:redis:listRedisKeys": azure_caches.list_redis_keys,
}
