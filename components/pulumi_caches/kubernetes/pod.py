"""The pod that a server runs in: containers, probes, volumes, security. Functions of plain data; Outputs only pass through."""

import math
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import pulumi

from pulumi_caches.kubernetes.redis_conf import DATA_FOLDER
from pulumi_caches.kubernetes.server import PORT, Server
from pulumi_caches.kubernetes.tls_secret import AUTHORITY_FILE, Certificate, volume
from pulumi_caches.kubernetes.tls_secret import MOUNT as TLS_MOUNT
from pulumi_caches.kubernetes.volume_growth import VOLUME

# redis and valkey in the official images.
USER = 999
CONFIG_FOLDER = "/etc/cache/config"
SCRIPTS = ("lib.sh", "start.sh", "probe.sh", "await-password.sh")
SENTINEL_SCRIPTS = ("start-sentinel.sh", "stop.sh")
CLUSTER_SCRIPTS = ("lib.sh", "cluster-lib.sh", "cluster-start.sh", "cluster-probe.sh", "cluster-stop.sh", "await-password.sh")
# What a busy network disk still writes while a snapshot is saved on shutdown; slower ones are rare, a cut save loses data.
SHUTDOWN_SAVE_MIB_PER_SECOND = 50
SHUTDOWN_SECONDS = 30


def config_files(server_conf: str, scripts: tuple[str, ...] = SCRIPTS) -> dict[str, str]:
    """What the ConfigMap holds: the server's configuration and the scripts."""
    return {"server.conf": server_conf, **_read(scripts)}


@cache
def _read(scripts: tuple[str, ...]) -> dict[str, str]:
    folder = resources.files("pulumi_caches.kubernetes") / "scripts"
    return {script: (folder / script).read_text() for script in scripts}


def server_pod(
    server: Server,
    image: pulumi.Input[str],
    environment: dict[str, pulumi.Input[str]],
    volumes: list[dict[str, Any]],
    placement: dict[str, Any],
    priority_class_name: pulumi.Input[str] | None,
    beside: Sequence[dict[str, Any]] = (),
    stop_seconds: int = 0,
    scripts: str = "",
) -> dict[str, Any]:
    """The spec of a pod that runs a server; `volumes` come from `config_volumes`, plus the data's where it is not a claim.

    `beside` are further containers; stop_seconds is how long stop.sh may wait before the server is stopped. `scripts` is what
    the names of start.sh, probe.sh and stop.sh begin with.
    """
    container = {
        "name": server.engine.value,
        "image": image,
        "command": ["sh", f"{CONFIG_FOLDER}/{scripts}start.sh"],
        "working_dir": DATA_FOLDER,
        "env": variables({"ENGINE": server.engine.value, "DATA_FILE": server.data_file, **environment}),
        "ports": [{"name": server.engine.value, "container_port": PORT}],
        "resources": server_resources(server.memory_mib, server.cpu_request, server.cpu_limit),
        # Alive as soon as it answers that it is loading: from then on size no longer matters, because that counts as alive.
        "startup_probe": probe("alive", period_seconds=2, failure_threshold=60, scripts=scripts),
        "liveness_probe": probe("alive", period_seconds=10, failure_threshold=6, scripts=scripts),
        "readiness_probe": probe("ready", period_seconds=3, failure_threshold=2, scripts=scripts),
        "security_context": CONTAINER_SECURITY,
        "volume_mounts": [*mounts(volumes), DATA_MOUNT],
    }
    if stop_seconds:
        container["lifecycle"] = stop_hook(scripts)
    spec = {
        **POD_DEFAULTS,
        **placement,
        "containers": [container, *beside],
        "volumes": volumes,
        "termination_grace_period_seconds": stop_seconds + shutdown_seconds(server),
    }
    if server.image_pull_secrets:
        spec["image_pull_secrets"] = [{"name": secret} for secret in server.image_pull_secrets]
    if priority_class_name is not None:
        spec["priority_class_name"] = priority_class_name
    return spec


def script_pod(
    server: Server, image: pulumi.Input[str], script: str, environment: dict[str, str], volumes: list[dict[str, Any]]
) -> dict[str, Any]:
    """The spec of a pod that runs one of the scripts beside the servers."""
    container = {
        "name": script.removesuffix(".sh"),
        "image": image,
        "command": ["sh", f"{CONFIG_FOLDER}/{script}"],
        "env": variables({"ENGINE": server.engine.value, **environment}),
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
        "security_context": CONTAINER_SECURITY,
        "volume_mounts": mounts(volumes),
    }
    return {**POD_DEFAULTS, "containers": [container], "volumes": volumes}


def variables(environment: dict[str, pulumi.Input[str]]) -> list[dict[str, Any]]:
    """Environment variables of a container; a value that begins with `$` is the pod's own field of that path."""
    return [
        {"name": key, "value_from": {"field_ref": {"field_path": value[1:]}}}
        if isinstance(value, str) and value.startswith("$")
        else {"name": key, "value": value}
        for key, value in environment.items()
    ]


