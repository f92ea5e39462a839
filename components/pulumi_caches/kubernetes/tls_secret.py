"""The certificate that servers show to clients: from an existing Secret, as cert-manager and `kubectl create secret tls` make them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import ArgumentError, Arguments

_KEYS = ("tls.crt", "tls.key")
_AUTHORITY = "ca.crt"


class TlsArgs(TypedDict):
    """Arguments of everything that can speak TLS."""

    tls_secret_name: NotRequired[pulumi.Input[str]]
    """Secret of type kubernetes.io/tls in the same namespace; the port then speaks TLS only. Default: none."""
    tls_secret_read: NotRequired[bool]
    """Whether to read it, for its keys and its ca.crt; false where manifests are rendered without a cluster. Default: true."""


@dataclass(frozen=True)
class Certificate:
    """What the rest of a component needs of the Secret."""

    secret_name: pulumi.Input[str]
    """Known once the Secret was seen to have its keys, so that no pod is made that would wait for it."""
    authority_pem: pulumi.Output[str | None] | None
    """Its ca.crt, where it was read and has one."""


def read_tls(arguments: Arguments) -> bool:
    """Reads and checks TlsArgs; whether to read the Secret."""
    if arguments.given("tls_secret_read") and not arguments.given("tls_secret_name"):
        arguments.refuse("tls_secret_read", "needs tls_secret_name")
    return arguments.flag("tls_secret_read", True)


def find_certificate(
    name: str, secret_name: pulumi.Input[str], read: bool, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> Certificate:
    """The Secret, read where `read` says so: a missing one, or a missing key, is then refused in the preview."""
    if not read:
        return Certificate(secret_name, None)
    found = k8s.core.v1.Secret.get(f"{name}-tls", pulumi.Output.concat(namespace, "/", secret_name), opts)
    # None of what is taken is secret: a name, and the certificate of an authority.
    data = pulumi.Output.unsecret(found.data)

    def checked(values: list[Any]) -> str:
        keys, given = values[0] or {}, str(values[1])
        if missing := [key for key in _KEYS if key not in keys]:
            has = ", ".join(sorted(keys)) or "none"
            raise ArgumentError(f"tls_secret_name = {given!r}: the Secret has no {' and no '.join(missing)} (it has: {has})")
        return given

    def authority(keys: Mapping[str, str] | None) -> str | None:
        return base64.b64decode(keys[_AUTHORITY]).decode() if keys and _AUTHORITY in keys else None

    return Certificate(pulumi.Output.all(data, secret_name).apply(checked), data.apply(authority))
