"""Reads the arguments of Memorystore: what each of its services has, and what it refuses."""

import datetime
import re
from dataclasses import replace

import pulumi

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.gcp import memcached, redis_instance
from pulumi_caches.gcp.plan import MemorystoreEngine, Plan, Replication, ReplicationRole
from pulumi_caches.gcp.regions import read_region
from pulumi_caches.gcp.sizes import LARGEST, NODE_TYPES, NodeType, memcached_size_gib, node_type_for, redis_size_gib
from pulumi_caches.managed import Auth, Managed, Persistence, Service, read_managed

VALKEY = Service("Memorystore for Valkey", shards=250, replicas=5, versions=["7.2", "8.0", "9.0"], full_hours=True)
REDIS_CLUSTER = Service("Memorystore for Redis Cluster", shards=250, replicas=5, full_hours=True)
REDIS = Service(
    "Memorystore for Redis",
    replicas=5,
    versions=list(redis_instance.VERSIONS),
    auths=(Auth.PASSWORD, Auth.NONE),
    persistences=(Persistence.RDB, Persistence.NONE),
    backups=False,
    full_hours=True,
)
MEMCACHED = Service(
    "Memorystore for Memcached",
    shards=20,
    replicas=0,
    versions=list(memcached.VERSIONS),
    auths=(Auth.NONE,),
    persistences=(Persistence.NONE,),
    backups=False,
    full_hours=True,
    lacking={
        "tls": "Memorystore for Memcached speaks plain text only: leave it out",
        "maxmemory_policy": "Memcached removes what was not used for longest: leave it out",
        "purpose": "Memcached can only be a cache: leave it out",
    },
)
MEMCACHED_ENDS = datetime.date(2029, 1, 31)
REDIS_MAXIMUM_GIB = 300
_READ_REPLICAS_GIB = 5
_MEMCACHED_MAXIMUM_GIB = 256
_ZONE = re.compile(r"[a-z]+-[a-z]+[0-9]+-[a-z]")
_NETWORK = re.compile(r"projects/[^/]+/global/networks/[^/]+")
# The services' names; `maxmemory-policy` has an argument of its own.
_CONFIGS = {
    MemorystoreEngine.VALKEY: ["maxmemory", "maxmemory-clients", "notify-keyspace-events", "slowlog-log-slower-than"],
    MemorystoreEngine.REDIS: [
        "activedefrag",
        "lfu-decay-time",
        "lfu-log-factor",
        "maxmemory-clients",
        "maxmemory-gb",
        "notify-keyspace-events",
        "timeout",
    ],
}


def read_plan(arguments: Arguments, name: str) -> Plan:
    """Reads them all."""
    engine = arguments.choice("engine", MemorystoreEngine.VALKEY)
    service = _service(arguments, engine)
    managed = read_managed(arguments, service)
    node_type = _read_node_type(arguments, engine, managed) if service in (VALKEY, REDIS_CLUSTER) else None
    if node_type is None and arguments.given("gcp_node_type"):
        arguments.refuse("gcp_node_type", f"{service.title} has no kinds of nodes: leave it out")
    region = read_region(arguments)
    return Plan(
        name=name,
        region=region,
        project=arguments.value("gcp_project", None),
        network=_read_network(arguments),
        engine=engine,
        managed=managed,
        node_type=node_type,
        size_gib=_read_size_gib(arguments, service, managed),
        memcached_cpus=_read_cpus(arguments, engine),
        zone=_read_zone(arguments, region, managed, service),
        configs=_read_configs(arguments, engine, managed),
        replication=_read_replication(arguments, service, node_type),
        kms_key=_read_key(arguments, engine),
        deletion_protection=arguments.flag("gcp_deletion_protection", True),
    )


def _service(arguments: Arguments, engine: MemorystoreEngine) -> Service:
    if engine is MemorystoreEngine.VALKEY:
        return VALKEY
    if engine is MemorystoreEngine.MEMCACHED:
        if datetime.datetime.now(datetime.UTC).date() > MEMCACHED_ENDS:
            arguments.refuse("engine", f"Google has shut Memorystore for Memcached down on {MEMCACHED_ENDS}: give valkey")
        return MEMCACHED
    if arguments.value("shards", 1) != 1:
        return REDIS_CLUSTER
    # Without a replica it is another tier.
    return REDIS if arguments.value("high_availability", True) else replace(REDIS, replicas=0)


