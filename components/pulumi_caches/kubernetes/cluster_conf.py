"""What makes servers a cluster: how many, how soon they miss each other, what they refuse then."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NotRequired, TypedDict

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.replication import read_backlog_and_least
from pulumi_caches.kubernetes.server import Server

# Beyond that, what every node tells every other would be most of the traffic.
SHARDS_MAXIMUM = 500
# A server gives up a failover after 5 s; two tries, and the time to notice.
FAILOVER_SECONDS_MINIMUM = 12


class Endpoint(StrEnum):
    """How the cluster names its nodes to clients."""

    IP = "ip"
    """By pod address: no look-up on the way of a failover."""
    HOSTNAME = "hostname"
    """By the pods' DNS names."""


class ClusterArgs(TypedDict):
    """Arguments of what makes servers a cluster."""

    shards: NotRequired[int]
    """Masters, each with its share of the slots, 3 to 500. May change: data moves. Default: 3."""
    replicas_per_shard: NotRequired[int]
    """Replicas of each master, 0 to 5; 0 only with data_loss_accepted. May change. Default: 1."""
    data_loss_accepted: NotRequired[bool]
    """Whether a shard may be without a replica, so that what only its one pod has may be lost, and is away with it. Default: false."""
    node_timeout_ms: NotRequired[int]
    """How long a node may be silent until the others take it for failed, in milliseconds, 500 to 60000. Default: 800."""
    failover_seconds: NotRequired[int]
    """How long a master that is to end may take to hand over, in seconds, 12 to 600; added to the grace period. Default: 20."""
    require_full_coverage: NotRequired[bool]
    """Whether all shards refuse commands while one has no master. Default: false, the others go on."""
    preferred_endpoint: NotRequired[Endpoint]
    """How the cluster names its nodes to clients: ip, or hostname for clients that check names. Default: ip."""
    repl_backlog_mib: NotRequired[int]
    """Writes kept for a replica that was away, in MiB, at most a quarter of maxmemory. Default: a sixteenth of maxmemory, at most 256."""
    min_replicas_to_write: NotRequired[int]
    """Replicas that must be connected for a master to accept writes. Default: 0."""


@dataclass(frozen=True)
class Clustering:
    """Checked: the two numbers, how long a hand-over may take, and the servers' configuration."""

    shards: int
    replicas: int
    failover_seconds: int
    directives: dict[str, str]


def read_clustering(arguments: Arguments, server: Server) -> Clustering:
    """Reads and checks ClusterArgs."""
    replicas = _read_replicas(arguments)
    if arguments.given("databases"):
        arguments.refuse("databases", "a cluster has one")
    return Clustering(
        shards=arguments.whole("shards", 3, 3, SHARDS_MAXIMUM, "when a master fails a majority of masters must be left to vote"),
        replicas=replicas,
        failover_seconds=arguments.whole(
            "failover_seconds", 20, FAILOVER_SECONDS_MINIMUM, 600, "a server gives a failover up after 5 s, and there must be time for two"
        ),
        directives=_directives(arguments, server, replicas),
    )


def _read_replicas(arguments: Arguments) -> int:
    replicas = arguments.whole("replicas_per_shard", 1, 0, 5)
    accepted = arguments.flag("data_loss_accepted", False)
    if replicas == 0 and not accepted:
        arguments.refuse(
            "replicas_per_shard", "a shard without a replica is away with its pod and lost with its volume: say data_loss_accepted"
        )
    if replicas and accepted:
        arguments.refuse("data_loss_accepted", f"is only for shards without replicas, and replicas_per_shard is {replicas}")
    return replicas


def _directives(arguments: Arguments, server: Server, replicas: int) -> dict[str, str]:
    return {
        "databases": "1",
        **read_backlog_and_least(arguments, server, replicas, to_write=0, maximum=5, replicas_are="replicas of a shard"),
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(arguments.whole("node_timeout_ms", 800, 500, 60_000)),
        "cluster-require-full-coverage": "yes" if arguments.flag("require_full_coverage", False) else "no",
        "cluster-preferred-endpoint-type": arguments.choice("preferred_endpoint", Endpoint.IP).value,
        # A shard is made of its own pods, so that what keeps them apart keeps master and replicas apart.
        "cluster-allow-replica-migration": "no",
    }
