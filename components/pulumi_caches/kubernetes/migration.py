"""Brings the data of a server elsewhere into a new cache: a Job that runs `caches migrate`."""

import re
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import labels, pod
from pulumi_caches.kubernetes.credentials import KEY_PATTERN, KEY_RULE, Credentials, from_secret
from pulumi_caches.kubernetes.server import PORT, Server
from pulumi_caches.kubernetes.tls_secret import Certificate

_ADDRESS = re.compile(r"([a-zA-Z0-9]([-.a-zA-Z0-9_]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\]):([1-9][0-9]{0,4})")
_PORT_MAXIMUM = 65535
_USERNAME = re.compile(r"[^\s]+")
# The codes that `caches migrate` ends with when another attempt would end in the same way.
_REFUSED, _UNFINISHED = 3, 4
# The copier holds up to 16 MiB of values, or a single value that may be larger, once as it was read and once compared.
_MEMORY = {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
_SOURCE = "source"


class MigrateArgs(TypedDict):
    """Arguments of everything that can take over the data of a server elsewhere."""

    migrate_from: NotRequired[str]
    """Running Redis or Valkey to copy all keys of, as host:port: a single server or a master. Default: none."""
    migrate_cut_over: NotRequired[bool]
    """Whether to hold its writes, for good, once all is copied and equal; false only copies. Default: false."""
    migrate_secret_name: NotRequired[pulumi.Input[str]]
    """Secret in the same namespace with its password, and with ca.crt when its authority is not a public one. Default: none."""
    migrate_password_key: NotRequired[str]
    """The Secret's key with the password. Default: password."""
    migrate_username: NotRequired[str]
    """User of the source to log in as. Default: its default user."""
    migrate_tls: NotRequired[bool]
    """Whether the source speaks TLS. Default: false."""
    migrate_timeout_minutes: NotRequired[int]
    """How long `pulumi up` waits for the copy, in minutes, 1 to 10080. Default: 60."""


@dataclass(frozen=True)
class Migration:
    """Checked arguments."""

    source: str
    cut_over: bool
    secret_name: pulumi.Input[str] | None
    password_key: str
    username: str
    tls: bool
    timeout_minutes: int

    def arguments(self) -> list[pulumi.Input[str]]:
        """What `caches migrate` gets of the source."""
        given = [f"--source={self.source}", f"--source-password-file={pod.CREDENTIALS_FOLDER}/{_SOURCE}-password"]
        if self.username:
            given.append(f"--source-username={self.username}")
        if self.tls:
            given += ["--source-tls", f"--source-ca-file={pod.CREDENTIALS_FOLDER}/{_SOURCE}-ca.crt"]
        return [*given, *(["--cut-over"] if self.cut_over else [])]

    def volume_sources(self) -> list[dict[str, Any]]:
        """Its files; a key that is missing is found by who needs it, and says so."""
        if self.secret_name is None:
            return []
        keys = {self.password_key: f"{_SOURCE}-password", **({"ca.crt": f"{_SOURCE}-ca.crt"} if self.tls else {})}
        return [from_secret(self.secret_name, key, path, optional=True) for key, path in keys.items()]


def read_migration(arguments: Arguments) -> Migration | None:
    """Reads and checks MigrateArgs; None when nothing is to be copied."""
    rule = "must be host:port of a running server, such as redis.old.svc:6379"
    source = arguments.text("migrate_from", "", _ADDRESS, rule)
    if source and int(source.rpartition(":")[2]) > _PORT_MAXIMUM:
        arguments.refuse("migrate_from", f"{rule}; a port is at most {_PORT_MAXIMUM}")
    migration = Migration(
        source=source,
        cut_over=arguments.flag("migrate_cut_over", False),
        secret_name=arguments.value("migrate_secret_name", None),
        password_key=arguments.text("migrate_password_key", "password", KEY_PATTERN, KEY_RULE),
        username=arguments.text("migrate_username", "", _USERNAME, "must be a user's name, without spaces"),
        tls=arguments.flag("migrate_tls", False),
        timeout_minutes=arguments.whole("migrate_timeout_minutes", 60, 1, 10_080),
    )
    if arguments.given("migrate_from"):
        for key in ("migrate_password_key", "migrate_username"):
            if arguments.given(key) and migration.secret_name is None:
                arguments.refuse(key, "needs migrate_secret_name, where the password is")
        return migration
    for key in MigrateArgs.__annotations__:
        if arguments.given(key):
            arguments.refuse(key, "needs migrate_from")
    return None


def migrate_pod(
    name: str,
    migration: Migration,
    namespace: pulumi.Input[str],
    image: pulumi.Input[str],
    credentials: Credentials,
    certificate: Certificate | None,
    server: Server,
) -> dict[str, Any]:
    """The spec of the copier's pod."""
    # Only the application's password: it may write every key, and the system user may not.
    sources = [from_secret(credentials.secret_name, credentials.secret_key, "password"), *migration.volume_sources()]
    arguments: list[pulumi.Input[str]] = [
        "migrate",
        *migration.arguments(),
        pulumi.Output.concat("--target=", name, ".", namespace, f".svc:{PORT}"),
        f"--target-password-file={pod.CREDENTIALS_FOLDER}/password",
    ]
    spec = pod.runtime_pod("migrate", image, arguments, sources, certificate, server.image_pull_secrets)
    spec["containers"][0]["resources"] = _MEMORY
    return spec


def migrate_job(
    name: str, migration: Migration, spec: dict[str, Any], metadata: dict[str, Any], opts: pulumi.ResourceOptions
) -> k8s.batch.v1.Job:
    """The Job `NAME-migrate`, which ends when the copy is equal or, where asked for, has taken over. Made again when an argument changes.

    Its pod has a name label of its own, so that no Service or disruption budget of the servers takes it for one of them.
    """
    limit = pulumi.CustomTimeouts(create=f"{migration.timeout_minutes}m")
    return k8s.batch.v1.Job(
        f"{name}-migrate",
        metadata={**metadata, "name": f"{name}-migrate", "annotations": {"pulumi.com/replaceUnready": "true"}},
        spec={
            # It can go on after any end of its pod: a node that is drained, for one.
            "backoff_limit": 6,
            "pod_failure_policy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "on_exit_codes": {"container_name": "migrate", "operator": "In", "values": [_REFUSED, _UNFINISHED]},
                    }
                ]
            },
            "active_deadline_seconds": migration.timeout_minutes * 60,
            "template": {
                "metadata": {"labels": {**metadata["labels"], labels.NAME: "migrate"}},
                "spec": {**spec, "restart_policy": "Never"},
            },
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(custom_timeouts=limit)),
    )
