"""What RedisClusterWithInit refuses, what it registers, and how its parts fit each other."""

from __future__ import annotations

from typing import Any, cast

import pulumi
import pytest
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import RedisClusterWithInit, RedisClusterWithInitArgs
from pulumi_caches.kubernetes.pod import CLUSTER_SCRIPTS
from unit import mocks
from unit.refusal import refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"shard": 4}, "shard: there is no such argument; did you mean 'shards'?"),
    ({"shards": 2}, "shards = 2: must be from 3 to 500: when a master fails a majority of masters must be left to vote"),
    ({"shards": 3.5}, "shards = 3.5: must be a whole number"),
    ({"replicas_per_shard": 6}, "replicas_per_shard = 6: must be from 0 to 5"),
    ({"replicas_per_shard": 0}, "replicas_per_shard = 0: a shard without a replica is away with its pod and lost with its volume"),
    ({"data_loss_accepted": True}, "data_loss_accepted = True: is only for shards without replicas, and replicas_per_shard is 1"),
    ({"failover_seconds": 11}, "failover_seconds = 11: must be from 12 to 600: a server gives a failover up after 5 s"),
    ({"node_timeout_ms": 100}, "node_timeout_ms = 100: must be from 500 to 60000"),
    ({"memory_gib": 0.03}, "memory_gib = 0.03: must be from 0.0625 to 1024: an empty server with its buffers takes 64 MiB"),
    ({"min_replicas_to_write": 2}, "there are only 1 replicas of a shard: every write would be refused"),
    ({"persistence": "none"}, "persistence = 'none': a node of a cluster keeps on its volume who it is"),
    ({"databases": 4}, "databases = 4: a cluster has one"),
    (
        {"runtime_image": "caches-runtime"},
        "runtime_image = 'caches-runtime': needs an exact tag or a digest, such as docker.io/",
    ),
    ({"preferred_endpoint": "host"}, "preferred_endpoint = 'host': must be one of ip, hostname"),
    ({"repl_backlog_mib": 900}, "repl_backlog_mib = 900: must be from 1 to 192"),
    ({"repair_timeout_minutes": 0}, "repair_timeout_minutes = 0: must be from 1 to 10080"),
    ({"extra_config": ["cluster-node-timeout 1"]}, "cluster-node-timeout can't be set here: use node_timeout_ms"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(RedisClusterWithInit, args)


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ArgumentError) as raised:
        RedisClusterWithInit("cache", {"shards": 1, "replicas_per_shard": 0, "persistence": cast(Any, "none")})
    assert str(raised.value).count("\n  * ") == 3


def make(**args: Any) -> mocks.Registered:
    return mocks.run(lambda: RedisClusterWithInit("cache", cast(RedisClusterWithInitArgs, {"namespace": "shop", **args})) and None)


def pod(registered: mocks.Registered, shard: int = 0) -> Any:
    return registered.named("StatefulSet")[f"cache-{shard}"]["spec"]["template"]["spec"]


def settings(registered: mocks.Registered) -> list[str]:
    return list(registered.only("ConfigMap")["data"]["server.conf"].splitlines())


def test_makes_a_stateful_set_and_a_disruption_budget_for_each_shard_and_one_job() -> None:
    assert sorted((resource.typ.rpartition(":")[2], resource.name) for resource in make().resources) == [
        ("ConfigMap", "cache-config"),
        ("Job", "cache-repair"),
        *(("PodDisruptionBudget", f"cache-{shard}") for shard in range(3)),
        ("RedisClusterWithInit", "cache"),
        ("Secret", "cache-auth"),
        ("Service", "cache"),
        ("Service", "cache-headless"),
        ("Stash", "cache-password-1"),
        ("Stash", "cache-system-password"),
        ("Stash", "cache-volume"),
        *(("StatefulSet", f"cache-{shard}") for shard in range(3)),
    ]


def test_the_two_numbers_reach_the_repair_and_change_no_pod() -> None:
    before, after = make(), make(shards=5, replicas_per_shard=2)
    assert pod(after) == pod(before)
    assert after.only("ConfigMap") == before.only("ConfigMap")
    assert [found["spec"]["replicas"] for found in after.named("StatefulSet").values()] == [3] * 5
    [container] = after.only("Job")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "docker.io/pulumicaches/caches-runtime:0.1.0"
    assert container["command"] == [
        "caches",
        "cluster",
        "repair",
        "--hosts=cache-{shard}-{ordinal}.cache-headless.shop.svc",
        "--shards=5",
        "--replicas=2",
        "--password-file=/etc/cache/credentials/system-password",
    ]


