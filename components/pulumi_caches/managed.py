"""What caches of the three clouds are asked for in the same words: size, availability, logins, backups, maintenance, eviction.

Each component says in its own table what its cloud calls them. What only one cloud has begins with aws_, azure_ or gcp_.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NotRequired, TypedDict, TypeVar

import pulumi

from pulumi_caches.arguments import Arguments, suggest
from pulumi_caches.purpose import EvictionPolicy, Persistence, Purpose, read_purpose

__all__ = [
    "Auth",
    "Backups",
    "EvictionPolicy",
    "Managed",
    "ManagedArgs",
    "Persistence",
    "Purpose",
    "Service",
    "Weekday",
    "Weekly",
    "read_managed",
    "warn_of_region",
]

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_TAG = re.compile(r"[^\x00-\x1f]{1,63}")
_TAGS_MAXIMUM = 50
_GIB_MAXIMUM = 4096


class Auth(StrEnum):
    """How clients log in."""

    CLOUD = "cloud"
    """With the cloud's own identities and short-lived tokens: IAM of AWS and Google, Microsoft Entra ID."""
    PASSWORD = "password"
    """With a password that is in the connection."""
    NONE = "none"
    """Whoever reaches the cache is let in."""


class Weekday(StrEnum):
    """A day."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


Choice = TypeVar("Choice", Auth, Persistence)


class ManagedArgs(TypedDict):
    """Arguments that mean the same in each cloud."""

    region: str
    """The cloud's region, such as eu-west-1, westeurope or europe-west1. Another one is another cache."""
    memory_gib: NotRequired[float]
    """GiB for data in each shard; the size chosen is the smallest that has it beyond what the cloud reserves. Default: 1."""
    shards: NotRequired[int]
    """Parts that the data is divided into; with more than one, clients have to speak Cluster. Default: 1."""
    replicas_per_shard: NotRequired[int]
    """Copies of each shard that can take over and be read. Default: 1, without high_availability 0."""
    high_availability: NotRequired[bool]
    """Whether another server in another zone takes over from one that is lost. Default: true."""
    engine_version: NotRequired[str]
    """Version of the engine, such as 8.0. Default: the newest that the cloud offers."""
    tls: NotRequired[bool]
    """Whether clients speak TLS. Default: true, where the cloud has it."""
    auth: NotRequired[Auth]
    """cloud, password or none. Default: cloud, where it can be had."""
    purpose: NotRequired[Purpose]
    """cache, session or queue: what follows for maxmemory_policy and persistence. Default: nothing is lost."""
    maxmemory_policy: NotRequired[EvictionPolicy]
    """What is removed when memory is full. Default: by purpose, else noeviction."""
    persistence: NotRequired[Persistence]
    """none, rdb or aof: what is on disk. Default: by purpose, else the most that the cloud has."""
    backup_retention_days: NotRequired[int]
    """Days that the daily backups are kept; 0 makes none. Default: 7, for purpose cache 0."""
    backup_time: NotRequired[str]
    """When backups begin, HH:MM in UTC. Default: 03:00."""
    maintenance_day: NotRequired[Weekday]
    """Day of the week on which the cloud may maintain it. Default: sunday."""
    maintenance_time: NotRequired[str]
    """When that begins, HH:MM in UTC. Default: 05:00."""
    tags: NotRequired[dict[str, str]]
    """Tags, or labels, of everything that is made. Default: none."""


@dataclass(frozen=True)
class Backups:
    """Made each day, in UTC."""

    hour: int
    minute: int
    retention_days: int


@dataclass(frozen=True)
class Weekly:
    """When the cloud may maintain it, in UTC."""

    day: Weekday
    hour: int
    minute: int


@dataclass(frozen=True)
class Managed:
    """The checked arguments."""

    memory_gib: float
    shards: int
    replicas_per_shard: int
    high_availability: bool
    engine_version: str | None
    tls: bool
    auth: Auth
    purpose: Purpose | None
    maxmemory_policy: EvictionPolicy
    persistence: Persistence
    backups: Backups | None
    maintenance: Weekly
    tags: dict[str, str]


@dataclass(frozen=True)
class Service:
    """What a cloud's service has of what can be asked for."""

    title: str
    """What the cloud calls it."""
    shards: int = 1
    """The most there can be."""
    replicas: int = 1
    """The most of each shard."""
    versions: Sequence[str] = ()
    """Of the engine, from the oldest; none when the cloud chooses."""
    auths: Sequence[Auth] = (Auth.CLOUD, Auth.NONE)
    """How clients can log in, from the default."""
    persistences: Sequence[Persistence] = (Persistence.AOF, Persistence.RDB, Persistence.NONE)
    """What it can have on disk, from what keeps most."""
    backups: bool = True
    """Whether the cloud makes some each day."""
    tls_always: bool = False
    """Whether clients can't do without TLS."""
    full_hours: bool = False
    """Whether backups and maintenance begin at full hours only."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Arguments that it has no use for, and why."""


