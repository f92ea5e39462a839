"""What is known of one cache: what its connection says, its servers answer and the cluster has. Nothing in it is secret."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

# As the Kubernetes API gives it.
Object = Mapping[str, Any]
Found = TypeVar("Found")


@dataclass(frozen=True)
class NotKnown:
    """In the place of what could not be found out."""

    why: str


@dataclass(frozen=True)
class Cache:
    """What the connection says, but for the password."""

    name: str
    engine: str
    mode: str
    host: str
    tls: bool
    provider: str = "kubernetes"
    purpose: str = ""
    """cache, session or queue; empty where nobody said."""
    master_name: str = ""
    password: bool = True
    """Whether clients need one."""

    @property
    def speaks_redis(self) -> bool:
        """Whether it is Redis or Valkey."""
        return self.engine in ("redis", "valkey")

    @property
    def expendable(self) -> bool:
        """Whether all that it holds can be computed again."""
        return self.purpose == "cache" or self.engine == "memcached"


@dataclass(frozen=True)
class Certificate:
    """What a server shows."""

    days: float = 0
    """For how many days it is still valid."""
    problem: str = ""
    """Why a client that trusts the connection's authority does not accept it."""


@dataclass(frozen=True)
class Server:
    """One server, or sentinel, as it answers. With a problem the rest is not known."""

    name: str
    """Its pod's."""
    problem: str = ""
    """Why a client that knows the password is not served."""
    info: Mapping[str, str] = field(default_factory=dict)
    """INFO; of Memcached its stats; of a sentinel what it knows of the master."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the configuration, what checks ask for."""
    cluster: Mapping[str, str] = field(default_factory=dict)
    """CLUSTER INFO."""
    serves_strangers: bool = False
    """Whether a client without a password is served."""
    answers_plaintext: bool = False
    """Whether a client that does not speak TLS is answered."""
    certificate: Certificate | None = None

    @property
    def master(self) -> bool:
        """Whether it takes writes."""
        return self.info.get("role") == "master"

    def number(self, key: str) -> int:
        """A number of its INFO; 0 without one."""
        return int(self.info.get(key, "0"))


@dataclass(frozen=True)
class Facts:
    """All that is known of a cache."""

    cache: Cache
    now: float
    """Seconds since 1970."""
    servers: Sequence[Server] | NotKnown = ()
    sentinels: Sequence[Server] | NotKnown = ()
    pods: Sequence[Object] | NotKnown = ()
    """Of the servers."""
    nodes: Sequence[Object] | NotKnown = ()
    budgets: Sequence[Object] | NotKnown = ()
    """PodDisruptionBudgets of the namespace."""
    policies: Sequence[Object] | NotKnown = ()
    """NetworkPolicies of the namespace."""
    volumes: Mapping[str, float] | NotKnown = field(default_factory=dict)
    """How much of each claim's volume is used, 0 to 1."""
    backups: Sequence[Object] | NotKnown = ()
    """CronJobs of CacheBackup that are for this cache."""
    exporters: Sequence[Object] | NotKnown = ()
    """Deployments of CacheMonitoring that are for this cache."""
    rules: Sequence[Object] | NotKnown = ()
    """PrometheusRules and ConfigMaps with rules that are for this cache."""

    @property
    def answering(self) -> list[Server]:
        """The servers that told about themselves."""
        return [server for server in known(self.servers) if not server.problem]

    @property
    def masters(self) -> list[Server]:
        """Those that take writes."""
        return [server for server in self.answering if server.master]

    def pod(self, server: Server) -> Object | None:
        """The server's pod."""
        return next((pod for pod in known(self.pods) if pod["metadata"]["name"] == server.name), None)


def known(found: Found | NotKnown) -> Found:
    """What was found; only asked by checks that need it, which are not run without it."""
    if isinstance(found, NotKnown):
        raise TypeError(f"not known: {found.why}")
    return found
