"""What RedisStatefulSet registers, and how its parts fit each other."""

from __future__ import annotations

from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret
from pulumi_caches import ArgumentError
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes import RedisStatefulSet, RedisStatefulSetArgs
from pulumi_caches.kubernetes.pod import SCRIPTS
from pulumi_caches.kubernetes.server import ServerArgs, read_server
from pulumi_caches.kubernetes.storage import refuse_changes
from unit import mocks, wiring
from unit.wiring import kinds, matches, pod, pod_labels

SERVER = read_server(Arguments("Test", "cache", 63, {}, ServerArgs))


def make(preview: bool = False, answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> mocks.Registered:
    return mocks.run(
        lambda: RedisStatefulSet("cache", cast(RedisStatefulSetArgs, {"namespace": "shop", **args})) and None,
        preview=preview,
        answers=answers,
    )


def connection(answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> dict[str, Any]:
    return wiring.connection(RedisStatefulSet, answers, **args)


@pytest.mark.parametrize("preview", [True, False])
def test_standalone_makes_only_what_it_needs(preview: bool) -> None:
    registered = make(preview)
    assert kinds(registered) == [
        ("ConfigMap", "cache-config"),
        ("RedisStatefulSet", "cache"),
        ("Secret", "cache-auth"),
        ("Service", "cache"),
        ("Service", "cache-headless"),
        ("Stash", "cache-password-1"),
        ("Stash", "cache-system-password"),
        ("Stash", "cache-volume"),
        ("StatefulSet", "cache"),
    ]


def test_replicas_add_a_stateful_set_a_read_service_and_a_disruption_budget_and_leave_the_primary_as_it_is() -> None:
    alone, replicated = make(), make(replicas=2)
    assert set(kinds(replicated)) - set(kinds(alone)) == {
        ("StatefulSet", "cache-replica"),
        ("Service", "cache-reader"),
        ("PodDisruptionBudget", "cache"),
    }
    assert replicated.named("StatefulSet")["cache"] == alone.named("StatefulSet")["cache"]
    assert replicated.named("StatefulSet")["cache-replica"]["spec"]["replicas"] == 2


def test_each_service_selects_exactly_its_pods() -> None:
    registered = make(replicas=1)
    sets = registered.named("StatefulSet")
    selected = {
        name: {pods for pods, found in sets.items() if matches(service["spec"]["selector"], pod_labels(found))}
        for name, service in registered.named("Service").items()
    }
    assert selected == {"cache": {"cache"}, "cache-reader": {"cache-replica"}, "cache-headless": {"cache", "cache-replica"}}
    for stateful_set in sets.values():
        assert matches(stateful_set["spec"]["selector"]["matchLabels"], pod_labels(stateful_set))


def test_the_job_that_waits_for_a_password_is_taken_for_a_server_by_nothing() -> None:
    registered = make(replicas=1, password_version=2)
    labels = registered.only("Job")["spec"]["template"]["metadata"]["labels"]
    selectors = [service["spec"]["selector"] for service in registered.named("Service").values()]
    selectors.append(registered.only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"])
    assert not [selector for selector in selectors if matches(selector, labels)]


def test_labels_are_kubernetes_recommended_ones_and_the_persons_own_can_not_replace_those_that_select() -> None:
    labels = make(labels={"team": "shop", "app.kubernetes.io/instance": "x"}).named("StatefulSet")["cache"]["metadata"]["labels"]
    assert labels == {
        "team": "shop",
        "app.kubernetes.io/name": "redis",
        "app.kubernetes.io/instance": "cache",
        "app.kubernetes.io/component": "primary",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def test_pods_meet_the_restricted_pod_security_standard_and_can_not_write_their_root() -> None:
    registered = make(password_version=2)
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


def test_memory_request_and_limit_are_the_same_and_cpu_has_no_limit_unless_given() -> None:
    assert pod(make(memory_gib=0.5))["containers"][0]["resources"] == {
        "requests": {"cpu": "0.25", "memory": "512Mi"},
        "limits": {"memory": "512Mi"},
    }
    assert pod(make(cpu_request=1, cpu_limit=2))["containers"][0]["resources"]["limits"]["cpu"] == "2"


def test_no_password_is_anywhere_but_in_secret_values() -> None:
    registered = make(password_version=2, replicas=1)
    stashes = {name: inputs["input"] for name, inputs in registered.named("Stash").items() if "password" in name}
    assert len(set(stashes.values())) == 3
    for resource in registered.resources:
        if resource.typ.endswith((":Secret", ":Stash")) and "volume" not in resource.name:
            assert any(is_rpc_secret(value) for value in resource.inputs.values()), resource.name
        else:
            shown = repr({key: value for key, value in resource.inputs.items() if not is_rpc_secret(value)})
            assert not [password for password in stashes.values() if password in shown], resource.name


def test_the_config_map_has_the_configuration_and_every_script_and_is_named_by_its_content() -> None:
    first, changed = make().only("ConfigMap"), make(hz=20).only("ConfigMap")
    assert set(first["data"]) == {"server.conf", *SCRIPTS}
    assert first["immutable"] is True
    assert first["metadata"]["name"] != changed["metadata"]["name"]
    assert first["metadata"]["name"] == make().only("ConfigMap")["metadata"]["name"]


@pytest.mark.parametrize(
    "args", [{"hz": 20}, {"memory_gib": 2}, {"maxmemory_policy": "allkeys-lru"}, {"extra_config": ["maxmemory-clients 5%"]}]
)
def test_a_changed_configuration_rolls_the_pods(args: dict[str, Any]) -> None:
    assert pod(make(**args)) != pod(make())


def test_a_new_password_does_not_roll_the_pods_and_the_one_before_stays_valid() -> None:
    before, after = make(), make(password_version=2)
    assert pod(after) == pod(before)
    assert set(after.only("Secret")["stringData"]) == {"password", "previous-password", "system-password"}
    assert after.only("Secret")["stringData"]["password"] == after.named("Stash")["cache-password-2"]["input"]
    assert after.only("Secret")["stringData"]["previous-password"] == after.named("Stash")["cache-password-1"]["input"]


def test_the_previous_password_ends_when_asked() -> None:
    assert set(make(password_version=2, password_previous_valid=False).only("Secret")["stringData"]) == {"password", "system-password"}


EXISTING = {"data": {"pw": "c2VjcmV0Cg=="}, "metadata": {"name": "mine", "uid": "1", "resourceVersion": "7"}}


def test_an_existing_secret_gives_the_password_without_its_final_newline() -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = RedisStatefulSet("cache", {"existing_secret_name": "mine", "existing_secret_key": "pw"})
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    registered = mocks.run(program, answers={"cache-existing": EXISTING})
    assert found[0]["password"] == "secret"
    assert set(registered.only("Job")["spec"]["template"]["metadata"]["annotations"].values()) == {"7"}
    [current, previous, system] = pod(registered)["volumes"][1]["projected"]["sources"]
    assert current["secret"] == {"name": "mine", "items": [{"key": "pw", "path": "password"}], "optional": False}
    assert previous["secret"]["optional"] is True
    assert system["secret"] == {"name": "cache-auth"}


@pytest.mark.parametrize("preview", [True, False])
def test_an_existing_secret_without_the_key_is_refused_with_the_keys_it_has(preview: bool) -> None:
    with pytest.raises(ArgumentError, match=r"existing_secret_key = 'password': the Secret has no such key \(it has: pw\)"):
        make(preview, answers={"cache-existing": EXISTING}, existing_secret_name="mine")


def test_an_existing_secret_that_is_not_read_leaves_the_password_out_of_the_connection() -> None:
    args: dict[str, Any] = {"existing_secret_name": "mine", "existing_secret_read": False}
    assert "password" not in connection(**args)
    assert "cache-existing" not in make(**args).named("Secret")


@pytest.mark.parametrize(
    ("first", "now", "message"),
    [
        ({"storage_gib": 10}, {"storage_gib": 5}, "storage_gib: 10 can't become 5: a volume can't shrink"),
        ({"storage_class": "slow"}, {"storage_class": "fast"}, "storage_class: 'slow' can't become 'fast'"),
        ({"engine": "redis"}, {"engine": "valkey"}, "engine: 'redis' can't become 'valkey': Redis and Valkey do not read"),
        ({"persistence": "rdb"}, {}, "persistence: 'dump.rdb' can't become 'appendonlydir': the server would not load"),
        ({}, {"persistence": "rdb"}, "persistence: 'appendonlydir' can't become 'dump.rdb'"),
        ({"namespace": "shop"}, {"namespace": "store"}, "namespace: 'shop' can't become 'store'"),
    ],
)
def test_what_can_not_change_on_a_volume_is_refused(first: dict[str, Any], now: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match="make a second cache") as raised:
        refuse_changes("cache", SERVER, may_grow=True)(facts(**first), facts(**now))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("first", "now"),
    [
        ({}, {}),
        ({}, {"memory_gib": 2, "storage_gib": 3}),
        ({"storage_gib": 10}, {"storage_gib": 20}),
        ({"persistence": "aof+rdb"}, {}),
        ({}, {"persistence": "aof+rdb"}),
    ],
)
def test_everything_else_may_change(first: dict[str, Any], now: dict[str, Any]) -> None:
    refuse_changes("cache", SERVER, may_grow=True)(facts(**first), facts(**now))


def test_more_memory_keeps_the_size_of_a_volume_that_nobody_stated_as_long_as_the_data_fits() -> None:
    kept = {"output": facts(memory_gib=1)}
    grown = make(True, {"cache-volume": kept}, memory_gib=2)
    assert grown.named("StatefulSet")["cache"]["spec"]["volumeClaimTemplates"][0]["spec"]["resources"] == {"requests": {"storage": "3Gi"}}
    with pytest.raises(ArgumentError, match="the volume's 3 GiB hold less than maxmemory, 6144 MiB: give more storage_gib"):
        make(True, {"cache-volume": kept}, memory_gib=8)


def growing(allowed: bool | None, **args: Any) -> mocks.Registered:
    """What is made of a cache whose volumes are to grow from 10 GiB, and whose class says whether they can."""
    answers: dict[str, dict[str, Any]] = {
        "cache-volume": {"output": facts(storage_gib=10)},
        "cache-volume-to-grow": {"spec": {"storageClassName": "fast"}},
        "cache-class-of-volume": {"allowVolumeExpansion": allowed},
    }
    return make(True, answers, **args)


def test_a_larger_size_is_asked_of_each_volume_and_the_template_stays_as_it_was() -> None:
    grown = growing(True, storage_gib=20, replicas=2)
    templates = [made["spec"]["volumeClaimTemplates"][0] for made in grown.named("StatefulSet").values()]
    assert {template["spec"]["resources"]["requests"]["storage"] for template in templates} == {"10Gi"}
    asked = {name: patch["spec"] for name, patch in grown.named("PersistentVolumeClaimPatch").items()}
    claims = ["data-cache-0", "data-cache-replica-0", "data-cache-replica-1"]
    assert asked == {claim: {"resources": {"requests": {"storage": "20Gi"}}} for claim in claims}


@pytest.mark.parametrize("allowed", [False, None])
def test_a_volume_whose_class_does_not_let_it_grow_is_refused_with_a_way_out(allowed: bool | None) -> None:
    with pytest.raises(ArgumentError, match=r"StorageClass 'fast' doesn't let them grow \(allowVolumeExpansion\)\n.*make a second cache"):
        growing(allowed, storage_gib=20)


def test_nothing_is_asked_of_volumes_that_are_to_stay_as_they_are() -> None:
    kept = {"output": facts(storage_gib=10)}
    for again in ({"storage_gib": 10}, {}):
        assert not make(True, {"cache-volume": kept}, **again).named("PersistentVolumeClaimPatch")


def test_a_bad_namespace_that_is_only_known_later_is_refused_when_it_is() -> None:
    with pytest.raises(ArgumentError, match="namespace = 'Not_A_Name': must be lower-case"):
        make(namespace=pulumi.Output.from_input("Not_A_Name"))


def test_without_a_volume_nothing_is_remembered_and_everything_may_change() -> None:
    assert "cache-volume" not in make(persistence="none").named("Stash")


def test_a_refused_change_leaves_nothing_half_made() -> None:
    kept = {"output": facts(storage_gib=10)}
    with pytest.raises(ArgumentError, match="storage_gib: 10 can't become 5"):
        make(True, {"cache-volume": kept}, storage_gib=5)


def facts(**args: Any) -> dict[str, Any]:
    """What is remembered of a volume."""
    return dict(make(**args).named("Stash")["cache-volume"]["input"])


@pytest.mark.parametrize(
    ("args", "retained"),
    [({}, "Retain"), ({"storage_retained": False}, "Delete")],
)
def test_the_primarys_volume_is_kept_unless_told_otherwise_and_a_replicas_goes_with_it(args: dict[str, Any], retained: str) -> None:
    sets = make(replicas=1, **args).named("StatefulSet")
    assert sets["cache"]["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == retained
    assert sets["cache-replica"]["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Delete"}


def test_without_persistence_there_is_no_claim() -> None:
    registered = make(persistence="none")
    assert "volumeClaimTemplates" not in registered.named("StatefulSet")["cache"]["spec"]
    assert {"name": "data", "emptyDir": {}} in pod(registered)["volumes"]


def test_placement_reaches_the_pod() -> None:
    spec = pod(
        make(
            node_spread="required",
            zone_spread="required",
            node_selector={"disk": "ssd"},
            tolerations=[{"key": "spot", "operator": "Exists"}],
            dedicated_nodes="dedicated=caches",
            priority_class_name="high",
        )
    )
    assert spec["nodeSelector"] == {"disk": "ssd", "dedicated": "caches"}
    assert spec["tolerations"] == [{"key": "spot", "operator": "Exists"}, {"key": "dedicated", "operator": "Equal", "value": "caches"}]
    assert spec["priorityClassName"] == "high"
    assert "requiredDuringSchedulingIgnoredDuringExecution" in spec["affinity"]["podAntiAffinity"]
    [zones] = spec["topologySpreadConstraints"]
    # With a least number of zones, because in the only zone of a cluster no number of pods is uneven.
    assert (zones["whenUnsatisfiable"], zones["minDomains"]) == ("DoNotSchedule", 2)
    assert "minDomains" not in pod(make())["topologySpreadConstraints"][0]
    bare = pod(make(node_spread="none", zone_spread="none"))
    assert "affinity" not in bare
    assert "topologySpreadConstraints" not in bare


def test_drains_wait_when_a_cache_is_not_evictable() -> None:
    assert make(evictable=False).only("PodDisruptionBudget")["spec"]["maxUnavailable"] == 0
    assert make(replicas=1).only("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("args", "image"),
    [
        ({}, "docker.io/library/redis:8.0.2"),
        ({"engine": "valkey"}, "docker.io/valkey/valkey:8.1.1"),
        ({"image": "mirror.example/redis@sha256:00"}, "mirror.example/redis@sha256:00"),
        ({"image": "mirror.example:5000/redis:7.4.1"}, "mirror.example:5000/redis:7.4.1"),
    ],
)
def test_image(args: dict[str, Any], image: str) -> None:
    assert pod(make(**args))["containers"][0]["image"] == image


def test_a_large_snapshot_gets_the_time_to_be_saved_on_shutdown() -> None:
    assert pod(make(memory_gib=64, persistence="rdb"))["terminationGracePeriodSeconds"] == 30 + 64 * 1024 * 0.75 // 50 + 1
    assert pod(make(memory_gib=64))["terminationGracePeriodSeconds"] == 30


def test_the_connection_is_complete() -> None:
    given = connection(replicas=1, engine="valkey")
    assert len(given.pop("password")) == 32
    assert len(given.pop("exporter_password")) == 64
    assert given == {
        "engine": "valkey",
        "mode": "standalone",
        "host": "cache.shop.svc",
        "port": 6379,
        "reader_host": "cache-reader.shop.svc",
        "reader_port": 6379,
        "nodes": ["cache-0.cache-headless.shop.svc:6379", "cache-replica-0.cache-headless.shop.svc:6379"],
        "tls": False,
        "provider": "kubernetes",
    }
    assert "reader_host" not in connection()


@pytest.mark.parametrize("args", [{}, {"existing_secret_name": "mine", "existing_secret_read": False}], ids=["generated", "not read"])
def test_the_connection_is_secret(args: RedisStatefulSetArgs) -> None:
    found: list[bool] = []

    async def program() -> None:
        found.append(await RedisStatefulSet("cache", args).connection.is_secret())

    mocks.run(program)
    assert found == [True]


def test_every_resource_is_a_child_so_that_it_inherits_the_provider() -> None:
    registered = make(replicas=1, password_version=2)
    parents = {request.name: request.parent for request in registered.requests if request.custom}
    assert all(parent.endswith("::cache") for parent in parents.values()), parents
