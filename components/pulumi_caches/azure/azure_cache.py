"""What caches of both of Azure's services have in common: arguments, and how to get in."""

from dataclasses import dataclass
from typing import NotRequired

import pulumi

from pulumi_caches.connection import Connection
from pulumi_caches.managed import ManagedArgs, Purpose


class AzureCacheArgs(ManagedArgs):
    """Arguments that both services have."""

    azure_name: NotRequired[str]
    """Azure's name of the cache, which nobody else may have; another one is another cache. Default: the component's name."""
    azure_resource_group_name: NotRequired[pulumi.Input[str]]
    """Existing resource group. Default: one is made, named after the component."""
    azure_zones: NotRequired[list[str]]
    """Availability zones to be in. Other ones are another cache. Default: Azure's choice, several where the region has them."""
    azure_principals: NotRequired[dict[str, pulumi.Input[str]]]
    """Who may log in, by Entra: object ids of users, applications or managed identities, by names of yours. Default: nobody."""
    azure_subnet_id: NotRequired[pulumi.Input[str]]
    """Subnet for a private endpoint. Default: no endpoint is made, and azure_public_access is needed."""
    azure_private_dns_zone_id: NotRequired[pulumi.Input[str]]
    """Private DNS zone of the service, in which the endpoint is noted. Default: none."""
    azure_public_access: NotRequired[bool]
    """Whether it can be reached from the internet too. Default: false."""


@dataclass(frozen=True)
class WayIn:
    """How clients get in, but for what is only known later."""

    mode: str
    cache_name: str
    region: str
    purpose: Purpose | None

    def connection(self, host: str, port: float, key: str | None) -> Connection:
        """With an access key, or without one by Entra. Azure's certificates are of authorities that everybody trusts."""
        connection: Connection = {
            "engine": "redis",
            "mode": self.mode,
            "host": host,
            "port": int(port),
            "tls": True,
            "provider": "azure",
            "region": self.region,
        }
        if key is None:
            connection["auth"] = "entra"
            connection["cache_name"] = self.cache_name
        else:
            connection["password"] = key
        if self.purpose:
            connection["purpose"] = self.purpose.value
        return connection


class AzureCache(pulumi.ComponentResource):
    """What both components export."""

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when it is made. Secret."""
    cache_id: pulumi.Output[str]
    """Azure's resource id."""
    resource_group_name: pulumi.Output[str]
    """Resource group that it is in."""
    monthly_cost: pulumi.Output[str]
    """What its servers cost in a month at list price, in words, where that is known."""

    def _export(
        self, connection: pulumi.Output[Connection], cache_id: pulumi.Output[str], group_name: pulumi.Input[str], monthly_cost: str
    ) -> None:
        self.connection = connection
        self.cache_id = cache_id
        self.resource_group_name = pulumi.Output.from_input(group_name)
        self.monthly_cost = pulumi.Output.from_input(monthly_cost)
        self.register_outputs(
            {
                "connection": self.connection,
                "cacheId": self.cache_id,
                "resourceGroupName": self.resource_group_name,
                "monthlyCost": self.monthly_cost,
            }
        )
