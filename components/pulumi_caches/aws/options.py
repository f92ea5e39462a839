"""Reads the arguments of ElastiCache: what each of its services has, and what it refuses."""

import re
from typing import Any

import pulumi

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.aws.plan import Durability, ElastiCacheEngine, Plan
from pulumi_caches.aws.sizes import TIERED, VALKEY_ONLY, family_of, node_type_for, node_types, regions
from pulumi_caches.managed import Auth, Managed, Persistence, Service, read_managed

_LOGINS = (Auth.CLOUD, Auth.PASSWORD, Auth.NONE)
_NO_DISK = (Persistence.NONE,)
# Of cfn-lint 1.58.0, 2026-10-20, but for those whose standard support has ended (Redis 4 and 5 on 2026-01-31).
VALKEY = Service(
    "ElastiCache for Valkey",
    shards=500,
    replicas=5,
    versions=("7.2", "8.0", "8.1", "8.2", "9.0", "9.1"),
    auths=_LOGINS,
    persistences=_NO_DISK,
)
REDIS = Service("ElastiCache for Redis OSS", shards=500, replicas=5, versions=("6.2", "7.0", "7.1"), auths=_LOGINS, persistences=_NO_DISK)
_MEMCACHED_LACKS = {
    "maxmemory_policy": "Memcached removes what was not used for longest: leave it out",
    "purpose": "Memcached can only be a cache: leave it out",
}
MEMCACHED = Service(
    "ElastiCache for Memcached",
    shards=60,
    replicas=0,
    versions=("1.6.12", "1.6.17", "1.6.22"),
    auths=(Auth.NONE,),
    persistences=_NO_DISK,
    backups=False,
    lacking=_MEMCACHED_LACKS,
)
_SERVERLESS_LACKS = {
    "shards": "AWS chooses them for a serverless cache: leave it out",
    "replicas_per_shard": "AWS chooses them for a serverless cache: leave it out",
    "high_availability": "a serverless cache is in several zones always: leave it out",
    "tls": "a serverless cache speaks TLS always: leave it out",
    "maxmemory_policy": "a serverless cache removes volatile keys, those not used for longest first: leave it out",
    "maintenance_day": "a serverless cache has no window for maintenance: leave it out",
    "maintenance_time": "a serverless cache has no window for maintenance: leave it out",
    "aws_node_type": "a serverless cache has no nodes of its own: leave it out",
    "aws_configs": "a serverless cache has no settings: leave it out",
    "aws_durability": "a serverless cache has none: leave it out",
    "aws_tls_optional": "a serverless cache speaks TLS always: leave it out",
    "aws_log_retention_days": "a serverless cache delivers no logs: leave it out",
    "aws_global_datastore": "a serverless cache is in one region: leave it out",
    "aws_primary": "a serverless cache is in one region: leave it out",
}
_SERVERLESS = {
    ElastiCacheEngine.VALKEY: Service(
        "ElastiCache Serverless for Valkey", 1, 0, ("7", "8"), _LOGINS, _NO_DISK, tls_always=True, lacking=_SERVERLESS_LACKS
    ),
    ElastiCacheEngine.REDIS: Service(
        "ElastiCache Serverless for Redis OSS", 1, 0, ("7",), _LOGINS, _NO_DISK, tls_always=True, lacking=_SERVERLESS_LACKS
    ),
    ElastiCacheEngine.MEMCACHED: Service(
        "ElastiCache Serverless for Memcached",
        1,
        0,
        ("1.6",),
        (Auth.NONE,),
        _NO_DISK,
        tls_always=True,
        lacking={**_MEMCACHED_LACKS, **_SERVERLESS_LACKS},
    ),
}
_NODES = {ElastiCacheEngine.VALKEY: VALKEY, ElastiCacheEngine.REDIS: REDIS, ElastiCacheEngine.MEMCACHED: MEMCACHED}
NODES_MAXIMUM = 500
# What a secondary has from its primary.
_INHERITED = ("engine", "engine_version", "memory_gib", "shards", "tls", "aws_node_type", "aws_configs", "aws_restore_from", "aws_kms_key")
_CONFIGS = {
    ElastiCacheEngine.MEMCACHED: ["idle_timeout", "max_item_size", "maxconns_fast", "slab_automove", "chunk_size_growth_factor"],
    ElastiCacheEngine.VALKEY: [
        "activedefrag",
        "lazyfree-lazy-eviction",
        "lfu-decay-time",
        "lfu-log-factor",
        "maxmemory-samples",
        "notify-keyspace-events",
        "reserved-memory-percent",
        "slowlog-log-slower-than",
        "slowlog-max-len",
        "tcp-keepalive",
        "timeout",
    ],
}
_LOG_DAYS = (0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365)


