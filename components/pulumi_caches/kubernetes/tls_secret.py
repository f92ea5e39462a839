"""The certificate that servers show to clients: from an existing Secret, as cert-manager and `kubectl create secret tls` make them."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.kept import keep_secret
from pulumi_caches.kubernetes import tls_authority

_KEYS = ("tls.crt", "tls.key")
_AUTHORITY = "ca.crt"
WARNING_DAYS = 365
FOLDER = "/etc/cache/tls"
AUTHORITY_FILE = f"{FOLDER}/{_AUTHORITY}"
_VOLUME = "tls"
# Of a certificate's encoding: that it says what it is for, and two of the answers (RFC 5280, 4.2.1.12).
_EXTENDED_KEY_USAGE = bytes.fromhex("0603551d25")
_CLIENT_AUTH, _ANY_USAGE = bytes.fromhex("06082b06010505070302"), bytes.fromhex("0604551d2500")
MOUNT = {"name": _VOLUME, "mount_path": FOLDER, "read_only": True}


class TlsArgs(TypedDict):
    """Arguments of everything that can speak TLS."""

    tls_secret_name: NotRequired[pulumi.Input[str]]
    """Secret of type kubernetes.io/tls in the same namespace; the port then speaks TLS only. Default: none."""
    tls_secret_read: NotRequired[bool]
    """Whether to read it, for its keys and its ca.crt; false where manifests are rendered without a cluster. Default: true."""
    tls_generated: NotRequired[bool]
    """Whether to make a certificate, by an authority of the cache's own; the port then speaks TLS only. Default: false."""
    tls_certificate_version: NotRequired[int]
    """Raise it by one for a new generated certificate, which is good for ten years, by the same authority. Default: 1."""


@dataclass(frozen=True)
class TlsPlan:
    """Checked arguments: where the certificate is."""

    secret_name: pulumi.Input[str] | None
    """None when it is made here."""
    read: bool
    version: int


@dataclass(frozen=True)
class Certificate:
    """What the rest of a component needs of the Secret."""

    secret_name: pulumi.Input[str]
    """Known once the Secret was seen to have its keys, so that no pod is made that would wait for it."""
    authority_pem: pulumi.Output[str | None] | None
    """Its ca.crt, where it was read and has one."""


def authority_of(certificate: Certificate | None) -> pulumi.Output[str | None] | None:
    """What a connection's `ca_pem` is made of."""
    return certificate.authority_pem if certificate else None


# For `agree`, where servers are restarted one after the other.
TLS_ADVICE = {"tls": "servers that speak TLS and servers that do not can't follow each other, so it can't be changed one by one"}


def tls_fact(plan: TlsPlan | None) -> dict[str, str]:
    """What is remembered of TLS with the volumes."""
    return {"tls": "on" if plan else "off"}


def read_tls(arguments: Arguments) -> TlsPlan | None:
    """Reads and checks TlsArgs; None without TLS."""
    generated = arguments.flag("tls_generated", False)
    version = arguments.whole("tls_certificate_version", 1, 1, 1_000_000)
    read = arguments.flag("tls_secret_read", True)
    existing = arguments.given("tls_secret_name")
    if arguments.given("tls_secret_read") and not existing:
        arguments.refuse("tls_secret_read", "needs tls_secret_name")
    if arguments.given("tls_certificate_version") and not generated:
        arguments.refuse("tls_certificate_version", "needs tls_generated")
    if generated and existing:
        arguments.refuse("tls_generated", "the certificate is in tls_secret_name: give one of the two")
    return TlsPlan(arguments.value("tls_secret_name", None), read, version) if existing or generated else None


