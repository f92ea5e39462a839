"""How replicas follow, and when a master without them stops accepting writes."""

from typing import NotRequired, TypedDict

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.server import Server


class ReplicationArgs(TypedDict):
    """Arguments of everything that has replicas."""

    replica_max_stale_seconds: NotRequired[int]
    """How long a replica that lost its master goes on serving reads. Default: 60."""
    repl_backlog_mib: NotRequired[int]
    """Writes kept for a replica that was away, in MiB, at most a quarter of maxmemory. Default: a sixteenth of maxmemory, at most 256."""
    min_replicas_to_write: NotRequired[int]
    """Replicas that must be connected for the master to accept writes. Default: 0, in a SentinelGroup 1."""
    min_replicas_max_lag_seconds: NotRequired[int]
    """A replica counts as connected when it was heard in this time, 2 to 60. Default: 10, in a SentinelGroup 3."""


def read_replication(arguments: Arguments, server: Server, replicas: int, to_write: int, max_lag_seconds: int) -> dict[str, str]:
    """Reads and checks ReplicationArgs, of which the last two arguments are defaults; directives of the configuration."""
    return {
        **read_backlog_and_least(arguments, server, replicas, to_write, maximum=100),
        "min-replicas-max-lag": str(arguments.whole("min_replicas_max_lag_seconds", max_lag_seconds, 2, 60)),
    }


def read_backlog_and_least(
    arguments: Arguments, server: Server, replicas: int, to_write: int, maximum: int, replicas_are: str = "replicas"
) -> dict[str, str]:
    """Reads and checks repl_backlog_mib, and min_replicas_to_write whose default is `to_write`; directives of the configuration."""
    default, backlog_maximum = max(1, min(256, server.maxmemory_mib // 16)), max(1, server.maxmemory_mib // 4)
    backlog = arguments.whole("repl_backlog_mib", default, 1, backlog_maximum)
    least = arguments.whole("min_replicas_to_write", to_write, 0, maximum)
    if least > replicas:
        arguments.refuse("min_replicas_to_write", f"there are only {replicas} {replicas_are}: every write would be refused")
    return {"repl-backlog-size": f"{backlog}mb", "min-replicas-to-write": str(least)}


def read_max_stale_seconds(arguments: Arguments) -> int:
    """Reads and checks how old a replica's data may be."""
    return arguments.whole("replica_max_stale_seconds", 60, 0, 2**31 - 1)
