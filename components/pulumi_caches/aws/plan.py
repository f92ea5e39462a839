"""What an ElastiCache is to be: its arguments, checked."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pulumi

from pulumi_caches.managed import Managed, Weekly

PORT = 6379
MEMCACHED_PORT = 11211


class ElastiCacheEngine(StrEnum):
    """What serves."""

    VALKEY = "valkey"
    """Valkey, a fifth cheaper than Redis."""
    REDIS = "redis"
    """Redis OSS, which ends at 7.1."""
    MEMCACHED = "memcached"
    """Memcached."""


class Durability(StrEnum):
    """What a lost server may cost, of Valkey 9.0 and newer with several shards."""

    NONE = "none"
    """What no replica has yet."""
    ASYNC = "async"
    """Only what is not in the log of several zones yet."""
    SYNC = "sync"
    """Nothing that was acknowledged."""


@dataclass(frozen=True)
class Plan:
    """The checked arguments."""

    name: str
    region: str
    engine: ElastiCacheEngine
    managed: Managed
    version: str | None
    """None where AWS chooses."""
    node_type: str | None
    """None without nodes of one's own, and for a secondary, which has the primary's."""
    serverless: bool
    ecpu_per_second: int | None
    subnet_ids: list[pulumi.Input[str]]
    security_group_ids: list[pulumi.Input[str]] | None
    kms_key: pulumi.Input[str] | None
    configs: dict[str, str]
    durability: Durability
    tls_optional: bool
    password_secret: pulumi.Input[str] | None
    """None for a generated one."""
    password_version: int
    password_previous_valid: bool
    connection_secret: bool
    log_retention_days: int
    alarm_topics: list[pulumi.Input[str]]
    restore_from: pulumi.Input[str] | None
    final_backup: bool
    global_datastore: bool
    primary: pulumi.Input[str] | None

    @property
    def clustered(self) -> bool:
        """Whether clients have to know its shards."""
        return self.managed.shards > 1

    @property
    def family(self) -> str:
        """Of its parameter group."""
        version = self.version or ""
        if self.engine is ElastiCacheEngine.MEMCACHED:
            return "memcached1.6"
        major = version.split(".")[0]
        return f"{self.engine.value}{'6.x' if major == '6' else major}"

    @property
    def members(self) -> list[str]:
        """What AWS calls its nodes."""
        copies = range(1, 2 + self.managed.replicas_per_shard)
        if self.clustered:
            return [f"{self.name}-{shard:04d}-{copy:03d}" for shard in range(1, self.managed.shards + 1) for copy in copies]
        return [f"{self.name}-{copy:03d}" for copy in copies]

    def common(self) -> dict[str, Any]:
        """What every resource is given."""
        return {"region": self.region, "tags": self.managed.tags}


def window(weekly: Weekly) -> str:
    """The hour in which AWS may maintain a cache, as its API has it."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    day = weekly.day.value[:3]
    ends = weekly.hour + 1
    last = day if ends < 24 else days[(days.index(day) + 1) % 7]
    return f"{day}:{weekly.hour:02d}:{weekly.minute:02d}-{last}:{ends % 24:02d}:{weekly.minute:02d}"
