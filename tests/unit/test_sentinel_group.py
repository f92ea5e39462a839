"""What SentinelGroup registers, and how its parts fit each other."""

from __future__ import annotations

from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import SentinelGroup, SentinelGroupArgs
from unit import mocks, wiring
from unit.wiring import environment, kinds, matches, pod, pod_labels

PODS = ["cache-0", "cache-1", "cache-2"]
STOP = {"preStop": {"exec": {"command": ["sh", "/etc/cache/config/stop.sh"]}}}
CONFIG_AND_DATA = ["config", "credentials", "run", "data"]


def make(preview: bool = False, answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> mocks.Registered:
    return mocks.run(
        lambda: SentinelGroup("cache", cast(SentinelGroupArgs, {"namespace": "shop", **args})) and None,
        preview=preview,
        answers=answers,
    )


def connection(answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> dict[str, Any]:
    return wiring.connection(SentinelGroup, answers, **args)


@pytest.mark.parametrize("preview", [True, False])
def test_makes_only_what_it_needs(preview: bool) -> None:
    assert kinds(make(preview)) == [
        ("ConfigMap", "cache-config"),
        ("PodDisruptionBudget", "cache"),
        ("Role", "cache"),
        ("RoleBinding", "cache"),
        ("Secret", "cache-auth"),
        ("SentinelGroup", "cache"),
        ("Service", "cache"),
        ("Service", "cache-0"),
        ("Service", "cache-1"),
        ("Service", "cache-2"),
        ("Service", "cache-headless"),
        ("Service", "cache-reader"),
        ("ServiceAccount", "cache"),
        ("Stash", "cache-password-1"),
        ("Stash", "cache-system-password"),
        ("Stash", "cache-volume"),
        ("StatefulSet", "cache"),
    ]


def test_more_members_are_more_pods_with_a_service_each() -> None:
    three, five = make(), make(members=5)
    assert set(kinds(five)) - set(kinds(three)) == {("Service", "cache-3"), ("Service", "cache-4")}
    assert five.only("StatefulSet")["spec"]["replicas"] == 5
    assert environment(pod(five)["containers"][1])["QUORUM"] == "3"
    assert five.only("Role")["rules"][0]["resourceNames"] == [*PODS, "cache-3", "cache-4"]


def test_each_service_selects_exactly_its_pods() -> None:
    """Pods as they run: with the labels that Kubernetes and the agents have set."""
    registered = make()
    stateful_set = registered.only("StatefulSet")
    running = {
        name: {**pod_labels(stateful_set), "statefulset.kubernetes.io/pod-name": name, "pulumi-caches/role": role}
        for name, role in zip(PODS, ["replica", "master", "replica"], strict=True)
    }
    selected = {
        service: [name for name, labels in running.items() if matches(inputs["spec"]["selector"], labels)]
        for service, inputs in registered.named("Service").items()
        if "selector" in inputs["spec"]
    }
    assert selected == {
        "cache-reader": ["cache-0", "cache-2"],
        "cache-headless": PODS,
        "cache-0": ["cache-0"],
        "cache-1": ["cache-1"],
        "cache-2": ["cache-2"],
    }
    assert matches(stateful_set["spec"]["selector"]["matchLabels"], pod_labels(stateful_set))
    assert "pulumi-caches/role" not in pod_labels(stateful_set), "a new pod has no role before its agent has seen one"


def test_the_masters_service_has_no_selector_and_a_port_that_its_slice_can_name() -> None:
    """Else Kubernetes would keep the endpoints, and lead writes to replicas."""
    for engine in ("redis", "valkey"):
        spec = make(engine=engine).named("Service")["cache"]["spec"]
        assert spec == {"ports": [{"name": engine, "port": 6379, "targetPort": 6379}]}


def test_members_find_each_other_before_they_are_ready_and_readers_only_get_ready_ones() -> None:
    services = make().named("Service")
    early = {name for name, service in services.items() if service["spec"].get("publishNotReadyAddresses")}
    assert early == {"cache-headless", *PODS}
    assert services["cache-headless"]["spec"]["clusterIP"] == "None"
    ports = {port["name"]: port["port"] for port in services["cache-0"]["spec"]["ports"]}
    assert ports == {"redis": 6379, "sentinel": 26379, "agent": 8080}


def test_every_port_that_a_service_leads_to_is_one_of_the_pods() -> None:
    registered = make(engine="valkey")
    names = {port["name"]: port["containerPort"] for container in pod(registered)["containers"] for port in container["ports"]}
    assert names == {"valkey": 6379, "sentinel": 26379, "agent": 8080}
    for service in registered.named("Service").values():
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in (port["name"], names[port["name"]])
            assert port["port"] == names[port["name"]]


def test_the_agents_may_label_these_pods_and_keep_the_masters_slices_and_nothing_else() -> None:
    registered = make()
    slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]}
    assert registered.only("Role")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": PODS, "verbs": ["patch"]},
        {**slices, "resourceNames": ["cache-master", "cache-master-secondary"], "verbs": ["get", "patch"]},
        {**slices, "verbs": ["create"]},
    ]
    binding = registered.only("RoleBinding")
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cache"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "cache", "namespace": "shop"}]
    assert registered.only("ServiceAccount")["automountServiceAccountToken"] is False
    assert pod(registered)["serviceAccountName"] == "cache"


