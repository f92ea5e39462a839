"""What is lost when: by eviction, by a crash, for want of backups."""

from collections.abc import Iterator

from caches_runtime.ops.doctor import objects
from caches_runtime.ops.doctor.facts import Facts, Object, Server, known
from caches_runtime.ops.doctor.findings import Finding, Severity

MAXMEMORY_SHARE = 0.9
MEMORY_USED = 0.9
VOLUME_USED, VOLUME_FULL = 0.8, 0.95
# What a backup each day may be late, as the alert CacheBackupTooOld has it.
BACKUP_HOURS = 26
DRILL_DAYS = 8
_SUITING = {
    "cache": ("allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"),
    "session": ("volatile-lru", "volatile-lfu", "volatile-ttl"),
    "queue": ("noeviction",),
}


def speaks_redis(facts: Facts) -> bool:
    """For checks of Redis and Valkey."""
    return facts.cache.speaks_redis


def is_memcached(facts: Facts) -> bool:
    """For checks of Memcached."""
    return facts.cache.engine == "memcached"


def has_purpose(facts: Facts) -> bool:
    """For checks of what suits a purpose."""
    return bool(facts.cache.purpose)


def is_missed(facts: Facts) -> bool:
    """For checks of what keeps data that can't be computed again."""
    return not facts.cache.expendable


def purpose(facts: Facts) -> Iterator[Finding]:
    """Somebody said what it is for."""
    if not facts.cache.purpose:
        yield Finding(Severity.INFO, "nobody said what it is for", "cache, session or queue", "purpose")


def eviction(facts: Facts) -> Iterator[Finding]:
    """What is removed when memory is full suits the purpose."""
    suiting = _SUITING.get(facts.cache.purpose, ())
    wrong = {_policy(server) for server in facts.answering} - {*suiting, ""}
    if wrong:
        severity = Severity.CRITICAL if facts.cache.purpose == "queue" else Severity.WARNING
        remedy = f"maxmemory_policy: {suiting[0]}, or leave it out: purpose chooses"
        yield Finding(severity, f"{', '.join(sorted(wrong))} for purpose {facts.cache.purpose}", f"one of {', '.join(suiting)}", remedy)


def memcached_eviction(facts: Facts) -> Iterator[Finding]:
    """A full server makes room."""
    if refusing := [server.name for server in facts.answering if server.settings.get("evictions") == "off"]:
        yield Finding(Severity.WARNING, f"full, it refuses writes: {', '.join(refusing)}", "evictions on", "evictions: true")


def maxmemory(facts: Facts) -> Iterator[Finding]:
    """The data has a limit, below that of the container."""
    for server in facts.answering:
        limit, most = _maxmemory(server), _memory_limit(facts, server)
        if not limit:
            yield Finding(
                Severity.CRITICAL, f"{server.name}: no limit for data", "a limit below the container's", "maxmemory_mib, or leave it out"
            )
        elif most and limit > most * MAXMEMORY_SHARE:
            found = f"{server.name}: {limit / 2**20:.0f} MiB of {most / 2**20:.0f} MiB"
            yield Finding(
                Severity.WARNING, found, f"at most {MAXMEMORY_SHARE:.0%} of the memory limit", "maxmemory_mib, or more memory_gib"
            )


def memory(facts: Facts) -> Iterator[Finding]:
    """Where nothing is evicted there is room."""
    for server in facts.answering:
        limit, used = _maxmemory(server), server.number("used_memory")
        if _policy(server) == "noeviction" and limit and used > limit * MEMORY_USED:
            found = f"{server.name}: {used / limit:.0%} of maxmemory are used, and writes are refused at 100 %"
            yield Finding(Severity.WARNING, found, f"at most {MEMORY_USED:.0%}", "memory_gib, or a purpose that evicts")