def runtime_pod(
    name: str,
    image: pulumi.Input[str],
    arguments: list[pulumi.Input[str]],
    credential_sources: list[dict[str, Any]],
    certificate: Certificate | None,
    pull_secrets: tuple[str, ...],
) -> dict[str, Any]:
    """The spec of a pod that runs `caches` with these arguments, reads the credentials and trusts the certificate's authority."""
    mounts = [_CREDENTIALS_MOUNT, *([TLS_MOUNT] if certificate else [])]
    container = {
        "name": name,
        "image": image,
        "command": ["caches", *arguments, *trusted(mounts)],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "security_context": CONTAINER_SECURITY,
        "volume_mounts": mounts,
    }
    volumes = [credentials_volume(credential_sources), *([volume(certificate, authority_only=True)] if certificate else [])]
    spec = {**POD_DEFAULTS, "containers": [container], "volumes": volumes}
    if pull_secrets:
        spec["image_pull_secrets"] = [{"name": secret} for secret in pull_secrets]
    return spec


def trusted(mounts: list[dict[str, Any]]) -> list[str]:
    """Arguments of `caches` that make it speak TLS where there is a certificate."""
    return [f"--ca-file={AUTHORITY_FILE}"] if TLS_MOUNT in mounts else []


def credentials_volume(credential_sources: list[dict[str, Any]]) -> dict[str, Any]:
    """The passwords, as files."""
    return {"name": "credentials", "projected": {"sources": credential_sources, "default_mode": 0o440}}


def config_volumes(config_map: str, credential_sources: list[dict[str, Any]], certificate: Certificate | None) -> list[dict[str, Any]]:
    """The volumes of every pod: configuration, credentials, a certificate where there is one, and memory for what is made from them."""
    return [
        {"name": "config", "config_map": {"name": config_map}},
        credentials_volume(credential_sources),
        {"name": "run", "empty_dir": {"medium": "Memory", "size_limit": "1Mi"}},
        *([volume(certificate)] if certificate else []),
    ]


def mounts(volumes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a container has them; the certificate makes the scripts speak TLS."""
    return [*MOUNTS, TLS_MOUNT] if any(each["name"] == TLS_MOUNT["name"] for each in volumes) else MOUNTS


DATA_MOUNT = {"name": VOLUME, "mount_path": DATA_FOLDER}


def server_resources(memory_mib: int, cpu_request: float, cpu_limit: float | None) -> dict[str, dict[str, str]]:
    """A server's container's resources."""
    # Request and limit are the same for memory: a cache fills what it has, and must not be evicted for it.
    memory = f"{memory_mib}Mi"
    limits = {"memory": memory}
    if cpu_limit is not None:
        limits["cpu"] = f"{cpu_limit:g}"
    return {"requests": {"cpu": f"{cpu_request:g}", "memory": memory}, "limits": limits}


# Where the data is when nothing is kept.
EMPTY_DATA = {"name": VOLUME, "empty_dir": {}}
# The restricted Pod Security Standard, and a root file system that can't be written.
CONTAINER_SECURITY = {
    "allow_privilege_escalation": False,
    "read_only_root_filesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
POD_DEFAULTS = {
    "automount_service_account_token": False,
    "enable_service_links": False,
    "security_context": {
        "run_as_non_root": True,
        "run_as_user": USER,
        "run_as_group": USER,
        "fs_group": USER,
        "fs_group_change_policy": "OnRootMismatch",
        "seccomp_profile": {"type": "RuntimeDefault"},
    },
}
CREDENTIALS_FOLDER = "/etc/cache/credentials"
_CREDENTIALS_MOUNT = {"name": "credentials", "mount_path": CREDENTIALS_FOLDER, "read_only": True}
MOUNTS: list[dict[str, Any]] = [
    {"name": "config", "mount_path": CONFIG_FOLDER, "read_only": True},
    _CREDENTIALS_MOUNT,
    {"name": "run", "mount_path": "/run/cache"},
]


def stop_hook(scripts: str = "") -> dict[str, Any]:
    """A container's lifecycle that runs stop.sh before the container is stopped."""
    return {"pre_stop": {"exec": {"command": ["sh", f"{CONFIG_FOLDER}/{scripts}stop.sh"]}}}


def probe(kind: str, period_seconds: int, failure_threshold: int, scripts: str = "") -> dict[str, Any]:
    """A probe that runs probe.sh."""
    return {
        "exec": {"command": ["sh", f"{CONFIG_FOLDER}/{scripts}probe.sh", kind]},
        "period_seconds": period_seconds,
        # Above the script's own limit of 4 s for a server that hangs, so that its message is seen.
        "timeout_seconds": 10,
        "failure_threshold": failure_threshold,
    }


def shutdown_seconds(server: Server) -> int:
    """How long a server may take to end, the last snapshot included."""
    save = math.ceil(server.maxmemory_mib / SHUTDOWN_SAVE_MIB_PER_SECOND) if server.rdb else 0
    return SHUTDOWN_SECONDS + save
