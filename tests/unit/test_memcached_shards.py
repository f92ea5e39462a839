"""What MemcachedShards registers, how its parts fit each other, and what a change of its shard list does to keys."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, cast

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime.rpc import is_rpc_secret
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import MemcachedShards, MemcachedShardsArgs
from unit import mocks


def make(preview: bool = False, answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> mocks.Registered:
    return mocks.run(
        lambda: MemcachedShards("cache", cast(MemcachedShardsArgs, {"namespace": "shop", **args})) and None,
        preview=preview,
        answers=answers,
    )


def connection(answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> dict[str, Any]:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = MemcachedShards("cache", cast(MemcachedShardsArgs, {"namespace": "shop", **args}))
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    mocks.run(program, answers=answers)
    return dict(found[0])


def made(registered: mocks.Registered) -> list[tuple[str, str]]:
    return sorted((resource.typ.rpartition(":")[2], resource.name) for resource in registered.resources)


def pod(registered: mocks.Registered, kind: str = "StatefulSet") -> Any:
    return registered.only(kind)["spec"]["template"]["spec"]


# What is made


@pytest.mark.parametrize("preview", [True, False])
def test_shards_are_a_stateful_set_with_a_name_for_each(preview: bool) -> None:
    registered = make(preview)
    assert made(registered) == [
        ("ConfigMap", "cache-config"),
        ("MemcachedShards", "cache"),
        ("PodDisruptionBudget", "cache"),
        ("Secret", "cache-auth"),
        ("Service", "cache-headless"),
        ("Stash", "cache-password-1"),
        ("Stash", "cache-system-password"),
        ("StatefulSet", "cache"),
    ]
    spec = registered.only("StatefulSet")["spec"]
    assert (spec["replicas"], spec["serviceName"], spec["podManagementPolicy"]) == (3, "cache-headless", "Parallel")
    assert registered.only("Service")["spec"]["clusterIP"] == "None"
    assert registered.only("Service")["spec"]["publishNotReadyAddresses"] is True


def test_a_deployment_is_one_server_behind_one_service_and_never_two() -> None:
    registered = make(workload="deployment", auth="none")
    assert made(registered) == [
        ("ConfigMap", "cache-config"),
        ("Deployment", "cache"),
        ("MemcachedShards", "cache"),
        ("Service", "cache"),
    ]
    spec = registered.only("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert "clusterIP" not in registered.only("Service")["spec"]


def test_services_and_budgets_select_the_servers_and_not_the_job() -> None:
    registered = make(password_version=2)
    labels = registered.only("StatefulSet")["spec"]["template"]["metadata"]["labels"]
    budget = registered.only("PodDisruptionBudget")["spec"]
    selectors = [registered.only("Service")["spec"]["selector"], budget["selector"]["matchLabels"]]
    assert all(selector.items() <= labels.items() for selector in selectors)
    job = registered.only("Job")["spec"]["template"]["metadata"]["labels"]
    assert not [selector for selector in selectors if selector.items() <= job.items()]
    assert budget["maxUnavailable"] == 1


def test_one_server_has_a_budget_only_when_it_may_not_be_evicted() -> None:
    assert "PodDisruptionBudget" not in dict(made(make(shards=1)))
    assert make(shards=1, evictable=False).only("PodDisruptionBudget")["spec"]["maxUnavailable"] == 0


def test_pods_meet_the_restricted_pod_security_standard_and_can_not_write_their_root() -> None:
    registered = make(password_version=2)
    for spec in (pod(registered), pod(registered, "Job")):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_password_is_anywhere_but_in_secret_values() -> None:
    registered = make(password_version=2)
    passwords = {inputs["input"] for inputs in registered.named("Stash").values()}
    assert len(passwords) == 3
    for resource in registered.resources:
        if resource.typ.endswith((":Secret", ":Stash")):
            assert any(is_rpc_secret(value) for value in resource.inputs.values()), resource.name
        else:
            shown = repr({key: value for key, value in resource.inputs.items() if not is_rpc_secret(value)})
            assert not [password for password in passwords if password in shown], resource.name


def test_a_new_password_does_not_roll_the_pods_and_a_changed_setting_does() -> None:
    before = make()
    assert pod(make(password_version=2)) == pod(before)
    assert set(make(password_version=2).only("Secret")["stringData"]) == {"password", "previous-password", "system-password"}
    for args in ({"threads": 2}, {"memory_gib": 2}, {"extra_options": ["track_sizes"]}):
        assert pod(make(**args)) != pod(before)


def test_without_passwords_no_pod_mounts_any() -> None:
    spec = pod(make(auth="none"))
    assert [volume["name"] for volume in spec["volumes"]] == ["config", "run"]
    assert [mount["name"] for mount in spec["containers"][0]["volumeMounts"]] == ["config", "run"]


def test_more_shards_leave_the_pods_that_there_are_as_they_are() -> None:
    few, many = make(shards=4).only("StatefulSet")["spec"], make(shards=5).only("StatefulSet")["spec"]
    assert {key for key in many if many[key] != few[key]} == {"replicas"}


def test_placement_image_and_registry_reach_the_pod() -> None:
    spec = pod(make(node_spread="required", priority_class_name="high", image="mirror/memcached:1.6.45", image_pull_secrets=["registry"]))
    assert "requiredDuringSchedulingIgnoredDuringExecution" in spec["affinity"]["podAntiAffinity"]
    assert spec["priorityClassName"] == "high"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["containers"][0]["image"] == "mirror/memcached:1.6.45"


def test_items_on_disk_have_a_volume_that_is_made_and_deleted_with_the_pod() -> None:
    spec = pod(make(extstore_gib=10, storage_class="fast"))
    claim = spec["volumes"][-1]["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert (claim["resources"], claim["storageClassName"]) == ({"requests": {"storage": "10Gi"}}, "fast")
    assert spec["containers"][0]["volumeMounts"][-1] == {"name": "extstore", "mountPath": "/data"}
    assert "volumeClaimTemplates" not in make(extstore_gib=10).only("StatefulSet")["spec"]


def test_items_that_outlive_a_restart_are_in_memory_that_is_no_larger_than_they_are() -> None:
    spec = pod(make(warm_restart=True, memory_gib=8))
    assert spec["volumes"][-1] == {"name": "items", "emptyDir": {"medium": "Memory", "sizeLimit": "6145Mi"}}
    assert spec["containers"][0]["volumeMounts"][-1] == {"name": "items", "mountPath": "/data"}
    assert spec["terminationGracePeriodSeconds"] == 30 + 7
    assert spec["containers"][0]["startupProbe"]["failureThreshold"] == 60 + 31


def test_proxies_have_a_service_a_budget_and_a_configuration_of_their_own() -> None:
    registered = make(proxy=True, auth="none", shards=2)
    assert made(registered) == [
        ("ConfigMap", "cache-config"),
        ("ConfigMap", "cache-proxy-config"),
        ("Deployment", "cache-proxy"),
        ("MemcachedShards", "cache"),
        ("PodDisruptionBudget", "cache"),
        ("PodDisruptionBudget", "cache-proxy"),
        ("Service", "cache-headless"),
        ("Service", "cache-proxy"),
        ("StatefulSet", "cache"),
    ]
    deployment = registered.only("Deployment")["spec"]
    assert deployment["replicas"] == 2
    labels = deployment["template"]["metadata"]["labels"]
    services, budgets = registered.named("Service"), registered.named("PodDisruptionBudget")
    selectors = {name: service["spec"]["selector"] for name, service in services.items()}
    selectors |= {f"budget {name}": budget["spec"]["selector"]["matchLabels"] for name, budget in budgets.items()}
    selecting = [name for name, selector in selectors.items() if selector.items() <= labels.items()]
    assert sorted(selecting) == ["budget cache-proxy", "cache-proxy"]
    config = registered.named("ConfigMap")["cache-proxy-config"]["data"]["proxy.lua"]
    assert [line.strip() for line in config.splitlines() if "mcp.backend(" in line] == [
        'mcp.backend("cache-0.cache-headless", "cache-0.cache-headless", "11211"),',
        'mcp.backend("cache-1.cache-headless", "cache-1.cache-headless", "11211"),',
    ]


def test_one_shard_more_restarts_the_proxies_and_no_shard() -> None:
    few, many = (make(proxy=True, auth="none", shards=shards) for shards in (4, 5))
    assert pod(few) == pod(many)
    assert pod(few, "Deployment") != pod(many, "Deployment")


def test_every_resource_is_a_child_so_that_it_inherits_the_provider() -> None:
    parents = {request.name: request.parent for request in make(password_version=2).requests if request.custom}
    assert all(parent.endswith("::cache") for parent in parents.values()), parents


# The connection


def test_the_connection_lists_every_shard() -> None:
    given = connection(shards=2)
    assert len(given.pop("password")) == 32
    assert given == {
        "engine": "memcached",
        "mode": "sharded",
        "host": "cache-0.cache-headless.shop.svc",
        "port": 11211,
        "nodes": ["cache-0.cache-headless.shop.svc:11211", "cache-1.cache-headless.shop.svc:11211"],
        "username": "cache",
        "tls": False,
        "provider": "kubernetes",
    }


def test_the_connection_of_a_deployment_is_its_service() -> None:
    assert connection(workload="deployment", auth="none") == {
        "engine": "memcached",
        "mode": "standalone",
        "host": "cache.shop.svc",
        "port": 11211,
        "nodes": ["cache.shop.svc:11211"],
        "auth": "none",
        "tls": False,
        "provider": "kubernetes",
    }


def test_the_connection_leads_to_the_proxies_where_there_are_any() -> None:
    given = connection(proxy=True, auth="none", shards=2)
    assert (given["mode"], given["host"], given["port"]) == ("standalone", "cache-proxy.shop.svc", 11211)
    assert given["nodes"] == ["cache-0.cache-headless.shop.svc:11211", "cache-1.cache-headless.shop.svc:11211"]


def existing(password: str) -> dict[str, dict[str, Any]]:
    data = {"password": base64.b64encode(password.encode()).decode()}
    return {"cache-existing": {"data": data, "metadata": {"name": "mine", "uid": "1", "resourceVersion": "7"}}}


def test_an_existing_secret_gives_the_password() -> None:
    assert connection(existing("secret\n"), existing_secret_name="mine")["password"] == "secret"


@pytest.mark.parametrize("password", ["", "a b", "a\tb", "x" * 201], ids=["empty", "space", "tab", "long"])
def test_an_existing_password_that_nobody_could_log_in_with_is_refused(password: str) -> None:
    with pytest.raises(ArgumentError, match="existing_secret_name: the password in the Secret can't be logged in with"):
        connection(existing(password), existing_secret_name="mine")


CERTIFICATE = {"tls.crt": "Y2VydA==", "tls.key": "a2V5", "ca.crt": "YXV0aG9yaXR5"}


def secret(data: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {"cache-tls": {"data": data, "metadata": {"name": "certificate", "uid": "1", "resourceVersion": "7"}}}


def test_with_tls_the_connection_says_so_and_whom_to_trust() -> None:
    given = connection(secret(CERTIFICATE), tls_secret_name="certificate")
    assert (given["tls"], given["ca_pem"]) == (True, "authority")
    without = {key: CERTIFICATE[key] for key in ("tls.crt", "tls.key")}
    assert "ca_pem" not in connection(secret(without), tls_secret_name="certificate")
    unread = connection(tls_secret_name="certificate", tls_secret_read=False)
    assert unread["tls"] is True
    assert "ca_pem" not in unread


@pytest.mark.parametrize("preview", [True, False])
def test_a_secret_without_a_certificate_is_refused_with_the_keys_it_has(preview: bool) -> None:
    with pytest.raises(ArgumentError, match=r"tls_secret_name = 'mine': the Secret has no tls.key \(it has: ca.crt, tls.crt\)"):
        make(preview, secret({"tls.crt": "", "ca.crt": ""}), tls_secret_name="mine")


def test_with_tls_probes_ask_inside_the_pod_and_a_rotation_is_waited_for() -> None:
    registered = make(answers=secret(CERTIFICATE), tls_secret_name="certificate", password_version=2)
    spec = pod(registered)
    assert spec["containers"][0]["env"] == [{"name": "PORT", "value": "11212"}]
    assert {"name": "tls", "secret": {"secretName": "certificate", "defaultMode": 0o440}} in spec["volumes"]
    environment = {item["name"]: item["value"] for item in pod(registered, "Job")["containers"][0]["env"]}
    assert (environment["PORT"], environment["UNSEEN_SECONDS"]) == ("11211", "120")


# What a change of the shard list does to keys. A client with a rendezvous hash, as clients with consistent hashing are.


def shard_of(key: str, nodes: list[str]) -> str:
    return max(nodes, key=lambda node: hashlib.blake2b(f"{node} {key}".encode(), digest_size=8).digest())


def nodes(shards: int) -> list[str]:
    return list(connection(shards=shards, auth="none")["nodes"])


@settings(max_examples=25, deadline=None)
@given(prefix=st.text(max_size=20), before=st.integers(1, 12))
def test_one_shard_more_takes_its_part_of_the_keys_and_moves_none_between_the_others(prefix: str, before: int) -> None:
    old, new = nodes(before), nodes(before + 1)
    assert new[:-1] == old, "the list only grows at its end"
    keys = [f"{prefix}{number}" for number in range(2000)]
    moved = {key: shard_of(key, new) for key in keys if shard_of(key, new) != shard_of(key, old)}
    assert set(moved.values()) <= {new[-1]}
    # Of n keys about n/N move; five standard deviations are allowed for so few keys.
    share = 1 / (before + 1)
    assert abs(len(moved) / 2000 - share) <= 5 * (share * (1 - share) / 2000) ** 0.5


def test_from_four_to_five_shards_at_most_21_percent_of_keys_move() -> None:
    old, new = nodes(4), nodes(5)
    moved = sum(shard_of(f"user:{number}:profile", old) != shard_of(f"user:{number}:profile", new) for number in range(100_000))
    print(f"{moved / 1000:.2f} % of the keys moved")
    assert 0.19 <= moved / 100_000 <= 0.21