def persistence(facts: Facts) -> Iterator[Finding]:
    """A crash costs no more than the purpose allows, and what is to be written is written."""
    worse = Severity.CRITICAL if facts.cache.purpose == "queue" else Severity.WARNING
    for server in facts.answering:
        failing = [key for key in ("aof_last_write_status", "rdb_last_bgsave_status") if server.info.get(key, "ok") != "ok"]
        if failing:
            found = f"{server.name}: writing to disk fails ({', '.join(failing)})"
            yield Finding(Severity.CRITICAL, found, "both ok", "runbook CachePersistenceFailing")
        if not facts.cache.expendable and (lost := _lost_in_a_crash(server)):
            remedy = "aof_fsync: everysec" if server.info.get("aof_enabled") == "1" else "persistence: aof, in a new cache"
            yield Finding(worse, f"{server.name}: a crash loses {lost}", "at most a second", remedy)


def _lost_in_a_crash(server: Server) -> str:
    """What is more than a second's writes; empty for no more."""
    if server.info.get("aof_enabled") == "1":
        return "up to half a minute" if server.settings.get("appendfsync") == "no" else ""
    return "what came after the last snapshot" if server.settings.get("save") else "everything"


def volumes(facts: Facts) -> Iterator[Finding]:
    """Volumes have room."""
    for claim, used in known(facts.volumes).items():
        if used > VOLUME_USED:
            severity = Severity.CRITICAL if used > VOLUME_FULL else Severity.WARNING
            yield Finding(severity, f"{claim}: {used:.0%} full", f"at most {VOLUME_USED:.0%}", "storage_gib, in a new cache")


def backups(facts: Facts) -> Iterator[Finding]:
    """Backups are made, and the last one is recent."""
    wanted, remedy = f"a success within {BACKUP_HOURS} hours", "a CacheBackup with this cache's connection"
    yield from _scheduled(facts, "make", BACKUP_HOURS * objects.HOUR, wanted, remedy)


def drill(facts: Facts) -> Iterator[Finding]:
    """Backups are tried."""
    wanted, remedy = f"a success within {DRILL_DAYS} days", "drill_schedule of CacheBackup"
    yield from _scheduled(facts, "drill", DRILL_DAYS * 24 * objects.HOUR, wanted, remedy)


def _scheduled(facts: Facts, what: str, longest: float, wanted: str, remedy: str) -> Iterator[Finding]:
    jobs = [job for job in known(facts.backups) if _component(job) == what]
    if not jobs:
        yield Finding(Severity.WARNING, "there is none", wanted, remedy)
        return
    running = [job for job in jobs if not job["spec"].get("suspend")]
    if not running:
        yield Finding(
            Severity.WARNING, f"{', '.join(map(objects.name, jobs))}: suspended", wanted, "end its suspension: `pulumi up --refresh`"
        )
        return
    # A new one has had no time yet.
    latest = max(objects.seconds(job["status"].get("lastSuccessfulTime") or job["metadata"]["creationTimestamp"]) for job in running)
    if facts.now - latest > longest:
        started = max(objects.seconds(job["status"].get("lastScheduleTime") or job["metadata"]["creationTimestamp"]) for job in running)
        severity = Severity.CRITICAL if started > latest else Severity.WARNING
        found = f"{', '.join(map(objects.name, running))}: no success for {(facts.now - latest) / objects.HOUR:.0f} hours"
        yield Finding(severity, found, wanted, "see the log of its last Job; if that went well, a shorter schedule")


def _component(job: Object) -> str:
    return objects.labels(job["spec"]["jobTemplate"]["spec"]["template"]).get(objects.COMPONENT_LABEL, "")


def _policy(server: Server) -> str:
    return server.settings.get("maxmemory-policy") or server.info.get("maxmemory_policy", "")


def _maxmemory(server: Server) -> int:
    return server.number("maxmemory") or server.number("limit_maxbytes")


def _memory_limit(facts: Facts, server: Server) -> float:
    """Of the container that the server is in; 0 without one."""
    pod = facts.pod(server)
    limits = [each.get("resources", {}).get("limits", {}).get("memory") for each in objects.containers(pod)[:1]] if pod else []
    return objects.quantity(limits[0]) if limits and limits[0] else 0