def _read_node_type(arguments: Arguments, engine: MemorystoreEngine, managed: Managed) -> NodeType | None:
    valkey_only = engine is MemorystoreEngine.VALKEY and managed.shards == 1
    known = [each.name for each in NODE_TYPES.values() if valkey_only or not each.valkey_only]
    if arguments.given("gcp_node_type"):
        named = str(arguments.value("gcp_node_type", ""))
        if named in NODE_TYPES and named not in known:
            arguments.refuse("gcp_node_type", "is for Valkey with one shard only")
        elif named not in known:
            arguments.refuse("gcp_node_type", f"must be one of {', '.join(known)}{suggest(named.upper(), known)}")
        elif arguments.given("memory_gib") and NODE_TYPES[named].memory_gib < managed.memory_gib:
            arguments.refuse(
                "memory_gib", f"{named} has {NODE_TYPES[named].memory_gib:.2f} GiB for data: give less, or leave one of both out"
            )
        return NODE_TYPES.get(named)
    fitting = node_type_for(managed.memory_gib, valkey_only=valkey_only)
    if fitting is None:
        shards = -(-managed.memory_gib * managed.shards // LARGEST.memory_gib)
        arguments.refuse(
            "memory_gib",
            f"the largest node has {LARGEST.memory_gib:.2f} GiB for data: give less for each of more shards, here at least {shards:.0f}",
        )
    return fitting


def _read_size_gib(arguments: Arguments, service: Service, managed: Managed) -> int:
    if service is MEMCACHED:
        size, maximum = memcached_size_gib(managed.memory_gib), _MEMCACHED_MAXIMUM_GIB
    else:
        size, maximum = redis_size_gib(managed.memory_gib), REDIS_MAXIMUM_GIB
    if service.title in (MEMCACHED.title, REDIS.title) and size > maximum:
        arguments.refuse("memory_gib", f"needs a size of {size} GiB with what is left free, and {service.title} has at most {maximum}")
    if service.title == REDIS.title and managed.replicas_per_shard > 1 and size < _READ_REPLICAS_GIB:
        arguments.refuse(
            "replicas_per_shard", f"more than one needs a size of {_READ_REPLICAS_GIB} GiB: give memory_gib of at least 4, or 1"
        )
    return size


def _read_cpus(arguments: Arguments, engine: MemorystoreEngine) -> int:
    if arguments.given("gcp_memcached_cpus") and engine is not MemorystoreEngine.MEMCACHED:
        arguments.refuse("gcp_memcached_cpus", "only nodes of Memcached are chosen by processors: leave it out")
    return arguments.whole("gcp_memcached_cpus", 1, 1, 32)


def _read_network(arguments: Arguments) -> pulumi.Input[str]:
    network: pulumi.Input[str] = arguments.value("gcp_network", "")
    if isinstance(network, str) and not _NETWORK.fullmatch(network):
        arguments.refuse("gcp_network", "is needed: projects/PROJECT/global/networks/NAME, or GcpNetwork's network_id")
    return network


def _read_zone(arguments: Arguments, region: str, managed: Managed, service: Service) -> str | None:
    zone = arguments.text("gcp_zone", "", _ZONE, "must be one of Google's zones, such as europe-west1-b") or None
    if zone and managed.high_availability and service.replicas:
        arguments.refuse("gcp_zone", "with high_availability Google takes several zones: leave it out, or give high_availability: false")
    if zone and region and not zone.startswith(f"{region}-"):
        arguments.refuse("gcp_zone", f"is not in region {region}")
    if not zone and not managed.high_availability and service in (VALKEY, REDIS_CLUSTER):
        arguments.refuse("gcp_zone", "is needed without high_availability: the zone that it is all in", shown=False)
    return zone


def _read_configs(arguments: Arguments, engine: MemorystoreEngine, managed: Managed) -> dict[str, str]:
    configs = arguments.value("gcp_configs", {})
    known = _CONFIGS.get(engine, [])
    if not isinstance(configs, dict) or not all(isinstance(part, str) for part in [*configs, *configs.values()]):
        arguments.refuse("gcp_configs", "must be a mapping of strings to strings")
        return {}
    for key in configs:
        if key == "maxmemory-policy":
            arguments.refuse("gcp_configs", "'maxmemory-policy' has an argument of its own: give maxmemory_policy")
        elif key not in known:
            have = f"the service takes {', '.join(known)}" if known else "this engine takes none"
            arguments.refuse("gcp_configs", f"{key!r}: {have}{suggest(key, known)}")
    return {**({} if engine is MemorystoreEngine.MEMCACHED else {"maxmemory-policy": managed.maxmemory_policy.value}), **configs}


def _read_replication(arguments: Arguments, service: Service, node_type: NodeType | None) -> Replication | None:
    primary = arguments.value("gcp_primary", None)
    secondaries = arguments.value("gcp_secondaries", [])
    if not arguments.given("gcp_replication_role"):
        for key in ("gcp_primary", "gcp_secondaries"):
            if arguments.given(key):
                arguments.refuse(key, "needs gcp_replication_role", shown=False)
        return None
    role = arguments.choice("gcp_replication_role", ReplicationRole.PRIMARY)
    if service not in (VALKEY, REDIS_CLUSTER):
        arguments.refuse(
            "gcp_replication_role", f"{service.title} is not replicated across regions: use engine valkey, or redis with shards"
        )
    if (role is ReplicationRole.SECONDARY) != (primary is not None):
        arguments.refuse("gcp_primary", "a secondary needs it, the full name of the primary, and nobody else has one", shown=False)
    if secondaries and role is not ReplicationRole.PRIMARY:
        arguments.refuse("gcp_secondaries", "only a primary has them", shown=False)
    return Replication(role, primary, list(secondaries))


def _read_key(arguments: Arguments, engine: MemorystoreEngine) -> pulumi.Input[str] | None:
    key: pulumi.Input[str] | None = arguments.value("gcp_kms_key", None)
    if key is not None and engine is MemorystoreEngine.MEMCACHED:
        arguments.refuse("gcp_kms_key", "Memcached keeps nothing that could be encrypted: leave it out")
    elif isinstance(key, str) and "/cryptoKeys/" not in key:
        arguments.refuse("gcp_kms_key", "must be projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY")
    return key
