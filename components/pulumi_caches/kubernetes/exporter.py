"""The exporter's pod: what it runs and how it is asked. Functions of plain data; Outputs only pass through."""

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
_CONFINED: dict[str, Any] = {
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    "security_context": pod.CONTAINER_SECURITY,
    "volume_mounts": [{"name": "exporter", "mount_path": _FOLDER, "read_only": True}],
}
# nobody: no image needs a user of its own.
_USER = 65534


def secret_files(cache: Monitored, password: str) -> dict[str, str]:
    """What the Secret holds that the pod mounts."""
    passwords = {PASSWORD_FILE: password} if cache.logins else {PASSWORDS_FILE: cache.passwords(password) if password else "{}"}
    files = {CERTIFICATE_CONFIG_FILE: as_yaml({"modules": {"tls": _CERTIFICATE_MODULE}}), **passwords}
    return {**files, **({AUTHORITY_FILE: cache.authority_pem} if cache.authority_pem else {})}


def deployment_spec(
    cache: Monitored,
    image: str,
    certificate_image: str,
    runtime_image: str,
    pull_secrets: tuple[str, ...],
    selector: dict[str, str],
    all_labels: dict[str, str],
    secret_name: pulumi.Input[str],
) -> dict[str, Any]:
    """One pod: while there were two, every series would be there twice."""
    containers = [_container("exporter", image or _image(cache), _command(cache), EXPORTER_PORT)]
    if cache.tls:
        config = ["/bin/blackbox_exporter", f"--config.file={_FOLDER}/{CERTIFICATE_CONFIG_FILE}"]
        containers.append(_container("certificates", certificate_image, config, CERTIFICATE_PORT))
    if cache.logins:
        containers.append(_login_container(cache, runtime_image))
    security = {**pod.POD_DEFAULTS["security_context"], "run_as_user": _USER, "run_as_group": _USER, "fs_group": _USER}  # type: ignore[dict-item]
    spec: dict[str, Any] = {
        **pod.POD_DEFAULTS,
        "security_context": security,
        "containers": containers,
        "volumes": [{"name": "exporter", "secret": {"secret_name": secret_name, "default_mode": 0o440}}],
    }
    if pull_secrets:
        spec["image_pull_secrets"] = [{"name": secret} for secret in pull_secrets]
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"match_labels": selector},
        "template": {"metadata": {"labels": all_labels}, "spec": spec},
    }


def _image(cache: Monitored) -> str:
    return MEMCACHED_IMAGE if cache.engine == "memcached" else REDIS_IMAGE


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
        # Shorter than a scrape may take: a server that hangs is then said to be down.
        "-connection-timeout=5s",
        # All that alerts and dashboards need is in INFO; one right fewer.
        "-config-command=-",
    ]


def _login_container(cache: Monitored, image: str) -> dict[str, Any]:
    """What logs in for memcached_exporter, which can't; only the pod itself can connect there, so no probe can."""
    trusted = [f"--ca-file={_FOLDER}/{AUTHORITY_FILE}"] if cache.authority_pem else []
    return {
        "name": "login",
        "image": image,
        "command": [
            "caches",
            "memcached-login",
            f"--username={cache.username}",
            f"--password-file={_FOLDER}/{PASSWORD_FILE}",
            *(["--tls", *trusted] if cache.tls else []),
            *(f"--forward={port}={server}" for server, port in cache.logins.items()),
        ],
        **_CONFINED,
    }


def _container(name: str, image: str, command: list[str], port: int) -> dict[str, Any]:
    # Their pages of this path cost nothing, and ask no server.
    path = {"http_get": {"path": "/", "port": name}}
    return {
        "name": name,
        "image": image,
        "command": command,
        "ports": [{"name": name, "container_port": port}],
        "liveness_probe": {**path, "period_seconds": 10, "timeout_seconds": 5},
        "readiness_probe": {**path, "period_seconds": 3, "timeout_seconds": 5},
        **_CONFINED,
    }
