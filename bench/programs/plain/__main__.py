"""The same objects as programs/ours makes, as a person would write them without the components."""

import os
import secrets
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

# What the ConfigMap holds: a person would keep it in files too.
FILES = Path(os.environ["BENCH_FILES"])


def stash(name: str, value: pulumi.Input[Any]) -> pulumi.Stash:
    return pulumi.Stash(name, input=value, opts=pulumi.ResourceOptions(ignore_changes=["input"]))


def password(name: str) -> pulumi.Output[str]:
    return pulumi.Output.secret(stash(name, pulumi.Output.secret(secrets.token_urlsafe(24))).output)


def probe(kind: str, period: int, failures: int) -> dict[str, Any]:
    command = ["sh", "/etc/cache/config/probe.sh", kind]
    return {"exec": {"command": command}, "period_seconds": period, "timeout_seconds": 10, "failure_threshold": failures}


def cache(name: str, provider: k8s.Provider) -> None:
    opts = pulumi.ResourceOptions(provider=provider)
    instance = {"app.kubernetes.io/name": "redis", "app.kubernetes.io/instance": name}
    primary = {**instance, "app.kubernetes.io/component": "primary"}
    managed = {"app.kubernetes.io/managed-by": "pulumi"}

    def metadata(suffix: str = "", selected: dict[str, str] = instance) -> dict[str, Any]:
        return {"name": f"{name}{suffix}", "namespace": "bench", "labels": {**managed, **selected}}

    stash(
        f"{name}-volume", {"persistence": "appendonlydir", "engine": "redis", "namespace": "bench", "storage_gib": 1, "storage_class": ""}
    )
    passwords = {"password": password(f"{name}-password-1"), "system-password": password(f"{name}-system-password")}
    auth = k8s.core.v1.Secret(f"{name}-auth", metadata=metadata("-auth"), string_data=passwords, opts=opts)
    files = {file.name: file.read_text() for file in sorted(FILES.iterdir())}
    config = k8s.core.v1.ConfigMap(f"{name}-config", metadata=metadata("-config"), data=files, immutable=True, opts=opts)
    ports = [{"name": "redis", "port": 6379, "target_port": "redis"}]
    headless = k8s.core.v1.Service(
        f"{name}-headless",
        metadata=metadata("-headless"),
        spec={"selector": instance, "ports": ports, "cluster_ip": "None", "publish_not_ready_addresses": True},
        opts=opts,
    )
    environment = {
        "ENGINE": "redis",
        "DATA_FILE": "appendonlydir",
        "ROLE": "primary",
        "PRIMARY_HOST": f"{name}-0.{name}-headless",
        "PEERS": f"{name}-headless",
        "MAX_STALE_SECONDS": "60",
    }
    container = {
        "name": "redis",
        "image": "docker.io/library/redis:8.0.2",
        "command": ["sh", "/etc/cache/config/start.sh"],
        "working_dir": "/data",
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "ports": [{"name": "redis", "container_port": 6379}],
        "resources": {"requests": {"cpu": "0.25", "memory": "128Mi"}, "limits": {"memory": "128Mi"}},
        "startup_probe": probe("alive", 2, 60),
        "liveness_probe": probe("alive", 10, 6),
        "readiness_probe": probe("ready", 3, 2),
        "security_context": {
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volume_mounts": [
            {"name": "config", "mount_path": "/etc/cache/config", "read_only": True},
            {"name": "credentials", "mount_path": "/etc/cache/credentials", "read_only": True},
            {"name": "run", "mount_path": "/run/cache"},
            {"name": "data", "mount_path": "/data"},
        ],
    }
    apart = {"topology_key": "kubernetes.io/hostname", "label_selector": {"match_labels": instance}}
    pod = {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": 999,
            "run_as_group": 999,
            "fs_group": 999,
            "fs_group_change_policy": "OnRootMismatch",
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "affinity": {
            "pod_anti_affinity": {
                "preferred_during_scheduling_ignored_during_execution": [{"weight": 100, "pod_affinity_term": apart}],
            }
        },
        "topology_spread_constraints": [
            {
                "max_skew": 1,
                "topology_key": "topology.kubernetes.io/zone",
                "when_unsatisfiable": "ScheduleAnyway",
                "label_selector": {"match_labels": instance},
            }
        ],
        "containers": [container],
        "volumes": [
            {"name": "config", "config_map": {"name": f"{name}-config"}},
            {"name": "credentials", "projected": {"sources": [{"secret": {"name": f"{name}-auth"}}], "default_mode": 0o440}},
            {"name": "run", "empty_dir": {"medium": "Memory", "size_limit": "1Mi"}},
        ],
        "termination_grace_period_seconds": 30,
    }
    claim_spec = {"access_modes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    k8s.apps.v1.StatefulSet(
        name,
        metadata=metadata("", primary),
        spec={
            "replicas": 1,
            "service_name": f"{name}-headless",
            "pod_management_policy": "Parallel",
            "selector": {"match_labels": primary},
            "template": {"metadata": {"labels": {**managed, **primary}, "annotations": {}}, "spec": pod},
            "volume_claim_templates": [{"metadata": {"name": "data", "labels": primary}, "spec": claim_spec}],
            "persistent_volume_claim_retention_policy": {"when_deleted": "Retain", "when_scaled": "Retain"},
        },
        opts=pulumi.ResourceOptions(provider=provider, depends_on=[config, auth, headless]),
    )
    k8s.core.v1.Service(name, metadata=metadata("", primary), spec={"selector": primary, "ports": ports}, opts=opts)


render = k8s.Provider("render", render_yaml_to_directory="rendered")
for number in range(int(os.environ["BENCH_COUNT"])):
    cache(f"cache-{number}", render)