def read_plan(arguments: Arguments, name: str) -> Plan:
    """Reads them all."""
    if "--" in name:
        arguments.refuse("name", "its name has two hyphens in a row, which AWS does not take", shown=False)
    engine = arguments.choice("engine", ElastiCacheEngine.VALKEY)
    serverless = arguments.flag("aws_serverless", False)
    service = (_SERVERLESS if serverless else _NODES)[engine]
    managed = read_managed(arguments, service)
    region = _read_region(arguments)
    primary: pulumi.Input[str] | None = arguments.value("aws_primary", None)
    version = managed.engine_version or (None if serverless else service.versions[-1])
    plan = Plan(
        name=name,
        region=region,
        engine=engine,
        managed=managed,
        version=version,
        node_type=None if serverless or primary is not None else _read_node_type(arguments, engine, managed, region),
        serverless=serverless,
        ecpu_per_second=_read_ecpu(arguments, serverless),
        subnet_ids=_read_subnets(arguments, serverless, managed),
        security_group_ids=_read_list(arguments, "aws_security_group_ids", "sg-") or None,
        kms_key=_read_key(arguments, engine, serverless),
        configs=_read_configs(arguments, engine),
        durability=arguments.choice("aws_durability", Durability.NONE),
        tls_optional=arguments.flag("aws_tls_optional", False),
        password_secret=arguments.value("aws_password_secret", None),
        password_version=arguments.whole("password_version", 1, 1, 1_000_000),
        password_previous_valid=arguments.flag("password_previous_valid", True),
        connection_secret=arguments.flag("aws_connection_secret", False),
        log_retention_days=_read_log_days(arguments, engine),
        alarm_topics=_read_list(arguments, "aws_alarm_topics", "arn:"),
        restore_from=arguments.value("aws_restore_from", None),
        final_backup=arguments.flag("aws_final_backup", managed.backups is not None),
        global_datastore=arguments.flag("aws_global_datastore", False),
        primary=primary,
    )
    _refuse_what_does_not_fit(arguments, plan)
    return plan


def _refuse_what_does_not_fit(arguments: Arguments, plan: Plan) -> None:
    managed = plan.managed
    nodes = managed.shards * (1 + managed.replicas_per_shard)
    if nodes > NODES_MAXIMUM:
        arguments.refuse(
            "shards", f"with {managed.replicas_per_shard} replicas of each these are {nodes} nodes, at most {NODES_MAXIMUM} are possible"
        )
    for key in ("password_version", "password_previous_valid", "aws_password_secret"):
        if arguments.given(key) and managed.auth is not Auth.PASSWORD:
            arguments.refuse(key, "there is no password: give auth: password, or leave it out")
    if arguments.given("password_version") and plan.password_secret is not None:
        arguments.refuse("password_version", "the password is in aws_password_secret: change it there, or leave one of both out")
    if plan.tls_optional and (not managed.tls or managed.auth is not Auth.NONE or plan.engine is ElastiCacheEngine.MEMCACHED):
        arguments.refuse("aws_tls_optional", "is for the way from tls: false to true, with auth none, of Valkey and Redis: leave it out")
    if plan.final_backup and (plan.engine is ElastiCacheEngine.MEMCACHED or plan.serverless) and arguments.given("aws_final_backup"):
        arguments.refuse("aws_final_backup", "only replication groups make one: leave it out")
    if plan.engine is ElastiCacheEngine.MEMCACHED and not plan.serverless:
        for key in ("aws_restore_from", "aws_global_datastore", "aws_primary"):
            if arguments.given(key):
                arguments.refuse(key, "Memcached has no backups and no copies in other regions: leave it out")
    if plan.serverless and isinstance(plan.restore_from, str) and not plan.restore_from.startswith("arn:"):
        arguments.refuse("aws_restore_from", "a serverless cache is restored from a snapshot's ARN, which begins with arn:")
    _refuse_durability(arguments, plan)
    _refuse_global(arguments, plan)


