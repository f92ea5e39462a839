"""An exporter in each of a cache's own pods: what the components of caches add to them. Its scrapes are CacheMonitoring's."""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import exporter
from pulumi_caches.kubernetes.credentials import Credentials, from_secret
from pulumi_caches.kubernetes.memcached import LOOPBACK_PORT, MEMCACHED_PORT
from pulumi_caches.kubernetes.monitored import EXPORTER, Monitored
from pulumi_caches.kubernetes.sentinel_pod import SENTINEL_PORT
from pulumi_caches.kubernetes.server import PORT, read_image


class ExporterArgs(TypedDict):
    """Arguments of everything that can have an exporter in its pods."""

    exporter_sidecar: NotRequired[bool]
    """Whether each server's pod has an exporter, for CacheMonitoring with exporter sidecar. Default: false."""
    exporter_image: NotRequired[pulumi.Input[str]]
    """Its image, with an exact tag or digest. Default: redis_exporter v1.86.0 or memcached_exporter v0.14.3."""
    exporter_certificate_image: NotRequired[pulumi.Input[str]]
    """Image of the exporter of certificates, with an exact tag or digest; only runs with TLS. Default: blackbox-exporter v0.26.0."""


@dataclass(frozen=True)
class Sidecar:
    """What each pod has besides its server, and what was made for it; all of it empty without an exporter."""

    containers: list[dict[str, Any]]
    volumes: list[dict[str, Any]]
    made: list[pulumi.Resource]


NO_SIDECAR = Sidecar([], [], [])


def read_exporter(arguments: Arguments, engine: str, runtime_image: pulumi.Input[str]) -> exporter.Images | None:
    """Reads and checks ExporterArgs; None without an exporter."""
    images = exporter.Images(
        exporter=read_image(arguments, "exporter_image", exporter.default_image(engine)),
        certificate=read_image(arguments, "exporter_certificate_image", exporter.CERTIFICATE_IMAGE),
        runtime=runtime_image,
    )
    if arguments.flag("exporter_sidecar", False):
        return images
    for key in ("exporter_image", "exporter_certificate_image"):
        if arguments.given(key):
            arguments.refuse(key, "there is no exporter without exporter_sidecar")
    return None


def from_within(engine: str, username: str, *, tls: bool, sentinels: bool = False) -> Monitored:
    """A cache as the exporter in one of its pods sees it: one server, by loopback, and a sentinel where there are any."""
    memcached = engine == "memcached"
    # Without TLS, which Memcached does not speak with its own pod.
    port = (LOOPBACK_PORT if tls else MEMCACHED_PORT) if memcached else PORT
    return Monitored(
        name="",
        namespace="",
        engine=engine,
        mode="",
        servers=(f"127.0.0.1:{port}",),
        sentinels=(f"127.0.0.1:{SENTINEL_PORT}",) if sentinels else (),
        username=username,
        tls=tls and not memcached,
        authority_pem="",
        provider="",
        region="",
        in_pod=True,
    )


def redis_sidecar(
    name: str,
    images: exporter.Images | None,
    engine: str,
    credentials: Credentials,
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
    *,
    tls: bool,
    sentinels: bool = False,
) -> Sidecar:
    """An exporter that logs in as the user `exporter` of the servers; Sidecar is empty without `images`."""
    cache = from_within(engine, EXPORTER, tls=tls, sentinels=sentinels)
    return _make(name, images, cache, credentials.passwords[1], [], metadata, opts, certificates=tls) if images else NO_SIDECAR


def memcached_sidecar(
    name: str,
    images: exporter.Images | None,
    username: str,
    credentials: Credentials | None,
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
    *,
    tls: bool,
) -> Sidecar:
    """An exporter, and what logs in for it as `username` where there are credentials; Sidecar is empty without `images`."""
    cache = from_within("memcached", username if credentials else "", tls=tls)
    # Not a copy: it may be in a Secret that is not read here, and it changes.
    password = [from_secret(credentials.secret_name, credentials.secret_key, exporter.PASSWORD_FILE)] if credentials else []
    return _make(name, images, cache, "", password, metadata, opts, certificates=tls) if images else NO_SIDECAR


def _make(
    name: str,
    images: exporter.Images,
    cache: Monitored,
    password: pulumi.Input[str],
    more_files: list[dict[str, Any]],
    metadata: dict[str, Any],
    opts: pulumi.ResourceOptions,
    *,
    certificates: bool,
) -> Sidecar:
    files = pulumi.Output.secret(password).apply(lambda password: exporter.secret_files(cache, password))
    secret = k8s.core.v1.Secret(f"{name}-exporter", metadata={**metadata, "name": f"{name}-exporter"}, string_data=files, opts=opts)
    sources = [from_secret(secret.metadata["name"]), *more_files]
    volume = {"name": exporter.VOLUME, "projected": {"sources": sources, "default_mode": 0o440}}
    # No probes: an exporter that fails one would take its server out of Services, or be restarted, which does the same for a moment.
    return Sidecar(exporter.containers(cache, images, certificates=certificates), [volume], [secret])
