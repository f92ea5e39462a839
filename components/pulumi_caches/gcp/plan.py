"""What a Memorystore is to be: its arguments, checked."""

from dataclasses import dataclass
from enum import StrEnum

import pulumi

from pulumi_caches.gcp.sizes import NodeType
from pulumi_caches.managed import Managed


class Engine(StrEnum):
    """What serves."""

    VALKEY = "valkey"
    """Memorystore for Valkey."""
    REDIS = "redis"
    """Memorystore for Redis with one shard, Memorystore for Redis Cluster with more."""
    MEMCACHED = "memcached"
    """Memorystore for Memcached, which Google shuts down on 2029-01-31."""


class ReplicationRole(StrEnum):
    """Part in replication across regions."""

    PRIMARY = "primary"
    """Takes writes; the secondaries copy it."""
    SECONDARY = "secondary"
    """A copy that is only read."""
    DETACHED = "detached"
    """Was one of them, and is by itself now."""


@dataclass(frozen=True)
class Replication:
    """Across regions; the others by their full resource names."""

    role: ReplicationRole
    primary: pulumi.Input[str] | None
    secondaries: list[pulumi.Input[str]]


@dataclass(frozen=True)
class Plan:
    """The checked arguments."""

    name: str
    region: str
    project: pulumi.Input[str] | None
    network: pulumi.Input[str]
    engine: Engine
    managed: Managed
    node_type: NodeType | None
    """None where the service has no kinds of nodes."""
    size_gib: int
    """Of a Redis instance or a Memcached node, with what is left free in it."""
    memcached_cpus: int
    zone: str | None
    configs: dict[str, str]
    replication: Replication | None
    kms_key: pulumi.Input[str] | None
    deletion_protection: bool

    @property
    def clustered(self) -> bool:
        """Whether clients have to know its shards."""
        return self.managed.shards > 1
