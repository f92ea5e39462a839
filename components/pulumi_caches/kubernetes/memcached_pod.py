"""The pod that a Memcached server runs in. Functions of plain data; Outputs only pass through."""

import math
from functools import cache
from importlib import resources
from typing import Any

import pulumi

from pulumi_caches.kubernetes import pod
from pulumi_caches.kubernetes.exporter_sidecar import NO_SIDECAR, Sidecar
from pulumi_caches.kubernetes.memcached import DATA_FOLDER, LOOPBACK_PORT, MEMCACHED_PORT, Memcached, MemcachedAuth
from pulumi_caches.kubernetes.tls_secret import MOUNT, Certificate

_EXTSTORE = "extstore"
_ITEMS = "items"
# Beside the items there is a file of a few hundred bytes that says how they lie.
_ITEMS_FREE_MIB = 1
# Measured with a warm start of 1000 MiB of small items: 2.2 s for taking them over, 0.6 s for letting go of them.
_TAKEN_OVER_MIB_PER_SECOND = 200
_LET_GO_MIB_PER_SECOND = 1000
_STARTUP_SECONDS = 60
_STOP_SECONDS = 30
# A kubelet brings a changed Secret into running pods within about 90 s, then a probe sees it.
ROTATION_SECONDS = 120


@cache
def script_files() -> dict[str, str]:
    """What the ConfigMap holds."""
    folder = resources.files("pulumi_caches.kubernetes") / "scripts" / "memcached"
    return {script.name: script.read_text() for script in sorted(folder.iterdir(), key=lambda script: script.name)}


def server_pod(
    memcached: Memcached,
    volumes: list[dict[str, Any]],
    placement: dict[str, Any],
    priority_class_name: pulumi.Input[str] | None,
    sidecar: Sidecar = NO_SIDECAR,
) -> dict[str, Any]:
    """The spec of a pod that runs a server; `volumes` come from `config_volumes`."""
    container = {
        **_container("memcached", memcached, "start.sh", {"PORT": str(LOOPBACK_PORT if memcached.tls else MEMCACHED_PORT)}),
        "args": memcached.command_line(),
        "ports": [{"name": "memcached", "container_port": MEMCACHED_PORT}],
        "resources": pod.server_resources(memcached.memory_mib, memcached.cpu_request, memcached.cpu_limit),
        # It listens at once, unless it has items to take over.
        "startup_probe": pod.probe(
            "alive", period_seconds=1, failure_threshold=_STARTUP_SECONDS + _warm(memcached, _TAKEN_OVER_MIB_PER_SECOND)
        ),
        "liveness_probe": pod.probe("alive", period_seconds=10, failure_threshold=6),
        "readiness_probe": pod.probe("ready", period_seconds=3, failure_threshold=2),
    }
    if memcached.extstore_gib:
        container["volume_mounts"] = [*container["volume_mounts"], {"name": _EXTSTORE, "mount_path": DATA_FOLDER}]
        volumes = [*volumes, _extstore_volume(memcached)]
    if memcached.warm_restart:
        container["volume_mounts"] = [*container["volume_mounts"], {"name": _ITEMS, "mount_path": DATA_FOLDER}]
        size = f"{memcached.item_memory_mib + _ITEMS_FREE_MIB}Mi"
        volumes = [*volumes, {"name": _ITEMS, "empty_dir": {"medium": "Memory", "size_limit": size}}]
    spec = {**pod.POD_DEFAULTS, **placement, "containers": [container, *sidecar.containers], "volumes": [*volumes, *sidecar.volumes]}
    if memcached.warm_restart:
        spec["termination_grace_period_seconds"] = _STOP_SECONDS + _warm(memcached, _LET_GO_MIB_PER_SECOND)
    if memcached.image_pull_secrets:
        spec["image_pull_secrets"] = [{"name": secret} for secret in memcached.image_pull_secrets]
    if priority_class_name is not None:
        spec["priority_class_name"] = priority_class_name
    return spec


def _warm(memcached: Memcached, mib_per_second: int) -> int:
    """Seconds that the items of a warm restart take at this rate."""
    return math.ceil(memcached.item_memory_mib / mib_per_second) if memcached.warm_restart else 0


def _extstore_volume(memcached: Memcached) -> dict[str, Any]:
    # Made and deleted with its pod: what is on it can't be read after a restart anyway.
    spec: dict[str, Any] = {"access_modes": ["ReadWriteOnce"], "resources": {"requests": {"storage": f"{memcached.extstore_gib}Gi"}}}
    if memcached.storage_class is not None:
        spec["storage_class_name"] = memcached.storage_class
    return {"name": _EXTSTORE, "ephemeral": {"volume_claim_template": {"spec": spec}}}


def await_password_pod(memcached: Memcached, hosts: list[str], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """The spec of a pod that ends when every server accepts the password."""
    environment = {"HOSTS": " ".join(hosts), "PORT": str(MEMCACHED_PORT)}
    if memcached.tls:
        environment["UNSEEN_SECONDS"] = str(ROTATION_SECONDS)
    container = {
        **_container("await-password", memcached, "await-password.sh", environment),
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}},
    }
    return {**pod.POD_DEFAULTS, "containers": [container], "volumes": volumes}


def config_volumes(
    memcached: Memcached, config_map: str, credential_sources: list[dict[str, Any]], certificate: Certificate | None
) -> list[dict[str, Any]]:
    """The volumes of every pod: scripts, logins and a certificate where there are any, and memory for what is made from them."""
    volumes = pod.config_volumes(config_map, credential_sources, certificate)
    return [volume for volume in volumes if volume["name"] in {mount["name"] for mount in _mounts(memcached)}]


def _container(name: str, memcached: Memcached, script: str, environment: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": memcached.image,
        "command": ["sh", f"{pod.CONFIG_FOLDER}/{script}"],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "security_context": pod.CONTAINER_SECURITY,
        "volume_mounts": _mounts(memcached),
    }


def _mounts(memcached: Memcached) -> list[dict[str, Any]]:
    logins = memcached.auth is MemcachedAuth.PASSWORD
    mounts = [mount for mount in pod.MOUNTS if logins or mount["name"] != "credentials"]
    return [*mounts, MOUNT] if memcached.tls else mounts
