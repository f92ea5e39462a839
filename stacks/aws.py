"""Caches of Amazon ElastiCache."""

from typing import Any, TypedDict, cast

import pulumi
from pulumi_caches.arguments import suggest
from pulumi_caches.aws import AwsNetwork, AwsNetworkArgs, ElastiCache, ElastiCacheArgs

from stacks import settings


class Aws(TypedDict, total=False):
    """Configuration of the topology."""

    network: dict[str, Any]
    """AwsNetworks: their arguments by name. Caches that name no aws_subnet_ids go into the one of their region."""
    elasticache: dict[str, Any]
    """ElastiCaches: their arguments by name; aws_primary is the name of another one of the stack."""


def deploy() -> None:
    """Makes networks and every cache; exports `connections` by cache (secret) and what they cost."""
    config = settings.read(Aws)
    asked = {name: args or {} for name, args in config.get("network", {}).items()}
    networks = {str(args.get("region")): AwsNetwork(name, cast("AwsNetworkArgs", args)) for name, args in asked.items()}
    wanted = {name: args or {} for name, args in config.get("elasticache", {}).items()}
    made: dict[str, ElastiCache] = {}
    # Those that others follow come first.
    for name, args in sorted(wanted.items(), key=lambda each: "aws_primary" in each[1]):
        region = str(args.get("region"))
        within = _inside(networks[region]) if region in networks and "aws_subnet_ids" not in args else {}
        primary: dict[str, Any] = {}
        if (followed := args.get("aws_primary")) is not None:
            if followed not in made:
                known = suggest(str(followed), list(made))
                raise pulumi.RunError(f"caches:elasticache.{name}.aws_primary = {followed!r}: there is no such cache{known}")
            primary = {"aws_primary": made[followed].global_id}
        made[name] = ElastiCache(name, cast("ElastiCacheArgs", {**within, **args, **primary}))
    pulumi.export("connections", {name: cache.connection for name, cache in made.items()})
    pulumi.export("monthly_costs", {name: cache.monthly_cost for name, cache in made.items()})


def _inside(network: AwsNetwork) -> dict[str, Any]:
    return {"aws_subnet_ids": network.subnets, "aws_security_group_ids": [network.security_group_id]}