def find_certificate(
    name: str,
    plan: TlsPlan | None,
    hosts: Sequence[str],
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
    *,
    peers: bool = False,
    mutual: bool = False,
) -> Certificate | None:
    """The Secret: made for these names in the namespace of `metadata`, or read where the plan says so.

    Then a missing one, or a missing key, is refused in the preview. `peers` says that servers call each other, and so need the
    authority too; `mutual`, that they then show their certificate.
    """
    if plan is None:
        return None
    if plan.secret_name is None:
        return _make(name, plan.version, hosts, metadata, opts)
    if not plan.read:
        return Certificate(plan.secret_name, None)
    found = k8s.core.v1.Secret.get(f"{name}-tls", pulumi.Output.concat(metadata["namespace"], "/", plan.secret_name), opts)
    needed = (*_KEYS, _AUTHORITY) if peers else _KEYS
    # None of what is taken is secret: a name, and the certificate of an authority.
    data = pulumi.Output.unsecret(found.data)

    def checked(values: list[Any]) -> str:
        keys, given = values[0] or {}, str(values[1])
        if missing := [key for key in needed if key not in keys]:
            has = ", ".join(sorted(keys)) or "none"
            why = "; servers know each other by the authority in it" if _AUTHORITY in missing else ""
            raise ArgumentError(f"tls_secret_name = {given!r}: the Secret has no {' and no '.join(missing)} (it has: {has}){why}")
        if mutual and _is_for_servers_only(base64.b64decode(keys[_KEYS[0]]).decode()):
            raise ArgumentError(
                f"tls_secret_name = {given!r}: tls.crt is for servers only (its extended key usage), and nodes of a cluster call each "
                "other with it too: have it issued for client authentication as well (cert-manager: usages)"
            )
        return given

    def authority(keys: Mapping[str, str] | None) -> str | None:
        return base64.b64decode(keys[_AUTHORITY]).decode() if keys and _AUTHORITY in keys else None

    return Certificate(pulumi.Output.all(data, plan.secret_name).apply(checked), data.apply(authority))


def _make(name: str, version: int, hosts: Sequence[str], metadata: dict[str, Any], opts: pulumi.ResourceOptions) -> Certificate:
    """Makes and keeps an authority and a certificate; what it is kept as is secret as a whole."""
    authority = keep_secret(f"{name}-tls-authority", tls_authority.make_authority(name), opts)
    issued = pulumi.Output.all(authority, metadata["namespace"]).apply(
        lambda known: tls_authority.issue(known[0], [each for host in hosts for each in (host, f"{host}.{known[1]}.svc")])
    )
    kept = keep_secret(f"{name}-tls-certificate-{version}", issued, opts)
    authority_pem = pulumi.Output.unsecret(authority).apply(lambda text: tls_authority.parts(text)[1])
    key = kept.apply(lambda text: tls_authority.parts(text)[0])
    certificate = kept.apply(lambda text: tls_authority.parts(text)[1])
    pulumi.Output.unsecret(certificate).apply(lambda pem: _warn_before_the_end(name, version, pem))
    data = dict(zip((*_KEYS, _AUTHORITY), (certificate, key, authority_pem), strict=True))
    made = k8s.core.v1.Secret(
        f"{name}-certificate", metadata={**metadata, "name": f"{name}-tls"}, type="kubernetes.io/tls", string_data=data, opts=opts
    )
    # Known once the Secret is there: whoever reads it finds it.
    return Certificate(made.metadata["name"], authority_pem)


def _warn_before_the_end(name: str, version: int, certificate_pem: str) -> None:
    left = tls_authority.days_left(certificate_pem)
    if left < WARNING_DAYS:
        pulumi.log.warn(f"{name}: the generated certificate ends in {left} days: give tls_certificate_version = {version + 1}")


def _is_for_servers_only(chain_pem: str) -> bool:
    own = re.search("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", chain_pem, re.DOTALL)
    encoded = base64.b64decode(own[1]) if own else b""
    return _EXTENDED_KEY_USAGE in encoded and _CLIENT_AUTH not in encoded and _ANY_USAGE not in encoded


def volume(certificate: Certificate, *, authority_only: bool = False) -> dict[str, Any]:
    """The Secret as files, for MOUNT; only the authority for what is no server."""
    items = {"items": [{"key": _AUTHORITY, "path": _AUTHORITY}]} if authority_only else {}
    return {"name": _VOLUME, "secret": {"secret_name": certificate.secret_name, "default_mode": 0o440, **items}}
