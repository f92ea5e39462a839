"""The exporter's pod: what it runs and how it is asked. Functions of plain data; Outputs only pass through."""

from dataclasses import dataclass
from typing import Any

import pulumi

from pulumi_caches.kubernetes import pod
from pulumi_caches.kubernetes.monitored import CERTIFICATE_PORT, EXPORTER_PORT, Monitored
from pulumi_caches.kubernetes.scrape import as_yaml

REDIS_IMAGE = "docker.io/oliver006/redis_exporter:v1.86.0"
MEMCACHED_IMAGE = "docker.io/prom/memcached-exporter:v0.14.3"
CERTIFICATE_IMAGE = "docker.io/prom/blackbox-exporter:v0.26.0"
PASSWORDS_FILE = "passwords.json"
PASSWORD_FILE = "password"
AUTHORITY_FILE = "ca.crt"
CERTIFICATE_CONFIG_FILE = "certificates.yaml"
# Who shakes hands with a server sees its certificate; whether it is to be trusted is for clients to say, and an alert must
# see one that has run out.
_CERTIFICATE_MODULE = {"prober": "tcp", "timeout": "5s", "tcp": {"tls": True, "tls_config": {"insecure_skip_verify": True}}}
_FOLDER = "/etc/exporter"
VOLUME = "exporter"
# nobody: no image needs a user of its own.
_USER = 65534


@dataclass(frozen=True)
class Images:
    """Of what runs in an exporter's pod."""

    exporter: pulumi.Input[str]
    """Empty for the engine's own."""
    certificate: pulumi.Input[str]
    runtime: pulumi.Input[str]


def secret_files(cache: Monitored, password: str) -> dict[str, str]:
    """What the Secret holds that the pod mounts."""
    passwords = (
        {PASSWORD_FILE: password} if cache.logins and password else {PASSWORDS_FILE: cache.passwords(password) if password else "{}"}
    )
    files = {CERTIFICATE_CONFIG_FILE: as_yaml({"modules": {"tls": _CERTIFICATE_MODULE}}), **passwords}
    return {**files, **({AUTHORITY_FILE: cache.authority_pem} if cache.authority_pem else {})}


def deployment_spec(
    cache: Monitored,
    images: Images,
    pull_secrets: tuple[str, ...],
    selector: dict[str, str],
    all_labels: dict[str, str],
    secret_name: pulumi.Input[str],
) -> dict[str, Any]:
    """One pod: while there were two, every series would be there twice."""
    security = {**pod.POD_DEFAULTS["security_context"], "run_as_user": _USER, "run_as_group": _USER, "fs_group": _USER}  # type: ignore[dict-item]
    spec: dict[str, Any] = {
        **pod.POD_DEFAULTS,
        "security_context": security,
        "containers": [{**each, **_probes(each)} for each in containers(cache, images, certificates=cache.tls)],
        "volumes": [{"name": VOLUME, "secret": {"secret_name": secret_name, "default_mode": 0o440}}],
    }
    if pull_secrets:
        spec["image_pull_secrets"] = [{"name": secret} for secret in pull_secrets]
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"match_labels": selector},
        "template": {"metadata": {"labels": all_labels}, "spec": spec},
    }


def containers(cache: Monitored, images: Images, *, certificates: bool) -> list[dict[str, Any]]:
    """What asks the servers, what looks at certificates, and what logs in. They find the files of a volume named VOLUME."""
    made = [_container("exporter", images.exporter or default_image(cache.engine), _command(cache), EXPORTER_PORT)]
    if certificates:
        config = ["/bin/blackbox_exporter", f"--config.file={_FOLDER}/{CERTIFICATE_CONFIG_FILE}"]
        made.append(_container("certificates", images.certificate, config, CERTIFICATE_PORT))
    if cache.logins:
        made.append(_container("login", images.runtime, _login_command(cache)))
    return made


def default_image(engine: str) -> str:
    """The exporter of an engine."""
    return MEMCACHED_IMAGE if engine == "memcached" else REDIS_IMAGE


def _command(cache: Monitored) -> list[str]:
    if cache.engine == "memcached":
        # All shards have one certificate, for the names of all.
        name = cache.servers[0].rpartition(":")[0]
        trusted = [f"--memcached.tls.ca-file={_FOLDER}/{AUTHORITY_FILE}"] if cache.authority_pem else []
        tls = ["--memcached.tls.enable", f"--memcached.tls.server-name={name}", *trusted] if cache.tls and not cache.logins else []
        return ["/bin/memcached_exporter", f"--web.listen-address=:{EXPORTER_PORT}", "--memcached.timeout=5s", *tls]
    return [
        "/redis_exporter",
        f"-web.listen-address=:{EXPORTER_PORT}",
        # Servers are asked by name; there is none of its own.
        "-redis.addr=",
        f"-redis.password-file={_FOLDER}/{PASSWORDS_FILE}",
        *([f"-redis.user={cache.username}"] if cache.username else []),
        *([f"-tls-ca-cert-file={_FOLDER}/{AUTHORITY_FILE}"] if cache.authority_pem else []),
        # Certificates have no name for loopback, and nobody else can be there.
        *(["-skip-tls-verification"] if cache.in_pod and cache.tls else []),
        # Shorter than a scrape may take: a server that hangs is then said to be down.
        "-connection-timeout=5s",
        # All that alerts and dashboards need is in INFO; one right fewer.
        "-config-command=-",
    ]


def _login_command(cache: Monitored) -> list[str]:
    trusted = [f"--ca-file={_FOLDER}/{AUTHORITY_FILE}"] if cache.authority_pem else []
    return [
        "caches",
        "memcached-login",
        f"--username={cache.username}",
        f"--password-file={_FOLDER}/{PASSWORD_FILE}",
        *(["--tls", *trusted] if cache.tls else []),
        *(f"--forward={port}={server}" for server, port in cache.logins.items()),
    ]


def _container(name: str, image: pulumi.Input[str], command: list[str], port: int = 0) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "command": command,
        **({"ports": [{"name": name, "container_port": port}]} if port else {}),
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "security_context": pod.CONTAINER_SECURITY,
        "volume_mounts": [{"name": VOLUME, "mount_path": _FOLDER, "read_only": True}],
    }


def _probes(container: dict[str, Any]) -> dict[str, Any]:
    """None of what only the pod itself can connect to."""
    if "ports" not in container:
        return {}
    # Their pages of this path cost nothing, and ask no server.
    path = {"http_get": {"path": "/", "port": container["name"]}}
    return {
        "liveness_probe": {**path, "period_seconds": 10, "timeout_seconds": 5},
        "readiness_probe": {**path, "period_seconds": 3, "timeout_seconds": 5},
    }
