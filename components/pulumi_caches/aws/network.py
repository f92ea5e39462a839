"""AwsNetwork: a network that caches are reached from, and nobody outside reaches."""

import ipaddress
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.aws.sizes import regions

NAME_MAXIMUM = 48
# Of Valkey and Redis, their readers where those are serverless, and Memcached with its readers.
_PORTS = ((6379, 6380), (11211, 11212))
_SMALLEST_VPC = 26
_SUBNET_BITS = 2


class AwsNetworkArgs(TypedDict):
    """Arguments of AwsNetwork. `region` is required."""

    region: str
    """Region of the network, such as eu-west-1."""
    ip_range: NotRequired[str]
    """Private addresses of the network, 16 to 26 bits for it. Default: 10.30.0.0/16."""
    zones: NotRequired[int]
    """Zones with a subnet each, 2 or 3. Default: 2."""
    tags: NotRequired[dict[str, str]]
    """Tags of everything that is made. Default: none."""


class AwsNetwork(pulumi.ComponentResource):
    """
    A VPC with a subnet in each of some zones, and a security group that lets its machines reach caches.

    Creates, named after the component: the VPC, without a way in from the internet or out to it; NAME-1, NAME-2, … the subnets;
    and NAME-caches, the security group for caches, open to the VPC's addresses at the ports of caches.
    """

    vpc_id: pulumi.Output[str]
    """The VPC."""
    subnet_ids: pulumi.Output[list[str]]
    """What ElastiCache takes as aws_subnet_ids."""
    security_group_id: pulumi.Output[str]
    """What ElastiCache takes in aws_security_group_ids."""

    def __init__(self, name: str, args: AwsNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for what is wrong with the arguments."""
        arguments = Arguments("AwsNetwork", name, NAME_MAXIMUM, args, AwsNetworkArgs)
        region = str(arguments.value("region", ""))
        if region not in regions():
            arguments.refuse("region", f"must be one of AWS's regions, such as eu-west-1{suggest(region, list(regions()))}")
        space = _read_range(arguments)
        zones = arguments.whole("zones", 2, 2, 3)
        tags = arguments.labels("tags")
        arguments.finish()
        super().__init__("caches:index:AwsNetwork", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        def tagged(suffix: str = "") -> dict[str, str]:
            return {**tags, "Name": f"{name}{suffix}"}

        vpc = aws.ec2.Vpc(
            name, cidr_block=str(space), enable_dns_support=True, enable_dns_hostnames=True, region=region, tags=tagged(), opts=child
        )
        found = aws.get_availability_zones_output(
            state="available",
            region=region,
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        self.subnets = [
            aws.ec2.Subnet(
                f"{name}-{number + 1}",
                vpc_id=vpc.id,
                cidr_block=str(block),
                availability_zone=found.names[number],
                region=region,
                tags=tagged(f"-{number + 1}"),
                opts=child,
            ).id
            for number, block in zip(range(zones), space.subnets(_SUBNET_BITS), strict=False)
        ]
        group = aws.ec2.SecurityGroup(
            f"{name}-caches",
            name=f"{name}-caches",
            description="caches, reached from the VPC",
            vpc_id=vpc.id,
            ingress=[
                {"protocol": "tcp", "from_port": first, "to_port": last, "cidr_blocks": [str(space)], "description": "caches"}
                for first, last in _PORTS
            ],
            region=region,
            tags=tagged("-caches"),
            opts=child,
        )
        self.vpc_id = vpc.id
        self.subnet_ids = pulumi.Output.all(*self.subnets).apply(list)
        self.security_group_id = group.id
        self.register_outputs({"vpcId": self.vpc_id, "subnetIds": self.subnet_ids, "securityGroupId": self.security_group_id})


def _read_range(arguments: Arguments) -> ipaddress.IPv4Network:
    default = "10.30.0.0/16"
    try:
        found = ipaddress.IPv4Network(arguments.value("ip_range", default))
    except (ValueError, TypeError) as error:
        arguments.refuse("ip_range", f"must be a range of IPv4 addresses, such as {default}: {error}")
        return ipaddress.IPv4Network(default)
    if not found.is_private or not 16 <= found.prefixlen <= _SMALLEST_VPC:
        arguments.refuse("ip_range", f"must be of private addresses, with 16 to {_SMALLEST_VPC} bits for the network")
        return ipaddress.IPv4Network(default)
    return found
