"""Who may log in: the default user with the application's password, a system user for probes and replication, and an exporter.

The application's password is made once and kept in the state (pulumi.Stash), or comes from an existing Secret. Two are
valid at a time, the current and the previous one, so clients can be switched while both work. Servers apply a changed
Secret themselves (scripts/probe.sh), without a restart; the system user's password never changes with it, so replication
and probes do not notice a rotation.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.kept import keep_secret
from pulumi_caches.kubernetes import labels

# 24 random bytes: 192 bits, more than the hash that the server keeps can leak.
PASSWORD_BYTES = 24
KEY_PATTERN = re.compile(r"[-._a-zA-Z0-9]{1,253}")
KEY_RULE = "must be a Secret's key: letters, digits, '-', '_' and '.', at most 253"


class ExistingSecretArgs(TypedDict):
    """Arguments of everything that can take its password from a Secret."""

    existing_secret_name: NotRequired[pulumi.Input[str]]
    """Secret in the same namespace to take the password from. Default: none, a password is generated."""
    existing_secret_key: NotRequired[str]
    """Its key with the current password. Default: password."""
    existing_secret_read: NotRequired[bool]
    """Whether to read it, for its keys and for `connection`; false where manifests are rendered without a cluster. Default: true."""


class CredentialArgs(ExistingSecretArgs):
    """Arguments of everything whose password can be rotated."""

    password_version: NotRequired[int]
    """Raise it by one for a new generated password; the one before stays valid beside it. Default: 1."""
    password_previous_valid: NotRequired[bool]
    """Whether the password before the current one is accepted; false once all clients have moved. Default: true."""
    existing_secret_previous_key: NotRequired[str]
    """Its key with a password that is accepted too; may be missing. Default: previous-password."""


@dataclass(frozen=True)
class ExistingSecret:
    """Checked arguments of a Secret that may hold the password."""

    read: bool
    key: str


@dataclass(frozen=True)
class CredentialPlan(ExistingSecret):
    """Checked arguments: where the password comes from."""

    version: int
    previous_valid: bool
    previous_key: str


@dataclass(frozen=True)
class Password:
    """A password that is not rotated, and where it is."""

    value: pulumi.Output[str] | None
    """None when it is in an existing Secret that was not read."""
    secret_name: pulumi.Input[str]
    secret_key: pulumi.Input[str]
    """Known once the Secret was seen to have it."""


@dataclass(frozen=True)
class Credentials:
    """What the rest of a component needs: the password, how pods get it, and what changes when it does."""

    password: pulumi.Output[str] | None
    """None when it is in an existing Secret that was not read."""
    volume_sources: list[dict[str, Any]]
    secret_name: pulumi.Input[str]
    """Secret that has the password, and its key."""
    secret_key: str
    rotation: pulumi.Output[str] | None
    """Differs after each rotation; None while there has been none."""
    made: "k8s.core.v1.Secret"
    system_password: pulumi.Output[str]

    @property
    def passwords(self) -> tuple[pulumi.Output[str] | None, pulumi.Output[str]]:
        """Of the application, and of the exporter: scripts/lib.sh makes it of the system user's too, and nobody goes back."""
        exporter = self.system_password.apply(lambda password: hashlib.sha256(f"exporter:{password}".encode()).hexdigest())
        return self.password, exporter


@dataclass(frozen=True)
class _Read:
    """An existing Secret's password, and its version."""

    password: pulumi.Output[str] | None
    key: pulumi.Input[str]
    """Known once the Secret was seen to have it, so that no pod is made that would wait for it."""
    version: pulumi.Output[str] | None


def read_existing_secret(arguments: Arguments) -> ExistingSecret:
    """Reads and checks ExistingSecretArgs (but for `existing_secret_name`)."""
    _refuse_without_secret(arguments, "existing_secret_key", "existing_secret_read")
    return ExistingSecret(
        read=arguments.flag("existing_secret_read", True),
        key=arguments.text("existing_secret_key", "password", KEY_PATTERN, KEY_RULE),
    )


def read_credentials(arguments: Arguments) -> CredentialPlan:
    """Reads and checks CredentialArgs (but for `existing_secret_name`)."""
    existing = read_existing_secret(arguments)
    plan = CredentialPlan(
        version=arguments.whole("password_version", 1, 1, 1_000_000),
        previous_valid=arguments.flag("password_previous_valid", True),
        read=existing.read,
        key=existing.key,
        previous_key=arguments.text("existing_secret_previous_key", "previous-password", KEY_PATTERN, KEY_RULE),
    )
    for key in ("password_version", "password_previous_valid"):
        if arguments.given("existing_secret_name") and arguments.given(key):
            arguments.refuse(key, "the passwords are in existing_secret_name: change them there")
    _refuse_without_secret(arguments, "existing_secret_previous_key")
    return plan


def _refuse_without_secret(arguments: Arguments, *keys: str) -> None:
    for key in keys:
        if arguments.given(key) and not arguments.given("existing_secret_name"):
            arguments.refuse(key, "needs existing_secret_name")


