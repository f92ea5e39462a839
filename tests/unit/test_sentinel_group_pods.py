"""The pods of a SentinelGroup: a server, a sentinel and an agent each."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi_caches.kubernetes import SentinelGroup, SentinelGroupArgs
from pulumi_caches.kubernetes.pod import SCRIPTS, SENTINEL_SCRIPTS
from unit import mocks, wiring
from unit.wiring import environment, pod

PODS = ["cache-0", "cache-1", "cache-2"]
STOP = {"preStop": {"exec": {"command": ["sh", "/etc/cache/config/stop.sh"]}}}
CONFIG_AND_DATA = ["config", "credentials", "run", "data"]


def make(preview: bool = False, answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> mocks.Registered:
    return mocks.run(
        lambda: SentinelGroup("cache", cast(SentinelGroupArgs, {"namespace": "shop", **args})) and None,
        preview=preview,
        answers=answers,
    )


def containers(**args: Any) -> dict[str, Any]:
    """By name."""
    return {container["name"]: container for container in pod(make(**args))["containers"]}


def test_only_the_agents_container_gets_the_token() -> None:
    registered = make()
    spec = pod(registered)
    assert spec["automountServiceAccountToken"] is False
    mounts = {container["name"]: [mount["name"] for mount in container["volumeMounts"]] for container in spec["containers"]}
    assert mounts == {"redis": CONFIG_AND_DATA, "sentinel": CONFIG_AND_DATA, "agent": [*CONFIG_AND_DATA, "token"]}
    [token] = [volume for volume in spec["volumes"] if volume["name"] == "token"]
    assert [next(iter(source)) for source in token["projected"]["sources"]] == ["serviceAccountToken", "configMap", "downwardAPI"]
    job = make(password_version=2).only("Job")["spec"]["template"]["spec"]
    assert "serviceAccountName" not in job
    assert "token" not in [volume["name"] for volume in job["volumes"]]


def test_pods_meet_the_restricted_pod_security_standard_and_can_not_write_their_root() -> None:
    registered = make(password_version=2)
    assert len(pod(registered)["containers"]) == 3
    for spec in (pod(registered), registered.only("Job")["spec"]["template"]["spec"]):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_server_and_sentinel_wait_for_the_handover_before_they_stop() -> None:
    """The agent waits for them itself: it ends when the server has."""
    assert {name: container.get("lifecycle") for name, container in containers().items()} == {
        "redis": STOP,
        "sentinel": STOP,
        "agent": None,
    }


@pytest.mark.parametrize(
    ("args", "seconds"),
    [
        ({}, 15 + 30),
        ({"persistence": "rdb", "memory_gib": 64}, 15 + 30 + 984),
        ({"persistence": "rdb", "termination_grace_seconds": 600}, 600),
    ],
)
def test_a_pod_gets_the_time_to_hand_over_and_to_save(args: dict[str, Any], seconds: int) -> None:
    assert pod(make(**args))["terminationGracePeriodSeconds"] == seconds


@pytest.mark.parametrize("announce", ["address", "hostname"])
def test_each_container_knows_what_its_program_reads(announce: str) -> None:
    args = {"announce": announce, "down_after_milliseconds": 700, "replica_max_stale_seconds": 9}
    found = {name: environment(container) for name, container in containers(**args).items()}
    own = {
        "ENGINE": "redis",
        "GROUP": "cache",
        "MEMBERS": "3",
        "POD": "$metadata.name",
        "NAMESPACE": "$metadata.namespace",
        "ANNOUNCE": announce,
    }
    limits = {"QUORUM": "2", "DOWN_AFTER_MILLISECONDS": "700"}
    assert found == {
        "redis": {
            "ENGINE": "redis",
            "DATA_FILE": "appendonlydir",
            "ROLE": "member",
            "POD": "$metadata.name",
            "NAMESPACE": "$metadata.namespace",
            "ANNOUNCE": announce,
            "MAX_STALE_SECONDS": "9",
            "HANDOVER_SECONDS": "15",
        },
        "sentinel": {
            **own,
            "CACHE_PORT": "26379",
            **limits,
            "FAILOVER_TIMEOUT_MILLISECONDS": "5000",
            "HANDOVER_SECONDS": "15",
        },
        "agent": {**own, **limits, "POD_UID": "$metadata.uid", "POD_IPS": "$status.podIPs"},
    }


def test_each_container_runs_its_image_and_its_program() -> None:
    found = containers(image="mirror.example/redis:8.0.2", runtime_image="mirror.example/caches-runtime:1")
    assert {name: (container["image"], container["command"][-1].rpartition("/")[2]) for name, container in found.items()} == {
        "redis": ("mirror.example/redis:8.0.2", "start.sh"),
        "sentinel": ("mirror.example/redis:8.0.2", "start-sentinel.sh"),
        "agent": ("mirror.example/caches-runtime:1", "sentinel-agent"),
    }


def test_the_config_map_has_the_configuration_and_every_script_and_is_named_by_its_content() -> None:
    first, changed = make().only("ConfigMap"), make(hz=20).only("ConfigMap")
    assert set(first["data"]) == {"server.conf", *SCRIPTS, *SENTINEL_SCRIPTS}
    assert first["immutable"] is True
    assert first["metadata"]["name"] != changed["metadata"]["name"]
    assert {"min-replicas-to-write 1", "min-replicas-max-lag 3"} <= set(first["data"]["server.conf"].splitlines())


def test_a_new_password_does_not_roll_the_pods_and_the_one_before_stays_valid() -> None:
    before, after = make(), make(password_version=2)
    assert pod(after) == pod(before)
    assert set(after.only("Secret")["stringData"]) == {"password", "previous-password", "system-password"}


def test_pods_are_made_after_what_they_need() -> None:
    needed = {urn.rpartition("$")[2].partition(":")[2] for urn in wiring.request(make(), "StatefulSet").dependencies}
    assert {"core/v1:Secret::cache-auth", "core/v1:Service::cache-headless", "core/v1:ConfigMap::cache-config"} <= needed
    assert {"core/v1:ServiceAccount::cache"} | {f"rbac.authorization.k8s.io/v1:{kind}::cache" for kind in ("Role", "RoleBinding")} <= needed


def test_all_pods_start_at_once_because_a_majority_must_be_there_before_one_is_ready() -> None:
    assert make().only("StatefulSet")["spec"]["podManagementPolicy"] == "Parallel"


def test_without_persistence_there_is_no_claim_and_nothing_is_remembered() -> None:
    registered = make(persistence="none")
    assert "volumeClaimTemplates" not in registered.only("StatefulSet")["spec"]
    assert {"name": "data", "emptyDir": {}} in pod(registered)["volumes"]
    assert "cache-volume" not in registered.named("Stash")
    assert environment(pod(registered)["containers"][0])["DATA_FILE"] == ""