def test_no_password_is_anywhere_but_in_secret_values() -> None:
    registered = make(password_version=2)
    stashes = {name: inputs["input"] for name, inputs in registered.named("Stash").items() if "password" in name}
    assert len(set(stashes.values())) == 3
    for resource in registered.resources:
        if resource.typ.endswith((":Secret", ":Stash")) and "volume" not in resource.name:
            assert any(is_rpc_secret(value) for value in resource.inputs.values()), resource.name
        else:
            shown = repr({key: value for key, value in resource.inputs.items() if not is_rpc_secret(value)})
            assert not [password for password in stashes.values() if password in shown], resource.name


def test_the_connection_is_complete() -> None:
    given = connection(engine="valkey")
    assert len(given.pop("password")) == 32
    assert len(given.pop("exporter_password")) == 64
    assert given == {
        "engine": "valkey",
        "mode": "sentinel",
        "host": "cache.shop.svc",
        "port": 6379,
        "reader_host": "cache-reader.shop.svc",
        "reader_port": 6379,
        "nodes": ["cache-0.shop.svc:6379", "cache-1.shop.svc:6379", "cache-2.shop.svc:6379"],
        "sentinels": ["cache-0.shop.svc:26379", "cache-1.shop.svc:26379", "cache-2.shop.svc:26379"],
        "master_name": "cache",
        "tls": False,
        "provider": "kubernetes",
    }


def test_the_connection_leads_to_services_that_are_made() -> None:
    given, services = connection(), make().named("Service")
    hosts = [given["host"], given["reader_host"], *(node.partition(":")[0] for node in [*given["nodes"], *given["sentinels"]])]
    assert {host.removesuffix(".shop.svc") for host in hosts} == services.keys() - {"cache-headless"}


def test_the_connection_is_secret() -> None:
    found: list[bool] = []

    async def program() -> None:
        found.append(await SentinelGroup("cache", {}).connection.is_secret())

    mocks.run(program)
    assert found == [True]


EXISTING = {"data": {"pw": "c2VjcmV0Cg=="}, "metadata": {"name": "mine", "uid": "1", "resourceVersion": "7"}}


def test_an_existing_secret_gives_the_password() -> None:
    args: dict[str, Any] = {"existing_secret_name": "mine", "existing_secret_key": "pw"}
    answers = {"cache-existing": EXISTING}
    assert connection(answers, **args)["password"] == "secret"
    registered = make(answers=answers, **args)
    [credentials] = [volume for volume in pod(registered)["volumes"] if volume["name"] == "credentials"]
    current, previous, system = [source["secret"] for source in credentials["projected"]["sources"]]
    assert current == {"name": "mine", "items": [{"key": "pw", "path": "password"}], "optional": False}
    assert previous["optional"] is True
    assert system == {"name": "cache-auth"}
    assert set(registered.named("Secret")["cache-auth"]["stringData"]) == {"system-password"}