def make_password(
    name: str,
    plan: ExistingSecret,
    existing_secret_name: pulumi.Input[str] | None,
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
) -> Password:
    """One password, for what can't take a second one: generated into the Secret `NAME-auth`, or from an existing Secret."""
    if existing_secret_name is None:
        password = _generate(f"{name}-password", opts)
        made = _secret(f"{name}-auth", {"password": password}, metadata, opts)
        # Known once the Secret is there: whoever reads it finds it.
        return Password(password, made.metadata["name"], "password")
    secret_id = pulumi.Output.concat(metadata["namespace"], "/", existing_secret_name)
    read = _read_existing(name, plan, secret_id, opts) if plan.read else _Read(None, plan.key, None)
    return Password(read.password, existing_secret_name, read.key)


def make_credentials(
    name: str,
    plan: CredentialPlan,
    existing_secret_name: pulumi.Input[str] | None,
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
) -> Credentials:
    """Creates the passwords and the Secret `NAME-auth` that pods mount; `metadata` has its namespace and labels."""
    secret_name = f"{name}-auth"
    system_password = _generate(f"{name}-system-password", opts)
    system = {"system-password": system_password}
    if existing_secret_name is not None:
        secret_id = pulumi.Output.concat(metadata["namespace"], "/", existing_secret_name)
        read = _read_existing(name, plan, secret_id, opts) if plan.read else _Read(None, plan.key, None)
        return Credentials(
            password=read.password,
            volume_sources=[
                from_secret(existing_secret_name, read.key, "password"),
                from_secret(existing_secret_name, plan.previous_key, "previous-password", optional=True),
                from_secret(secret_name),
            ],
            secret_name=existing_secret_name,
            secret_key=plan.key,
            rotation=read.version,
            made=_secret(secret_name, system, metadata, opts),
            system_password=system_password,
        )
    password = _generate(f"{name}-password-{plan.version}", opts)
    data = {"password": password, **system}
    if plan.version > 1 and plan.previous_valid:
        data["previous-password"] = _generate(f"{name}-password-{plan.version - 1}", opts)
    rotation = None
    if plan.version > 1:
        rotation = pulumi.Output.from_input(f"{plan.version}{'' if plan.previous_valid else ' only'}")
    return Credentials(
        password=password,
        volume_sources=[from_secret(secret_name)],
        secret_name=secret_name,
        secret_key="password",
        rotation=rotation,
        made=_secret(secret_name, data, metadata, opts),
        system_password=system_password,
    )


def await_password_job(
    name: str,
    rotation: pulumi.Output[str],
    pod: dict[str, Any],
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
) -> "k8s.batch.v1.Job":
    """After a rotation, a Job that ends when every server accepts the password: only then is the deployment finished.

    Its pod has a name label of its own, so that no Service or disruption budget of the servers takes it for one of them.
    """
    pod_labels = {**metadata["labels"], labels.NAME: "await-password"}
    annotations = {"pulumi-caches/rotation": rotation}
    return k8s.batch.v1.Job(
        f"{name}-await-password",
        metadata={**metadata, "name": f"{name}-await-password"},
        spec={
            "backoff_limit": 2,
            # A kubelet brings a changed Secret into running pods within about 90 s.
            "active_deadline_seconds": 300,
            "template": {
                "metadata": {"labels": pod_labels, "annotations": annotations},
                "spec": {**pod, "restart_policy": "Never"},
            },
        },
        opts=opts,
    )


def _read_existing(name: str, plan: ExistingSecret, secret_id: pulumi.Output[str], opts: pulumi.ResourceOptions) -> _Read:
    """Reads the Secret, so that a missing key is found in the preview and a change is noticed."""
    found = k8s.core.v1.Secret.get(f"{name}-existing", secret_id, opts)

    def checked(data: Mapping[str, str]) -> str:
        if plan.key not in data:
            keys = ", ".join(sorted(data)) or "none"
            raise ArgumentError(
                f"existing_secret_key = {plan.key!r}: the Secret has no such key (it has: {keys}); "
                "add it, or name the key that holds the password"
            )
        return plan.key

    def password(data: Mapping[str, str]) -> str:
        # As a shell reads a file, so that a Secret made from a file with a final newline works.
        return base64.b64decode(data[checked(data)]).decode().rstrip("\n")

    return _Read(
        password=pulumi.Output.secret(found.data.apply(lambda data: password(data or {}))),
        key=pulumi.Output.unsecret(found.data).apply(lambda data: checked(data or {})),
        version=found.metadata["resource_version"],
    )


def _generate(name: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """A random password that stays what it was when it was first made."""
    return keep_secret(name, secrets.token_urlsafe(PASSWORD_BYTES), opts)


def _secret(name: str, data: dict[str, pulumi.Output[str]], metadata: dict[str, Any], opts: pulumi.ResourceOptions) -> "k8s.core.v1.Secret":
    return k8s.core.v1.Secret(name, metadata={**metadata, "name": name}, string_data=data, opts=opts)


def from_secret(name: pulumi.Input[str], key: pulumi.Input[str] = "", path: str = "", optional: bool = False) -> dict[str, Any]:
    """A projected volume's source: the whole Secret, or one key of it under another name."""
    source: dict[str, Any] = {"name": name}
    if path:
        source |= {"items": [{"key": key, "path": path}], "optional": optional}
    return {"secret": source}
