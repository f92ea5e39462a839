"""What CacheMonitoring makes of a connection: which servers are asked, how, and by what their series are told apart."""

import json
from dataclasses import dataclass, field

from pulumi_caches.arguments import ArgumentError
from pulumi_caches.connection import Connection

EXPORTER_PORT = 9121
CERTIFICATE_PORT = 9115
# In the exporter's pod, and only for it: one port after the other for each Memcached that takes a login.
LOGIN_PORT = 11300
BACKUP_PORT = 9199
# The user that a cache's connection may have a password for.
EXPORTER = "exporter"


@dataclass(frozen=True)
class Target:
    """One address to scrape: what a port of a pod says about one server, or about backups."""

    instance: str
    """The server as host:port, which its series are labelled with."""
    service: str
    """Service in the same namespace that leads to the pod."""
    port: str
    """Name of the pod's port, and of the Service's."""
    path: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class Monitored:
    """One cache. Nothing in it is secret."""

    name: str
    namespace: str
    """Of the exporter, which with the name tells this cache's series from all others."""
    engine: str
    mode: str
    servers: tuple[str, ...]
    """Each as host:port."""
    sentinels: tuple[str, ...]
    username: str
    """Empty for the default user, and where Memcached takes no login."""
    tls: bool
    authority_pem: str
    """Empty for a public one."""
    provider: str
    region: str
    pods: dict[str, str] = field(default_factory=dict)
    """Labels of its pods, where those have an exporter."""
    in_pod: bool = False
    """Whether this is what the exporter beside a server sees."""
    backup: str = ""
    """Name of its CacheBackup in the same namespace; empty without one."""

    @property
    def prefix(self) -> str:
        """What the names of the exporter's metrics begin with."""
        return "memcached" if self.engine == "memcached" else "redis"

    @property
    def selector(self) -> dict[str, str]:
        """The labels that all series of this cache have, and no others."""
        return {"cache": self.name, "namespace": self.namespace}

    @property
    def series_labels(self) -> dict[str, str]:
        """What every scrape adds, but for the namespace, which Prometheus knows."""
        where = {"provider": self.provider, "region": self.region}
        return {"cache": self.name, **{key: value for key, value in where.items() if value}}

    @property
    def targets(self) -> list[Target]:
        """What is scraped of the exporter."""
        service = f"{self.name}-exporter"
        asked = [Target(each, service, "exporter", "/scrape", {"target": self.address(each)}) for each in self.addresses]
        if self.tls:
            asked += [Target(each, service, "certificates", "/probe", {"module": "tls", "target": each}) for each in self.addresses]
        return asked

    @property
    def backup_targets(self) -> list[Target]:
        """What is scraped of its CacheBackup."""
        service = f"{self.backup}-backup-metrics"
        return [Target(f"{service}:{BACKUP_PORT}", service, "metrics", "/metrics", {})] if self.backup else []

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of servers and sentinels."""
        return self.servers + self.sentinels

    @property
    def logins(self) -> dict[str, int]:
        """For each Memcached that takes a login, the port in the exporter's pod where what asks is logged in."""
        takes_login = self.engine == "memcached" and self.username
        return {server: LOGIN_PORT + number for number, server in enumerate(self.servers)} if takes_login else {}

    def address(self, server: str) -> str:
        """A server as the exporter is asked for it."""
        if self.engine == "memcached":
            return f"127.0.0.1:{self.logins[server]}" if self.logins else server
        return f"{'rediss' if self.tls else 'redis'}://{server}"

    def passwords(self, password: str) -> str:
        """The file that redis_exporter takes passwords from."""
        user = f"{self.username}@" if self.username else ""
        return json.dumps({self.address("").replace("://", f"://{user}") + server: password for server in self.addresses})


def monitored(name: str, backup: str, namespace: str, connection: Connection, *, sidecars: bool = False) -> Monitored:
    """Reads a connection. Raises ArgumentError when no exporter can log in there; with `sidecars`, when there is none in its pods."""
    if problem := _problem_in_pods(namespace, connection) if sidecars else _problem(connection):
        raise ArgumentError(f"CacheMonitoring {name!r} can't be made:\n  * connection: {problem}")
    # From other languages numbers arrive as floats.
    servers = connection.get("nodes") or [f"{connection['host']}:{int(connection['port'])}"]
    return Monitored(
        name=name,
        namespace=namespace,
        engine=connection["engine"],
        mode=connection["mode"],
        servers=tuple(servers),
        sentinels=tuple(connection.get("sentinels") or ()),
        username=_username(connection),
        tls=connection["tls"],
        authority_pem=connection.get("ca_pem", ""),
        provider=connection["provider"],
        region=connection.get("region", ""),
        pods=connection.get("exporter_pods", {}),
        backup=backup,
    )


def password_of(connection: Connection) -> str:
    """Of the user that the exporter logs in as; empty without one."""
    return connection.get("exporter_password") or connection.get("password") or ""


def _username(connection: Connection) -> str:
    if connection["engine"] == "memcached" and connection.get("auth") == "none":
        return ""
    return EXPORTER if "exporter_password" in connection else connection.get("username", "")


def _problem_in_pods(namespace: str, connection: Connection) -> str:
    """Why there are no exporters to be scraped in the cache's pods; empty when there are."""
    if not connection.get("exporter_pods"):
        return "its pods have no exporter: give the cache exporter_sidecar, or leave out exporter here"
    if any(f".{namespace}.svc:" not in node for node in connection["nodes"]):
        return f"its pods are not in namespace {namespace!r}, where their exporters are looked for: give the namespace of the cache"
    return ""


def _problem(connection: Connection) -> str:
    """Why there can be no exporter, and so neither alerts nor dashboards; empty when there can."""
    if connection["engine"] not in ("redis", "valkey", "memcached"):
        return f"engine {connection['engine']!r} has no exporter: there is one for redis, valkey and memcached"
    if connection.get("auth") in ("iam", "entra"):
        return f"the exporter can't log in with auth {connection['auth']}: give the cache a user with a password"
    if connection.get("auth") != "none" and not password_of(connection):
        return "it has no password, which the exporter needs: let the cache read its Secret (existing_secret_read)"
    if connection["engine"] == "memcached" and connection.get("auth") != "none" and not connection.get("username"):
        return "it has no username, which Memcached's login needs: give it one, or auth none where there is no login"
    return ""