def _refuse_durability(arguments: Arguments, plan: Plan) -> None:
    if plan.durability is Durability.NONE or plan.serverless:
        return
    managed = plan.managed
    needs = {
        "engine valkey, 9.0 or newer": plan.engine is ElastiCacheEngine.VALKEY and (plan.version or "").startswith("9."),
        "several shards": plan.clustered,
        "high_availability with a replica": managed.high_availability and managed.replicas_per_shard > 0,
        "tls": managed.tls,
        "no aws_global_datastore": not plan.global_datastore and plan.primary is None,
        f"nodes that are no {TIERED}": plan.node_type is None or family_of(plan.node_type) != TIERED,
    }
    if missing := [need for need, there in needs.items() if not there]:
        arguments.refuse("aws_durability", f"needs {', '.join(missing)}")


def _refuse_global(arguments: Arguments, plan: Plan) -> None:
    if plan.primary is not None:
        if plan.global_datastore:
            arguments.refuse("aws_global_datastore", "a secondary can't be a primary too: leave it out")
        for key in _INHERITED:
            if arguments.given(key) and not (key == "shards" and plan.clustered):
                arguments.refuse(key, "a secondary has the primary's: leave it out", shown=key != "aws_kms_key")
    if (plan.global_datastore or plan.primary is not None) and not plan.managed.replicas_per_shard:
        arguments.refuse("replicas_per_shard", "members of a global datastore need a replica at least")
    if plan.global_datastore and plan.node_type and family_of(plan.node_type).startswith("t"):
        arguments.refuse("aws_node_type", "a global datastore has nodes of size large at least, of no t family: leave it out")


def _read_region(arguments: Arguments) -> str:
    region = arguments.value("region", None)
    if region is None:
        arguments.refuse("region", "is needed: one of AWS's regions, such as eu-west-1", shown=False)
    elif region not in regions():
        arguments.refuse("region", f"ElastiCache is not known there{suggest(str(region), list(regions()))}")
    return str(region)


def _read_node_type(arguments: Arguments, engine: ElastiCacheEngine, managed: Managed, region: str) -> str | None:
    known = node_types(region)
    if not known:
        return None
    given = arguments.value("aws_node_type", None)
    if given is None:
        chosen = node_type_for(managed.memory_gib, region, burstable=not arguments.value("aws_global_datastore", False))
        if chosen is None:
            arguments.refuse("memory_gib", f"no node in {region} has that much for data: more shards, of less each")
        return chosen
    if arguments.given("memory_gib"):
        arguments.refuse("memory_gib", "aws_node_type says what it has: leave one of both out")
    if given not in known:
        elsewhere = [each for each in regions() if given in node_types(each)]
        where = f"{region} does not have it, {', '.join(elsewhere[:3])} do" if elsewhere else f"there is no such node in {region}"
        arguments.refuse("aws_node_type", f"{where}{suggest(str(given), known)}")
        return None
    family = family_of(given)
    if family in VALKEY_ONLY and engine is not ElastiCacheEngine.VALKEY:
        arguments.refuse("aws_node_type", f"nodes of {family} are for Valkey only: leave it out, or give engine: valkey")
    if family == TIERED and engine is ElastiCacheEngine.MEMCACHED:
        arguments.refuse("aws_node_type", f"nodes of {TIERED} are for Valkey and Redis only")
    return str(given)


