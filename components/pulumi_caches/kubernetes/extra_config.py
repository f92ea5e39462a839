"""The escape hatch: lines of the server's configuration for which there is no argument."""

import re

from pulumi_caches.arguments import Arguments

# Directives that an argument or the component itself decides; what to use instead.
_OWNED_DIRECTIVES = {
    "maxmemory": "use maxmemory_mib or memory_gib",
    "maxmemory-policy": "use maxmemory_policy",
    "maxmemory-samples": "use maxmemory_samples",
    "appendonly": "use persistence",
    "appendfsync": "use aof_fsync",
    "save": "use rdb_save_points",
    "io-threads": "use io_threads",
    "hz": "use hz",
    "maxclients": "use max_clients",
    "timeout": "use idle_timeout_seconds",
    "tcp-keepalive": "use tcp_keepalive_seconds",
    "tcp-backlog": "use tcp_backlog",
    "databases": "use databases",
    "lazyfree-lazy-eviction": "use lazyfree",
    "lazyfree-lazy-expire": "use lazyfree",
    "lazyfree-lazy-server-del": "use lazyfree",
    "lazyfree-lazy-user-del": "use lazyfree",
    "lazyfree-lazy-user-flush": "use lazyfree",
    "activedefrag": "use active_defrag",
    "slowlog-log-slower-than": "use slowlog_slower_than_us",
    "latency-monitor-threshold": "use latency_monitor_threshold_ms",
    "notify-keyspace-events": "use notify_keyspace_events",
    "min-replicas-to-write": "use min_replicas_to_write",
    "min-slaves-to-write": "use min_replicas_to_write",
    "min-replicas-max-lag": "use min_replicas_max_lag_seconds",
    "min-slaves-max-lag": "use min_replicas_max_lag_seconds",
    "repl-backlog-size": "use repl_backlog_mib",
    "requirepass": "use existing_secret_name: a ConfigMap may not hold a password",
    "masterauth": "the component sets it: a ConfigMap may not hold a password",
    "masteruser": "the component sets it",
    "user": "the component sets it: a ConfigMap may not hold a password",
    "aclfile": "the component sets the users",
    "replicaof": "use replicas",
    "slaveof": "use replicas",
    "replica-announce-ip": "the component sets it",
    "replica-announce-port": "the port is 6379",
    "slave-announce-ip": "the component sets it",
    "slave-announce-port": "the port is 6379",
    "appenddirname": "the component looks for the data by its name",
    "dbfilename": "the component looks for the data by its name",
    "include": "give the lines themselves",
    "port": "the port is 6379: put a Service of your own before it",
    "bind": "the component sets it",
    "protected-mode": "the component sets it",
    "dir": "the component mounts the volume there",
    "daemonize": "a container's process stays in the foreground",
    **dict.fromkeys(
        ("tls-port", "tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-replication", "tls-cluster"),
        "use tls_secret_name",
    ),
    "tls-auth-clients": "clients log in with the password: the probes have no certificate to show",
    "cluster-enabled": "a cluster is another component, RedisClusterWithInit",
    "cluster-config-file": "the component sets it",
    "cluster-node-timeout": "use node_timeout_ms of RedisClusterWithInit",
    "cluster-require-full-coverage": "use require_full_coverage of RedisClusterWithInit",
    "cluster-preferred-endpoint-type": "use preferred_endpoint of RedisClusterWithInit",
    "cluster-announce-ip": "the component sets it",
    "cluster-announce-hostname": "the component sets it",
    "cluster-allow-replica-migration": "the component sets it: a shard keeps its own pods",
    "cluster-replica-no-failover": "the component sets it",
}


def read_extra_config(arguments: Arguments) -> tuple[str, ...]:
    """Reads and checks the lines: each one directive that nothing else decides."""
    lines = arguments.texts("extra_config", [])
    for line in lines:
        directive = line.split(maxsplit=1)[0].lower() if line.strip() else ""
        if not re.fullmatch(r"[a-z][a-z0-9-]*", directive) or "\n" in line or "\r" in line:
            arguments.refuse("extra_config", f'{line!r} is not one line of "directive value"')
        elif directive in _OWNED_DIRECTIVES:
            arguments.refuse("extra_config", f"{directive} can't be set here: {_OWNED_DIRECTIVES[directive]}")
    return tuple(lines)
