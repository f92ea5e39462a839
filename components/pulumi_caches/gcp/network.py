"""GcpNetwork: a network that caches are reached from, and nobody outside reaches."""

import ipaddress
from collections.abc import Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_gcp as gcp

from pulumi_caches.arguments import Arguments
from pulumi_caches.gcp.regions import read_region

# The longest name that is made is NAME-connections; Google's have at most 63 characters.
NAME_MAXIMUM = 51
_SERVICE_CLASS = "gcp-memorystore"


class GcpNetworkArgs(TypedDict):
    """Arguments of GcpNetwork. `region` is required."""

    region: str
    """Region of the subnetwork, such as europe-west1."""
    project: NotRequired[pulumi.Input[str]]
    """Project to make it in. Default: the provider's."""
    ip_range: NotRequired[str]
    """Addresses of the subnetwork, 8 to 29 bits for the network. Default: 10.20.0.0/20."""


class GcpNetwork(pulumi.ComponentResource):
    """
    A VPC with one subnetwork, from which Memorystore is reached.

    Creates, named after the component: the network, without a way in from the internet; a subnetwork, whose machines reach Google's
    services without public addresses; and NAME-connections, the service connection policy by which Memorystore gets addresses in it.
    Redis instances and Memcached also need private service access, which is for the whole network and not made here.
    """

    network_id: pulumi.Output[str]
    """What Memorystore takes as gcp_network; known when caches can be made in it."""
    subnetwork_id: pulumi.Output[str]
    """Where clients' machines go."""

    def __init__(self, name: str, args: GcpNetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError for what is wrong with the arguments."""
        arguments = Arguments("GcpNetwork", name, NAME_MAXIMUM, args, GcpNetworkArgs)
        region = read_region(arguments)
        ip_range = _read_range(arguments)
        arguments.finish()
        super().__init__("caches:index:GcpNetwork", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        project = args.get("project")
        network = gcp.compute.Network(name, name=name, project=project, auto_create_subnetworks=False, opts=child)
        subnetwork = gcp.compute.Subnetwork(
            name,
            name=name,
            project=project,
            network=network.id,
            region=region,
            ip_cidr_range=ip_range,
            private_ip_google_access=True,
            opts=child,
        )
        policy = make_service_connection_policy(name, region, network.id, [subnetwork.id], child, project=project)
        self.network_id = pulumi.Output.all(network.id, policy.id).apply(lambda ids: str(ids[0]))
        self.subnetwork_id = subnetwork.id
        self.register_outputs({"networkId": self.network_id, "subnetworkId": self.subnetwork_id})


def make_service_connection_policy(
    name: str,
    region: str,
    network: pulumi.Input[str],
    subnetworks: Sequence[pulumi.Input[str]],
    opts: pulumi.ResourceOptions,
    project: pulumi.Input[str] | None = None,
) -> gcp.networkconnectivity.ServiceConnectionPolicy:
    """Lets Memorystore take addresses in subnetworks; there can be one for each network and region."""
    return gcp.networkconnectivity.ServiceConnectionPolicy(
        f"{name}-connections",
        name=f"{name}-connections",
        project=project,
        location=region,
        network=network,
        service_class=_SERVICE_CLASS,
        psc_config={"subnetworks": list(subnetworks)},
        opts=opts,
    )


def _read_range(arguments: Arguments) -> str:
    given = str(arguments.value("ip_range", "10.20.0.0/20"))
    try:
        found = ipaddress.IPv4Network(given)
    except ValueError as error:
        arguments.refuse("ip_range", f"must be a range of IPv4 addresses, such as 10.20.0.0/20: {error}")
        return given
    if not found.is_private or not 8 <= found.prefixlen <= 29:
        arguments.refuse("ip_range", "must be of private addresses, with 8 to 29 bits for the network")
    return given