def _read_ecpu(arguments: Arguments, serverless: bool) -> int | None:
    if not arguments.given("aws_ecpu_per_second"):
        return None
    if not serverless:
        arguments.refuse("aws_ecpu_per_second", "only a serverless cache has such a limit: leave it out, or give aws_serverless: true")
    return arguments.whole("aws_ecpu_per_second", 1000, 1000, 15_000_000)


def _read_subnets(arguments: Arguments, serverless: bool, managed: Managed) -> list[pulumi.Input[str]]:
    if not arguments.given("aws_subnet_ids"):
        arguments.refuse("aws_subnet_ids", "is needed: subnets of a VPC, such as an AwsNetwork's subnet_ids", shown=False)
        return []
    found = _read_list(arguments, "aws_subnet_ids", "subnet-")
    if serverless and not 2 <= len(found) <= 3:
        arguments.refuse("aws_subnet_ids", f"has {len(found)}, a serverless cache has 2 or 3 in as many zones", shown=False)
    elif managed.high_availability and len(found) < 2 and (managed.replicas_per_shard or managed.shards > 1):
        arguments.refuse("aws_subnet_ids", f"has {len(found)}: with high_availability at least 2, in as many zones", shown=False)
    return found


def _read_list(arguments: Arguments, key: str, prefix: str) -> list[pulumi.Input[str]]:
    given = arguments.value(key, [])
    if not isinstance(given, list) or not all(isinstance(each, str | pulumi.Output) for each in given):
        arguments.refuse(key, "must be a list of strings", shown=False)
        return []
    for each in given:
        if isinstance(each, str) and not each.startswith(prefix):
            arguments.refuse(key, f"{each!r} does not begin with {prefix}", shown=False)
    return list(given)


def _read_key(arguments: Arguments, engine: ElastiCacheEngine, serverless: bool) -> pulumi.Input[str] | None:
    key: pulumi.Input[str] | None = arguments.value("aws_kms_key", None)
    if key is not None and engine is ElastiCacheEngine.MEMCACHED and not serverless:
        arguments.refuse("aws_kms_key", "Memcached keeps nothing that could be encrypted: leave it out")
    elif isinstance(key, str) and not re.fullmatch(r"arn:aws[a-z-]*:kms:.+:key/.+", key):
        arguments.refuse("aws_kms_key", "must be a key's ARN: arn:aws:kms:REGION:ACCOUNT:key/ID")
    return key


def _read_configs(arguments: Arguments, engine: ElastiCacheEngine) -> dict[str, str]:
    configs: Any = arguments.value("aws_configs", {})
    if not isinstance(configs, dict) or not all(isinstance(each, str) for each in [*configs, *configs.values()]):
        arguments.refuse("aws_configs", "must be a mapping of strings to strings")
        return {}
    known = _CONFIGS[ElastiCacheEngine.MEMCACHED if engine is ElastiCacheEngine.MEMCACHED else ElastiCacheEngine.VALKEY]
    for key in configs:
        if key == "maxmemory-policy":
            arguments.refuse("aws_configs", "'maxmemory-policy' has an argument of its own, maxmemory_policy")
        elif key not in known:
            arguments.refuse("aws_configs", f"{key!r} can't be set here{suggest(key, known)}")
    return dict(configs)


def _read_log_days(arguments: Arguments, engine: ElastiCacheEngine) -> int:
    if engine is ElastiCacheEngine.MEMCACHED:
        if arguments.given("aws_log_retention_days"):
            arguments.refuse("aws_log_retention_days", "Memcached delivers no logs: leave it out")
        return 0
    days = arguments.whole("aws_log_retention_days", 30, 0, 365)
    if days not in _LOG_DAYS:
        arguments.refuse("aws_log_retention_days", f"CloudWatch has only {', '.join(map(str, _LOG_DAYS[1:]))}, and 0 for no logs")
    return days
