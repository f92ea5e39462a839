"""The list: every best practice that is looked at, in the order of the guide."""

from caches_runtime.ops.doctor import access, availability, data, operation
from caches_runtime.ops.doctor.findings import Check

CHECKS = (
    Check("answers", operation.answers, ("servers",)),
    Check("auth", access.auth, ("servers",)),
    Check("tls", access.tls),
    Check("plaintext", access.plaintext, ("servers",), access.speaks_tls),
    Check("certificate", access.certificate, ("servers",), access.speaks_tls),
    Check("network-policy", access.network_policy, ("policies", "pods")),
    Check("purpose", data.purpose, applies=data.speaks_redis),
    Check("eviction", data.eviction, ("servers",), data.has_purpose),
    Check("evictions", data.memcached_eviction, ("servers",), data.is_memcached),
    Check("maxmemory", data.maxmemory, ("servers", "pods")),
    Check("memory", data.memory, ("servers",), data.speaks_redis),
    Check("persistence", data.persistence, ("servers",), data.speaks_redis),
    Check("volumes", data.volumes, ("volumes",), data.is_missed),
    Check("backups", data.backups, ("backups",), data.is_missed),
    Check("drill", data.drill, ("backups",), data.is_missed),
    Check("replicas", availability.replicas, ("servers",), data.speaks_redis),
    Check("min-replicas", availability.min_replicas, ("servers",), availability.is_sentinel),
    Check("quorum", availability.quorum, ("sentinels",), availability.is_sentinel),
    Check("slots", availability.slots, ("servers",), availability.is_cluster),
    Check("anti-affinity", availability.anti_affinity, ("pods",)),
    Check("nodes", availability.nodes, ("pods", "servers")),
    Check("zones", availability.zones, ("pods", "servers", "nodes")),
    Check("disruption-budget", availability.disruption_budget, ("budgets", "pods")),
    Check("alerts", operation.alerts, ("exporters", "pods", "rules")),
    Check("pods", operation.pods, ("pods",)),
    Check("resources", operation.resources, ("pods",)),
    Check("image", operation.image, ("pods",)),
    Check("version", operation.version, ("servers",), operation.ends_are_known),
)