def test_the_repair_runs_beside_the_stateful_sets_whose_pods_are_only_ready_when_it_is_done() -> None:
    [request] = [request for request in make().requests if request.name == "cache-repair"]
    assert not [dependency for dependency in request.dependencies if "StatefulSet" in dependency]
    assert [dependency for dependency in request.dependencies if dependency.endswith("cache-headless")]
    assert request.customTimeouts.create == "60m"


def test_each_service_and_budget_selects_exactly_its_pods() -> None:
    registered = make()
    labels = {name: found["spec"]["template"]["metadata"]["labels"] for name, found in registered.named("StatefulSet").items()}
    labels["repair"] = registered.only("Job")["spec"]["template"]["metadata"]["labels"]

    def selected(selector: dict[str, str]) -> set[str]:
        return {name for name, found in labels.items() if selector.items() <= found.items()}

    shards = {"cache-0", "cache-1", "cache-2"}
    assert {name: selected(found["spec"]["selector"]) for name, found in registered.named("Service").items()} == {
        "cache": shards,
        "cache-headless": shards,
    }
    budgets = registered.named("PodDisruptionBudget")
    assert {name: selected(found["spec"]["selector"]["matchLabels"]) for name, found in budgets.items()} == {
        name: {name} for name in shards
    }
    assert {found["spec"]["maxUnavailable"] for found in budgets.values()} == {1}
    assert {found["spec"]["maxUnavailable"] for found in make(evictable=False).named("PodDisruptionBudget").values()} == {0}


def test_pods_meet_the_restricted_pod_security_standard_and_can_not_write_their_root() -> None:
    registered = make()
    for spec in (pod(registered), registered.only("Job")["spec"]["template"]["spec"]):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        [container] = spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_hands_over_before_it_ends_and_has_the_time_to() -> None:
    spec = pod(make(failover_seconds=100))
    assert spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sh", "/etc/cache/config/cluster-stop.sh"]
    assert spec["terminationGracePeriodSeconds"] == 130
    assert {"name": "FAILOVER_SECONDS", "value": "100"} in spec["containers"][0]["env"]


def test_the_config_map_has_the_clusters_settings_and_scripts() -> None:
    registered = make(node_timeout_ms=3000, require_full_coverage=True, preferred_endpoint="hostname", min_replicas_to_write=1)
    assert set(registered.only("ConfigMap")["data"]) == {"server.conf", *CLUSTER_SCRIPTS}
    for line in (
        "cluster-enabled yes",
        "cluster-node-timeout 3000",
        "cluster-require-full-coverage yes",
        "cluster-preferred-endpoint-type hostname",
        "cluster-allow-replica-migration no",
        "min-replicas-to-write 1",
        "databases 1",
    ):
        assert line in settings(registered)
    assert "cluster-require-full-coverage no" in settings(make())


def test_a_shards_pods_are_kept_apart_and_masters_of_different_shards_too() -> None:
    spec = pod(make(node_spread="required", zone_spread="required"))
    [term] = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "shard-0"
    zones, nodes = spec["topologySpreadConstraints"]
    assert (zones["topologyKey"], zones["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")
    assert (nodes["topologyKey"], nodes["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert "app.kubernetes.io/component" not in nodes["labelSelector"]["matchLabels"]
    assert "topologySpreadConstraints" not in pod(make(node_spread="none", zone_spread="none"))


def test_a_removed_pods_volume_goes_and_a_removed_shards_stays_unless_told_otherwise() -> None:
    def retention(**args: Any) -> Any:
        return make(**args).named("StatefulSet")["cache-0"]["spec"]["persistentVolumeClaimRetentionPolicy"]

    assert retention() == {"whenDeleted": "Retain", "whenScaled": "Delete"}
    assert retention(storage_retained=False) == {"whenDeleted": "Delete", "whenScaled": "Delete"}


def test_the_connection_is_complete() -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = RedisClusterWithInit("cache", {"namespace": "shop"})
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    mocks.run(program)
    assert len(found[0].pop("password")) == 32
    assert len(found[0].pop("exporter_password")) == 64
    assert found[0] == {
        "engine": "redis",
        "mode": "cluster",
        "host": "cache.shop.svc",
        "port": 6379,
        "nodes": [f"cache-{shard}-{ordinal}.cache-headless.shop.svc:6379" for shard in range(3) for ordinal in range(2)],
        "tls": False,
        "provider": "kubernetes",
    }