def test_a_rotation_is_awaited_on_every_server_by_a_job_that_is_taken_for_a_server_by_nothing() -> None:
    assert make().named("Job") == {}
    registered = make(password_version=2, members=5)
    template = registered.only("Job")["spec"]["template"]
    [container] = template["spec"]["containers"]
    awaited = [f"cache-{ordinal}.cache-headless:{port}" for ordinal in range(5) for port in (6379, 26379)]
    assert environment(container)["ADDRESSES"].split() == awaited
    selectors = [service["spec"].get("selector") for service in registered.named("Service").values()]
    selectors.append(registered.only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"])
    assert not [selector for selector in selectors if selector and matches(selector, template["metadata"]["labels"])]
    assert any(urn.endswith("StatefulSet::cache") for urn in wiring.request(registered, "Job").dependencies)


def test_every_resource_is_a_child_so_that_it_inherits_the_provider() -> None:
    registered = make(password_version=2)
    parents = {item.name: item.parent for item in registered.requests if item.custom}
    assert len(parents) > 10
    assert all(parent.endswith("::cache") for parent in parents.values()), parents


def test_drains_take_one_pod_at_a_time_or_wait_when_the_group_is_not_evictable() -> None:
    for evictable, unavailable in ((True, 1), (False, 0)):
        registered = make(evictable=evictable)
        budget = registered.only("PodDisruptionBudget")["spec"]
        assert budget["maxUnavailable"] == unavailable
        assert matches(budget["selector"]["matchLabels"], pod_labels(registered.only("StatefulSet")))


@pytest.mark.parametrize(("args", "deleted"), [({}, "Retain"), ({"storage_retained": False}, "Delete")])
def test_the_volumes_are_kept_unless_told_otherwise(args: dict[str, Any], deleted: str) -> None:
    policy = make(**args).only("StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": deleted, "whenScaled": "Retain"}


@pytest.mark.parametrize(
    ("first", "now", "message"),
    [
        ({}, {"engine": "valkey"}, "engine: 'redis' can't become 'valkey'"),
        ({}, {"persistence": "rdb"}, "persistence: 'appendonlydir' can't become 'dump.rdb'"),
        ({"storage_gib": 10}, {"storage_gib": 5}, "storage_gib: 10 can't become 5"),
        ({"storage_class": "slow"}, {"storage_class": "fast"}, "storage_class: 'slow' can't become 'fast'"),
        ({}, {"announce": "hostname"}, "announce: 'address' can't become 'hostname'"),
        ({}, {"namespace": "store"}, "namespace: 'shop' can't become 'store'"),
    ],
    ids=str,
)
def test_what_can_not_change_on_volumes_is_refused_in_the_preview(first: dict[str, Any], now: dict[str, Any], message: str) -> None:
    kept = {"output": make(**first).named("Stash")["cache-volume"]["input"]}
    with pytest.raises(ArgumentError) as raised:
        make(True, {"cache-volume": kept}, **now)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({"announce": "hostname"}, "announce: 'address' can't become 'hostname'"),
        ({"tls_generated": True}, "tls: 'off' can't become 'on'"),
    ],
    ids=str,
)
def test_a_group_made_before_these_were_noted_is_taken_for_what_it_was(now: dict[str, Any], message: str) -> None:
    facts = make().named("Stash")["cache-volume"]["input"]
    kept = {"cache-volume": {"output": {key: value for key, value in facts.items() if key not in ("announce", "tls")}}}
    make(True, kept)
    with pytest.raises(ArgumentError) as raised:
        make(True, kept, **now)
    assert message in str(raised.value)


def test_more_members_or_memory_may_come_and_the_volumes_keep_the_size_that_nobody_stated() -> None:
    kept = {"output": make().named("Stash")["cache-volume"]["input"]}
    spec = make(True, {"cache-volume": kept}, members=5, memory_gib=2).only("StatefulSet")["spec"]
    assert spec["volumeClaimTemplates"][0]["spec"]["resources"] == {"requests": {"storage": "3Gi"}}


def test_a_namespace_that_is_known_later_reaches_every_object() -> None:
    registered = make(namespace=pulumi.Output.from_input("later"))
    found = {resource.name: resource.inputs["metadata"]["namespace"] for resource in registered.resources if "metadata" in resource.inputs}
    assert len(found) > 5
    assert set(found.values()) == {"later"}