def read_managed(arguments: Arguments, service: Service) -> Managed:
    """Reads them all but `region`, and refuses what the service has not."""
    for key, why in service.lacking.items():
        if arguments.given(key):
            arguments.refuse(key, why)
    high_availability = arguments.flag("high_availability", True)
    replicas = arguments.whole("replicas_per_shard", 1 if high_availability and service.replicas else 0, 0, service.replicas)
    if high_availability and not replicas and service.replicas:
        arguments.refuse("replicas_per_shard", "nobody could take over: give at least 1, or high_availability: false")
    auth = _one_of(arguments, "auth", service.auths[0], service.auths, service)
    tls = service.tls_always or ("tls" not in service.lacking and arguments.flag("tls", True))
    if auth is not Auth.NONE and not tls:
        arguments.refuse("tls", f"with auth {auth} logins would cross the network in plain text: leave it out, or give auth: none")
    purpose, maxmemory_policy, persistence = read_purpose(arguments)
    if persistence not in service.persistences and not arguments.given("persistence"):
        persistence = service.persistences[0]
    return Managed(
        memory_gib=arguments.number("memory_gib", 1, 0.1, _GIB_MAXIMUM),
        shards=arguments.whole("shards", 1, 1, service.shards),
        replicas_per_shard=replicas,
        high_availability=high_availability,
        engine_version=_read_version(arguments, service),
        tls=tls,
        auth=auth,
        purpose=purpose,
        maxmemory_policy=maxmemory_policy,
        persistence=_one_of(arguments, "persistence", persistence, service.persistences, service),
        backups=_read_backups(arguments, purpose, service),
        maintenance=Weekly(
            arguments.choice("maintenance_day", Weekday.SUNDAY), *_read_time(arguments, "maintenance_time", "05:00", service.full_hours)
        ),
        tags=_read_tags(arguments),
    )


def warn_of_region(region: str, known: Sequence[str], whose: str) -> None:
    """Says in the preview that a region is not known here: the cloud may have opened it since."""
    if region not in known:
        pulumi.log.warn(f"region {region!r} is none of {whose} regions that are known here{suggest(region, list(known))}")


def _one_of(arguments: Arguments, key: str, default: Choice, possible: Sequence[Choice], service: Service) -> Choice:
    chosen = arguments.choice(key, default)
    if chosen not in possible:
        arguments.refuse(key, f"{service.title} has only {', '.join(possible)}")
        return possible[0]
    return chosen


def _read_version(arguments: Arguments, service: Service) -> str | None:
    version: Any = arguments.value("engine_version", None)
    if version is None:
        return None
    if not service.versions:
        arguments.refuse("engine_version", f"the cloud chooses that of {service.title}: leave it out")
    elif version not in service.versions:
        known = list(service.versions)
        arguments.refuse("engine_version", f"{service.title} has {', '.join(known)}, as text{suggest(str(version), known)}")
    return str(version)


def _read_backups(arguments: Arguments, purpose: Purpose | None, service: Service) -> Backups | None:
    days = arguments.whole("backup_retention_days", 7 if service.backups and purpose is not Purpose.CACHE else 0, 0, 35)
    hour, minute = _read_time(arguments, "backup_time", "03:00", service.full_hours)
    if days and not service.backups:
        arguments.refuse(
            "backup_retention_days", f"{service.title} makes no backups each day: give 0, and use CacheBackup where it can be reached"
        )
    if arguments.given("backup_time") and not days:
        arguments.refuse("backup_time", "there are no backups: give backup_retention_days, or leave it out")
    return Backups(hour, minute, days) if days else None


def _read_time(arguments: Arguments, key: str, default: str, full_hours: bool) -> tuple[int, int]:
    hour, minute = arguments.text(key, default, _TIME, "must be a time of day in UTC, HH:MM").split(":")
    if full_hours and minute != "00":
        arguments.refuse(key, "this cloud begins at full hours only")
    return int(hour), int(minute)


def _read_tags(arguments: Arguments) -> dict[str, str]:
    tags = arguments.value("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(part, str) for part in [*tags, *tags.values()]):
        arguments.refuse("tags", "must be a mapping of strings to strings")
        return {}
    if len(tags) > _TAGS_MAXIMUM:
        arguments.refuse("tags", f"has {len(tags)}, at most {_TAGS_MAXIMUM} are possible", shown=False)
    for name in tags:
        if not _TAG.fullmatch(name):
            arguments.refuse("tags", f"{name!r} is not 1 to 63 characters")
    return dict(tags)
