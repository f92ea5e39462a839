"""A stack's configuration is checked before anything is registered, and no cluster is used that nobody named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from unit import mocks
from unit.memorystore_answers import ANSWERS

import stacks

CHECKOUT = Path(__file__).resolve().parents[2]
CACHES = json.dumps({"sessions": {"memory_gib": 0.125}})


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KUBE_CONTEXT", "CACHES_KUBECONFIG", "CACHES_RENDER", "KUBECONFIG"):
        monkeypatch.delenv(variable, raising=False)


def deploy(**config: str) -> mocks.Registered:
    topology = config.get("topology", "in_cluster")
    answers = {"sessions": ANSWERS["valkey"], "catalogue": ANSWERS["valkey-cluster"]} if topology == "gcp" else {}
    return mocks.run(lambda: stacks.deploy(topology), config={"topology": topology, **config}, answers=answers)


def test_makes_a_restricted_namespace_with_every_cache_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES_KUBECONFIG", "embedded")
    registered = deploy(namespace="shop", redis=CACHES)
    assert registered.only("Namespace")["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert registered.only("StatefulSet")["metadata"]["namespace"] == "shop"


def test_what_is_attached_to_a_cache_gets_its_connection_and_its_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES_KUBECONFIG", "embedded")
    registered = deploy(
        namespace="shop",
        redis=CACHES,
        monitoring='{"sessions": {"alert_labels": {"team": "shop"}}}',
        backup='{"sessions": {"bucket": "pvc://backups/sessions"}}',
        backup_claim='{"backups": {"storage_gib": 0.5, "storage_class": "slow"}}',
    )
    [group] = registered.only("PrometheusRule")["spec"]["groups"]
    assert group["name"] == "shop/sessions"
    assert group["rules"][0]["labels"] == {"team": "shop", "severity": "critical", "cache": "sessions", "namespace": "shop"}
    backup = registered.named("CronJob")["sessions-backup"]
    [volume] = [each for each in backup["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"] if each["name"] == "backups"]
    assert volume["persistentVolumeClaim"] == {"claimName": "backups"}
    claim = registered.only("PersistentVolumeClaim")
    assert (claim["metadata"]["namespace"], claim["spec"]["storageClassName"]) == ("shop", "slow")
    assert claim["spec"]["resources"]["requests"] == {"storage": "512Mi"}


def test_the_topology_operator_asks_for_every_cache_in_a_restricted_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES_KUBECONFIG", "embedded")
    registered = deploy(topology="operator", namespace="shop", operated='{"sessions": null, "carts": {"mode": "sentinel"}}')
    assert registered.only("Namespace")["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    for kind in ("RedisCluster", "RedisReplication", "RedisSentinel"):
        assert registered.only(kind)["metadata"]["namespace"] == "shop"


def test_an_operator_comes_first_in_a_namespace_of_its_own_and_looks_at_that_of_the_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES_KUBECONFIG", "embedded")
    registered = deploy(topology="operator", namespace="shop", operator_chart='{"redis-operator": null}', operated='{"carts": null}')
    release = registered.only("Release")
    assert (release["namespace"], release["values"]["redisOperator"]["watchNamespace"]) == ("redis-operator", "shop")
    assert set(registered.named("Namespace")) == {"shop", "redis-operator"}
    [carts] = [request for request in registered.requests if request.type == "caches:index:RedisOperatorCluster"]
    assert [urn for urn in carts.dependencies if urn.endswith("Release::redis-operator")]


# Without ElastiCache's, which needs answers of its own: test_elasticache.py.
STACKS = [file for file in sorted(CHECKOUT.glob("Pulumi.*.yaml")) if file.name != "Pulumi.aws.yaml"]


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.name)
def test_a_stack_that_comes_with_the_project_has_what_its_topology_takes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES_KUBECONFIG", "embedded")
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", "00000000-0000-4000-8000-000000000000")
    config = yaml.safe_load(file.read_text())["config"]
    given = {key.removeprefix("caches:"): value for key, value in config.items() if key.startswith("caches:")}
    registered = deploy(**{key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()})
    if "namespace" in given:
        assert registered.only("Namespace")["metadata"]["name"] == given["namespace"]
    assert len(registered.resources) > 1


@pytest.mark.parametrize(
    ("config", "outlives"),
    [
        ({"redis": '{"sessions": null}'}, True),
        ({"sentinel": '{"sessions": {"storage_retained": true}}', "redis": '{"pages": {"storage_retained": false}}'}, True),
        ({"cluster": '{"catalogue": {"storage_retained": false}}'}, False),
        ({"redis": '{"pages": {"persistence": "none"}}'}, False),
        ({"memcached": '{"fragments": null}'}, False),
        ({"memcached": '{"fragments": null}', "backup_claim": '{"backups": null}'}, True),
        ({"backup_claim": '{"backups": {"storage_retained": false}}'}, False),
        ({"topology": "operator", "operated": '{"sessions": null}'}, True),
        ({"topology": "operator", "operated": '{"sessions": {"storage_retained": false}}'}, False),
    ],
)
def test_the_namespace_outlives_the_stack_when_volumes_in_it_shall(
    config: dict[str, str], outlives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHES_KUBECONFIG", "embedded")
    [namespace] = [request for request in deploy(**config).requests if request.type == "kubernetes:core/v1:Namespace"]
    assert namespace.retainOnDelete is outlives


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"topology": "in_clutser"},
            "caches:topology = 'in_clutser': must be one of in_cluster, operator, aws, azure, gcp; did you mean 'in_cluster'?",
        ),
        ({"namspace": "x"}, "there is no configuration key 'caches:namspace'; did you mean 'namespace'?"),
        ({"topology": "operator", "operator_chart": '{"a": null, "b": null}'}, "caches:operator_chart has a, b: one operator runs every"),
        (
            {"topology": "operator", "namespace": "a", "operator_chart": '{"a": null}'},
            "caches:operator_chart.a: is the name of the caches'",
        ),
        ({"redis": "[1]"}, "caches:redis = [1]: must be a mapping"),
        ({"redis": "text"}, "caches:redis = 'text': must be a mapping"),
        ({"redis": '{"sessions": {"memory": 1}}'}, "memory: there is no such argument"),
        (
            {"redis": '{"sessions": null}', "monitoring": '{"session": null}'},
            "caches:monitoring.session: there is no such cache; did you mean 'sessions'?",
        ),
        ({"backup": '{"sessions": null}'}, "caches:backup.sessions: there is no such cache"),
        ({"backup_claim": '{"backups": {"storage_gib": 0}}'}, "storage_gib = 0: must be from 0.1 to 65536"),
        ({"redis": '{"sessions": 5}'}, "caches:redis.sessions = 5: must be a mapping of arguments"),
    ],
)
def test_bad_configuration_is_refused(config: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES_KUBECONFIG", "embedded")
    with pytest.raises(pulumi.RunError) as raised:
        deploy(**config)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "config", "expected"),
    [
        ({"CACHES_KUBECONFIG": "embedded.yaml"}, {}, {"kubeconfig": "embedded.yaml"}),
        ({"KUBE_CONTEXT": "mine", "CACHES_KUBECONFIG": "embedded.yaml"}, {}, {"context": "mine"}),
        ({}, {"kube_context": "theirs"}, {"context": "theirs"}),
        ({"CACHES_RENDER": "out", "KUBE_CONTEXT": "mine"}, {}, {"renderYamlToDirectory": "out"}),
    ],
)
def test_the_provider_is_the_one_that_was_named(
    variables: dict[str, str], config: dict[str, str], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert deploy(**config).only("kubernetes") == expected


@pytest.mark.parametrize(("topology", "sdk"), [("in_cluster", "kubernetes"), ("aws", "aws"), ("azure", "azure_native"), ("gcp", "gcp")])
def test_a_stack_needs_no_other_platforms_sdk(topology: str, sdk: str) -> None:
    program = f"import sys, stacks.{topology}; print(*{{each.partition('.')[0] for each in sys.modules if each.startswith('pulumi_')}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"pulumi_caches", f"pulumi_{sdk}"}


AZURE = {"topology": "azure", "region": "eastus", "azure_subscription": "named"}


def test_azures_caches_are_in_the_stacks_network_unless_they_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
    caches = '{"sessions": {}, "pages": {"azure_public_access": true, "region": "westus"}}'
    registered = deploy(**AZURE, network='{"shop": null}', managed_redis=caches)
    assert registered.only("azure-native")["subscriptionId"] == "named"
    assert set(registered.named("PrivateEndpoint")) == {"sessions"}
    assert {name: cache["location"] for name, cache in registered.named("RedisEnterprise").items()} == {
        "sessions": "eastus",
        "pages": "westus",
    }
    assert set(registered.named("ResourceGroup")) == {"shop", "pages"}


def test_members_of_a_group_are_made_one_after_the_other() -> None:
    geo = '"azure_geo_group": "shop", "azure_geo_members": ["here", "there"], "azure_public_access": true, "memory_gib": 2'
    registered = deploy(**AZURE, managed_redis=f'{{"here": {{{geo}}}, "there": {{{geo}}}, "alone": {{"azure_public_access": true}}}}')
    made = {request.name: request for request in registered.requests if request.type == "caches:index:AzureManagedRedis"}
    assert "here" in [urn.rpartition("::")[2] for urn in made["there"].dependencies]
    assert [*made["here"].dependencies, *made["alone"].dependencies] == []


def test_a_subscription_that_somebody_is_logged_in_to_is_not_a_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID", raising=False)
    with pytest.raises(pulumi.RunError, match="no subscription was named: set caches:azure_subscription"):
        deploy(topology="azure")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"network": '{"a": null, "b": null}'}, "caches:network has a, b: there can be one"),
        ({"managed_redis": '{"a": {}}', "cache_for_redis": '{"a": {}}'}, "a: in more than one of managed_redis, cache_for_redis"),
        ({"manged_redis": "{}"}, "did you mean 'managed_redis'?"),
        ({"managed_redis": '{"a": {"azure_public_access": true, "memory_gib": 9999}}'}, "memory_gib = 9999"),
    ],
)
def test_bad_configuration_of_azure_is_refused(config: dict[str, str], message: str) -> None:
    with pytest.raises(pulumi.RunError) as raised:
        deploy(**AZURE, **config)
    assert message in str(raised.value)


def test_a_chart_is_not_rendered_but_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHES_RENDER", "out")
    with pytest.raises(pulumi.RunError, match="caches:operator_chart: a Helm chart is installed and can't be rendered"):
        deploy(topology="operator", operator_chart='{"redis-operator": null}')


def test_an_ambient_kubeconfig_is_not_a_named_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "somebodys-production.yaml")
    with pytest.raises(pulumi.RunError, match="no cluster was named"):
        deploy()
