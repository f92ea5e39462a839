"""Private access to a cache: an endpoint in a subnet, whose address a private DNS zone gives for the cache's name."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network

from pulumi_caches.arguments import Arguments


@dataclass(frozen=True)
class Service:
    """What Private Link calls a service, and the zone of its names."""

    group: str
    zone: str


# Names: Microsoft's table "Azure Private Endpoint private DNS zone values".
MANAGED_REDIS = Service("redisEnterprise", "privatelink.redis.azure.net")
CACHE_FOR_REDIS = Service("redisCache", "privatelink.redis.cache.windows.net")


@dataclass(frozen=True)
class PrivateAccess:
    """Where the endpoint is."""

    subnet_id: pulumi.Input[str]
    dns_zone_id: pulumi.Input[str] | None


def read_private_access(arguments: Arguments, *, public: bool) -> PrivateAccess | None:
    """Reads `azure_subnet_id` and `azure_private_dns_zone_id`; None without a subnet."""
    subnet_id = arguments.value("azure_subnet_id", None)
    zone_id = arguments.value("azure_private_dns_zone_id", None)
    if subnet_id is None:
        if zone_id is not None:
            arguments.refuse("azure_private_dns_zone_id", "is for the endpoint that azure_subnet_id makes: give that too", shown=False)
        if not public:
            arguments.refuse(
                "azure_subnet_id",
                "nobody could reach the cache: give a subnet for a private endpoint, such as AzureNetwork's, or azure_public_access: true",
            )
        return None
    return PrivateAccess(subnet_id, zone_id)


def make_private_access(
    name: str,
    access: PrivateAccess,
    service: Service,
    cache_id: pulumi.Input[str],
    group_name: pulumi.Input[str],
    region: str,
    tags: dict[str, str],
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """The endpoint, and the record in the zone where there is one."""
    endpoint = network.PrivateEndpoint(
        name,
        private_endpoint_name=name,
        resource_group_name=group_name,
        location=region,
        subnet={"id": access.subnet_id},
        private_link_service_connections=[{"name": name, "private_link_service_id": cache_id, "group_ids": [service.group]}],
        tags=tags,
        opts=opts,
    )
    if access.dns_zone_id is None:
        return [endpoint]
    record = network.PrivateDnsZoneGroup(
        name,
        private_dns_zone_group_name="default",
        private_endpoint_name=endpoint.name,
        resource_group_name=group_name,
        private_dns_zone_configs=[{"name": "redis", "private_dns_zone_id": access.dns_zone_id}],
        opts=opts,
    )
    return [endpoint, record]
