"""What runs beside the server in a SentinelGroup's pod: the sentinel and the agent, and what the agent may do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pulumi

from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import pod, rights
from pulumi_caches.kubernetes.server import Server

SENTINEL_PORT = 26379
AGENT_PORT = 8080
# Set by the agents (runtime/caches_runtime/ops/sentinel/roles.py); the Services select by it.
ROLE_LABEL = "pulumi-caches/role"
# Votes, a replica that catches up while writes wait (5 s at most), and the Service that follows.
HANDOVER_SECONDS = 15
# Sentinel begins a failover that has failed anew after twice this time.
FAILOVER_TIMEOUT_MILLISECONDS = 5_000
MEMBERS_MAXIMUM = 9
ANNOUNCE_ADVICE = "members that are half known by address and half by name would not find each other"
_SLICES = {"api_groups": ["discovery.k8s.io"], "resources": ["endpointslices"]}


class Announce(StrEnum):
    """What members know each other by, and sentinels name them by."""

    ADDRESS = "address"
    """The address of each one's Service: no name is resolved while the group fails over."""
    HOSTNAME = "hostname"
    """NAME-N.NAMESPACE.svc: for clients that check certificates by name, or find names elsewhere than in the cluster's DNS."""


@dataclass(frozen=True)
class Sentinel:
    """Checked settings of the sentinels."""

    members: int
    announce: Announce
    quorum: int
    down_after_milliseconds: int
    termination_grace_seconds: int


def read_sentinel(arguments: Arguments, server: Server) -> Sentinel:
    """Reads and checks what decides when the group fails over."""
    members = arguments.whole("members", 3, 3, MEMBERS_MAXIMUM)
    if members % 2 == 0:
        arguments.refuse("members", f"must be odd: two halves of {members} are no majority; give {members - 1} or {members + 1}")
    quorum = arguments.whole("sentinel_quorum", members // 2 + 1, 1, MEMBERS_MAXIMUM)
    if quorum >= members:
        arguments.refuse(
            "sentinel_quorum",
            f"can't be met: the sentinel beside a lost master is lost too, so at most {members - 1} of {members} are left",
        )
    least = HANDOVER_SECONDS + pod.shutdown_seconds(server)
    grace = arguments.whole("termination_grace_seconds", least, 1, 86_400)
    if grace < least:
        arguments.refuse(
            "termination_grace_seconds",
            f"a pod may take {HANDOVER_SECONDS} s to hand over and {pod.shutdown_seconds(server)} s to end and save: give at least {least}",
        )
    return Sentinel(
        members=members,
        announce=arguments.choice("announce", Announce.ADDRESS),
        quorum=quorum,
        down_after_milliseconds=arguments.whole("down_after_milliseconds", 1_000, 500, 600_000),
        termination_grace_seconds=grace,
    )


def containers(
    sentinel: Sentinel,
    engine: str,
    group: str,
    image: pulumi.Input[str],
    runtime_image: pulumi.Input[str],
    mounts: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The sentinel's and the agent's container; `mounts` are what the server's has, but for the data."""
    own: dict[str, pulumi.Input[str]] = {
        "ENGINE": engine,
        "GROUP": group,
        "MEMBERS": str(sentinel.members),
        "POD": "$metadata.name",
        "NAMESPACE": "$metadata.namespace",
        "ANNOUNCE": sentinel.announce.value,
    }
    limits: dict[str, pulumi.Input[str]] = {
        "QUORUM": str(sentinel.quorum),
        "DOWN_AFTER_MILLISECONDS": str(sentinel.down_after_milliseconds),
    }
    settings: dict[str, pulumi.Input[str]] = {
        "CACHE_PORT": str(SENTINEL_PORT),
        **limits,
        "FAILOVER_TIMEOUT_MILLISECONDS": str(FAILOVER_TIMEOUT_MILLISECONDS),
        "HANDOVER_SECONDS": str(HANDOVER_SECONDS),
    }
    return [
        {
            "name": "sentinel",
            "image": image,
            "command": ["sh", f"{pod.CONFIG_FOLDER}/start-sentinel.sh"],
            "env": pod.variables({**own, **settings}),
            "ports": [{"name": "sentinel", "container_port": SENTINEL_PORT}],
            "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
            "liveness_probe": pod.probe("alive", period_seconds=10, failure_threshold=6),
            "readiness_probe": pod.probe("sentinel", period_seconds=3, failure_threshold=2),
            "lifecycle": pod.stop_hook(),
            "security_context": pod.CONTAINER_SECURITY,
            "volume_mounts": [*mounts, pod.DATA_MOUNT],
        },
        {
            "name": "agent",
            "image": runtime_image,
            "command": ["caches", "sentinel-agent", *pod.trusted(mounts)],
            "env": pod.variables({**own, **limits, "POD_UID": "$metadata.uid", "POD_IPS": "$status.podIPs"}),
            "ports": [{"name": "agent", "container_port": AGENT_PORT}],
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "security_context": pod.CONTAINER_SECURITY,
            "volume_mounts": [*mounts, pod.DATA_MOUNT, rights.TOKEN_MOUNT],
        },
    ]


def rights_of(name: str, pods: list[str]) -> list[dict[str, Any]]:
    """What the agents may: label these pods, and keep the master's endpoint."""
    return [
        # patch: each agent labels its own pod with its role.
        {"api_groups": [""], "resources": ["pods"], "resource_names": pods, "verbs": ["patch"]},
        # patch: a new master leads the Service to itself. get: the old one waits for that before it ends. The second slice is for
        # the second address of pods that have one of each IP version.
        {**_SLICES, "resource_names": [f"{name}-master", f"{name}-master-secondary"], "verbs": ["get", "patch"]},
        # create: it is gone when the pod it belongs to is. It can't be limited by name.
        {**_SLICES, "verbs": ["create"]},
    ]
