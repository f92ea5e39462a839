"""What a SentinelGroup's front registers, and how it fits the group."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pulumi_caches.kubernetes import SentinelGroup, SentinelGroupArgs
from pulumi_caches.kubernetes.haproxy import FILE
from unit import mocks, wiring
from unit.wiring import environment, kinds, matches, pod_labels


def make(**args: Any) -> mocks.Registered:
    given = {"namespace": "shop", "front_replicas": 2, **args}
    return mocks.run(lambda: SentinelGroup("cache", cast(SentinelGroupArgs, given)) and None)


def deployment(**args: Any) -> Any:
    return make(**args).only("Deployment")["spec"]


def pod(**args: Any) -> Any:
    return deployment(**args)["template"]["spec"]


def config(**args: Any) -> str:
    return str(make(**args).named("ConfigMap")["cache-front-config"]["data"][FILE])


def test_a_front_is_a_deployment_with_its_own_service_and_nothing_of_it_is_there_without_one() -> None:
    assert set(kinds(make())) - set(kinds(make(front_replicas=0))) == {
        ("ConfigMap", "cache-front-config"),
        ("Deployment", "cache-front"),
        ("PodDisruptionBudget", "cache-front"),
        ("Service", "cache-front"),
    }
    assert not [name for _, name in kinds(make(front_replicas=0)) if "front" in name]
    assert deployment(front_replicas=3)["replicas"] == 3


def test_its_service_leads_to_its_pods_and_no_other_one_does() -> None:
    registered = make()
    fronts = dict(registered.only("Deployment")["spec"]["template"]["metadata"]["labels"])
    members = pod_labels(registered.only("StatefulSet"))
    services = registered.named("Service")
    own = services.pop("cache-front")["spec"]
    assert matches(own["selector"], fronts)
    assert not matches(own["selector"], members)
    assert not [
        name for name, service in services.items() if "selector" in service["spec"] and matches(service["spec"]["selector"], fronts)
    ]
    for name, selected, other in (("cache", members, fronts), ("cache-front", fronts, members)):
        budget = registered.named("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"]
        assert matches(budget, selected)
        assert not matches(budget, other)
    [container] = registered.only("Deployment")["spec"]["template"]["spec"]["containers"]
    listening = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert [(port["port"], listening[port["targetPort"]]) for port in own["ports"]] == [(6379, 6379), (6380, 6380)]


def test_clients_that_take_the_connection_use_the_front_and_those_that_ask_sentinels_need_not() -> None:
    without, given = (wiring.connection(SentinelGroup, front_replicas=replicas) for replicas in (0, 2))
    changed = {key: value for key, value in given.items() if value != without[key] and "password" not in key}
    assert changed == {"host": "cache-front.shop.svc", "reader_host": "cache-front.shop.svc", "reader_port": 6380}


def test_the_connection_is_known_once_the_front_is_there_and_the_front_comes_after_the_names_that_it_resolves() -> None:
    needed = wiring.request(make(), "Deployment").dependencies
    assert {f"cache-{ordinal}" for ordinal in range(3)} <= {urn.rpartition("::")[2] for urn in needed if "Service::" in urn}
    assert any(urn.endswith("ConfigMap::cache-front-config") for urn in needed)


def test_its_pods_meet_the_restricted_pod_security_standard_and_hold_no_secret() -> None:
    spec = pod(password_version=2)
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 99,
        "runAsGroup": 99,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["automountServiceAccountToken"] is False
    [container] = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [next(key for key in volume if key != "name") for volume in spec["volumes"]] == ["configMap"]
    assert environment(container) == {"NAMESPACE": "$metadata.namespace", "POD_IPS": "$status.podIPs"}


def test_a_roll_never_leaves_fewer_than_were_asked_for_and_gives_connections_time_to_end() -> None:
    spec = deployment()
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    template = spec["template"]["spec"]
    [container] = template["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sh", "-c", "sleep 3; kill -USR1 1; sleep 15"]
    assert "hard-stop-after 10s" in config()
    assert template["terminationGracePeriodSeconds"] > 3 + 10


@pytest.mark.parametrize(("given", "rule"), [("required", "preferred"), ("preferred", "preferred"), ("none", None)])
def test_it_is_spread_as_the_members_are_but_a_roll_finds_room_for_one_more(given: str, rule: str | None) -> None:
    spec = pod(node_spread=given, node_selector={"disk": "fast"}, priority_class_name="caches", image_pull_secrets=["registry"])
    affinity = spec.get("affinity", {}).get("podAntiAffinity", {})
    assert list(affinity) == ([f"{rule}DuringSchedulingIgnoredDuringExecution"] if rule else [])
    assert (spec["nodeSelector"], spec["priorityClassName"], spec["imagePullSecrets"]) == (
        {"disk": "fast"},
        "caches",
        [{"name": "registry"}],
    )


def test_a_changed_configuration_is_another_config_map_which_rolls_the_pods() -> None:
    names = [pod(members=members)["volumes"][0]["configMap"]["name"] for members in (3, 3, 5)]
    assert names[0] == names[1] != names[2]
    assert config(members=5).count(" server cache-4 ") == 2


@pytest.mark.parametrize(("max_clients", "mebibytes"), [(10_000, 64 + 390), (1, 64)])
def test_it_takes_as_many_clients_as_a_server_and_has_the_memory_for_them(max_clients: int, mebibytes: int) -> None:
    [container] = pod(max_clients=max_clients)["containers"]
    assert container["resources"]["limits"] == {"memory": f"{mebibytes}Mi"}
    assert f"    maxconn {max_clients}\n" in config(max_clients=max_clients)


def test_its_image_is_a_choice() -> None:
    assert pod()["containers"][0]["image"] == "docker.io/library/haproxy:3.0.11"
    assert pod(front_image="mirror.example/haproxy:3.2.1")["containers"][0]["image"] == "mirror.example/haproxy:3.2.1"
