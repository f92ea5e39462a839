"""The server's configuration file from a checked `Server`. No secret and no role in it: start.sh adds both in the pod."""

from pulumi_caches.kubernetes.server import PORT, Server

DATA_FOLDER = "/data"


def render(server: Server, replication: dict[str, str] | None = None) -> str:
    """The configuration, one directive a line; `replication` has what only a topology knows."""
    directives = {
        "port": str(PORT),
        # Every address, IPv4 and, where there is one, IPv6: who may connect is decided by users and network policy.
        "bind": "* -::*",
        # The ACL users that start.sh writes are what protects; this mode differs between images' defaults.
        "protected-mode": "no",
        "dir": DATA_FOLDER,
        "tcp-backlog": str(server.tcp_backlog),
        "tcp-keepalive": str(server.tcp_keepalive_seconds),
        "timeout": str(server.idle_timeout_seconds),
        "maxclients": str(server.max_clients),
        "databases": str(server.databases),
        "hz": str(server.hz),
        "io-threads": str(server.io_threads),
        "maxmemory": f"{server.maxmemory_mib}mb",
        "maxmemory-policy": server.maxmemory_policy.value,
        "maxmemory-samples": str(server.maxmemory_samples),
        **{f"lazyfree-lazy-{what}": _yes(server.lazyfree) for what in ("eviction", "expire", "server-del", "user-del", "user-flush")},
        **_persistence(server),
        "slowlog-log-slower-than": str(server.slowlog_slower_than_us),
        "latency-monitor-threshold": str(server.latency_monitor_threshold_ms),
        # A new replica would wait 5 s for others that want a copy too.
        "repl-diskless-sync-delay": "1",
        "notify-keyspace-events": f'"{server.notify_keyspace_events}"',
        **(replication or {}),
    }
    # Only when asked for: an image without Redis' own jemalloc refuses to start with this line.
    if server.active_defrag:
        directives["activedefrag"] = "yes"
    lines = [f"{directive} {value}" for directive, value in directives.items()]
    return "\n".join([*lines, *server.extra_config]) + "\n"


def _persistence(server: Server) -> dict[str, str]:
    return {
        "appendonly": _yes(server.aof),
        "appendfsync": server.aof_fsync.value,
        "save": " ".join(server.rdb_save_points) if server.rdb else '""',
    }


def _yes(value: bool) -> str:
    return "yes" if value else "no"
