"""An exporter in each of a cache's own pods: what components register, and how CacheMonitoring finds it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret
from pulumi_caches.kubernetes import CacheMonitoring, MemcachedShards, RedisClusterWithInit, RedisStatefulSet, SentinelGroup
from pulumi_caches.provider import COMPONENTS, CachesProvider
from unit import mocks, wiring
from unit.prometheus import promtool
from unit.refusal import refused, refused_later

# With several pods each, and TLS, so that all there can be is there.
TLS: dict[str, Any] = {"exporter_sidecar": True, "tls_generated": True}
CACHES: list[tuple[Any, dict[str, Any]]] = [
    (RedisStatefulSet, {"replicas": 2}),
    (SentinelGroup, {}),
    (RedisClusterWithInit, {}),
    (MemcachedShards, {}),
]
EVERY = pytest.mark.parametrize(("component", "args"), CACHES, ids=[component.__name__ for component, _ in CACHES])
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"scrape": "service_monitor"}, "a cache's Services don't lead to the exporters in its pods: use pod_monitor or scrape_config"),
    ({"scrape": "annotations"}, "annotations can't say which server a pod's exporter tells of: use pod_monitor or scrape_config"),
    ({"image": "mirror.example/redis_exporter:v1"}, "with exporter sidecar nothing runs here: give it to the cache"),
    ({"image_pull_secrets": ["registry"]}, "with exporter sidecar nothing runs here: give it to the cache"),
]


def make(component: Any, **args: Any) -> mocks.Registered:
    return mocks.run(lambda: component("cache", {"namespace": "shop", **args}) and None)


def monitoring(connection: dict[str, Any], **args: Any) -> mocks.Registered:
    return make(CacheMonitoring, connection=connection, exporter="sidecar", **args)


def workloads(registered: mocks.Registered) -> list[Any]:
    return [*registered.named("StatefulSet").values()]


def pods(registered: mocks.Registered) -> dict[str, dict[str, str]]:
    """The labels of each pod, by the name that it will have."""
    return {
        f"{each['metadata']['name']}-{ordinal}": wiring.pod_labels(each)
        for each in workloads(registered)
        for ordinal in range(int(each["spec"]["replicas"]))
    }


def relabel(rules: list[dict[str, Any]], pod: str) -> dict[str, str] | None:
    """What Prometheus makes of a pod's labels; None when it does not ask it."""
    labels = {"__meta_kubernetes_pod_name": pod}
    for rule in rules:
        value = ";".join(labels.get(each, "") for each in rule.get("sourceLabels", []))
        found = re.fullmatch(rule.get("regex", ".*"), value)
        if rule["action"] == "keep" and not found:
            return None
        if rule["action"] == "replace" and found:
            labels[rule["targetLabel"]] = rule["replacement"]
    return labels


@EVERY
def test_is_beside_each_server_and_changes_nothing_of_it(component: Any, args: dict[str, Any]) -> None:
    without, registered = make(component, tls_generated=True, **args), make(component, **TLS, **args)
    for before, after in zip(workloads(without), workloads(registered), strict=True):
        before, after = (each["spec"]["template"]["spec"] for each in (before, after))
        added = after["containers"][len(before["containers"]) :]
        login = ["login"] if component is MemcachedShards else []
        assert [each["name"] for each in added] == ["exporter", "certificates", *login]
        assert after["containers"][: len(before["containers"])] == before["containers"]
        for container in added:
            assert not any("Probe" in key for key in container), "it takes no server out of a Service"
            assert container["securityContext"]["readOnlyRootFilesystem"]
        assert [each["name"] for each in after["volumes"] if each not in before["volumes"]] == ["exporter"]


@EVERY
def test_its_password_is_in_a_secret_and_nowhere_else(component: Any, args: dict[str, Any]) -> None:
    registered = make(component, **TLS, **args)
    [secret] = [each for each in registered.resources if each.name == "cache-exporter"]
    assert is_rpc_secret(secret.inputs["stringData"])
    passwords = json.loads(mocks.plain(secret.inputs)["stringData"]["passwords.json"])
    [volume] = [each for each in workloads(registered)[0]["spec"]["template"]["spec"]["volumes"] if each["name"] == "exporter"]
    sources = [each["secret"] for each in volume["projected"]["sources"]]
    if component is MemcachedShards:
        assert passwords == {}
        assert sources == [
            {"name": "cache-exporter"},
            {"name": "cache-auth", "items": [{"key": "password", "path": "password"}], "optional": False},
        ], "the password that clients have, as it is at any time"
        return
    assert sources == [{"name": "cache-exporter"}]
    expected = ["rediss://exporter@127.0.0.1:6379", *(["rediss://exporter@127.0.0.1:26379"] if component is SentinelGroup else [])]
    assert list(passwords) == expected
    given = wiring.connection(component, **TLS, **args)["exporter_password"]
    assert len(set(passwords.values())) == 1
    assert len(passwords[expected[0]]) == len(given)
    elsewhere = [each for each in registered.resources if each.name != "cache-exporter"]
    assert not any(passwords[expected[0]] in json.dumps(mocks.plain(each.inputs)) for each in elsewhere)


@EVERY
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_each_pod_is_asked_and_its_series_have_the_labels_that_alerts_ask_for(component: Any, args: dict[str, Any], tls: bool) -> None:
    args = {**args, "exporter_sidecar": True, "tls_generated": tls}
    connection = wiring.connection(component, **args)
    registered = monitoring(connection)
    monitor = registered.only("PodMonitor")["spec"]
    made = make(component, **args)
    for labels in pods(made).values():
        assert wiring.matches(monitor["selector"]["matchLabels"], labels)
    exporters = {each["name"]: each for each in workloads(made)[0]["spec"]["template"]["spec"]["containers"]}
    seen: dict[str, list[str]] = {"exporter": [], "certificates": []}
    for endpoint in monitor["podMetricsEndpoints"]:
        [port] = exporters[endpoint["port"]]["ports"]
        assert port["name"] == endpoint["port"]
        assert relabel(endpoint["relabelings"], "cache-of-another-name") is None
        for pod in pods(made):
            series = relabel(endpoint["relabelings"], pod)
            assert series is not None
            assert (series["cache"], series["provider"]) == ("cache", "kubernetes")
            assert series["instance"].startswith(f"{pod}."), "the server in this pod"
            seen[endpoint["port"]].append(series["instance"])
    addresses = sorted(connection["nodes"] + connection.get("sentinels", []))
    assert sorted(seen["exporter"]) == addresses
    assert sorted(seen["certificates"]) == (addresses if tls else [])


@pytest.mark.parametrize(("args", "port"), [({}, 11300), ({"auth": "none"}, 11211), ({"auth": "none", "tls_generated": True}, 11212)])
def test_memcached_is_asked_where_it_speaks_with_its_own_pod(args: dict[str, Any], port: int) -> None:
    args = {"exporter_sidecar": True, **args}
    endpoint = monitoring(wiring.connection(MemcachedShards, **args)).only("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert endpoint["params"] == {"target": [f"127.0.0.1:{port}"]}
    containers = make(MemcachedShards, **args).named("StatefulSet")["cache"]["spec"]["template"]["spec"]["containers"]
    logins = [word for each in containers if each["name"] == "login" for word in each["command"] if "forward" in word]
    assert logins == ([] if "auth" in args else ["--forward=11300=127.0.0.1:11211"])


@pytest.mark.parametrize(("component", "args"), [(RedisStatefulSet, {}), (MemcachedShards, {"workload": "deployment"})])
def test_the_one_pod_of_a_cache_may_have_any_name(component: Any, args: dict[str, Any]) -> None:
    connection = wiring.connection(component, exporter_sidecar=True, **args)
    [endpoint] = monitoring(connection).only("PodMonitor")["spec"]["podMetricsEndpoints"]
    labels = relabel(endpoint["relabelings"], "cache-5d4b9-xyz")
    assert labels is not None
    assert labels["instance"] == connection["nodes"][0]


def test_nothing_is_made_beside_the_scrapes_alerts_and_dashboards() -> None:
    connection = wiring.connection(SentinelGroup, exporter_sidecar=True)
    kinds = {kind for kind, _ in wiring.kinds(monitoring(connection))}
    assert kinds == {"CacheMonitoring", "PodMonitor", "PrometheusRule", "ConfigMap"}
    beside = make(CacheMonitoring, connection=connection)
    assert beside.only("PrometheusRule") == monitoring(connection).only("PrometheusRule"), "the same alerts"
    assert beside.only("ConfigMap") == monitoring(connection).only("ConfigMap"), "the same dashboards"


def test_a_cache_whose_secret_is_not_read_can_be_monitored() -> None:
    connection = wiring.connection(MemcachedShards, exporter_sidecar=True, existing_secret_name="mine", existing_secret_read=False)
    assert "password" not in connection
    endpoint = monitoring(connection).only("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert endpoint["params"] == {"target": ["127.0.0.1:11300"]}


def test_a_prometheus_without_operator_finds_pods_as_one_with_it(tmp_path: Path) -> None:
    connection = wiring.connection(SentinelGroup, **TLS)
    files = monitoring(connection, scrape="scrape_config").named("ConfigMap")["cache-scrape"]["data"]
    jobs = json.loads(files["scrape.yaml"])["scrape_configs"]
    endpoints = monitoring(connection).only("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert len({job["job_name"] for job in jobs}) == len(jobs) == len(endpoints) == 4
    for job, endpoint in zip(jobs, endpoints, strict=True):
        assert (job["metrics_path"], job["params"]) == (endpoint["path"], endpoint["params"])
        rules = [{key.replace("_l", "L"): value for key, value in rule.items()} for rule in job["relabel_configs"]]
        assert rules[3:] == endpoint["relabelings"]
        [found] = job["kubernetes_sd_configs"]
        assert found["namespaces"] == {"names": ["shop"]}
        selector = dict(each.split("=") for each in found["selectors"][0]["label"].split(","))
        assert selector == connection["exporter_pods"]
    (tmp_path / "prometheus.yaml").write_text(files["scrape.yaml"])
    checked = promtool(tmp_path, "check", "config", "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@EVERY
def test_there_is_none_unless_it_is_asked_for(component: Any, args: dict[str, Any]) -> None:
    connection = wiring.connection(component, **args)
    assert "exporter_pods" not in connection
    refused_later(lambda: monitoring(connection), "its pods have no exporter: give the cache exporter_sidecar, or leave out exporter here")
    for key in ("exporter_image", "exporter_certificate_image"):
        assert f"{key} = 'image:1': there is no exporter without exporter_sidecar" in refused(component, {key: "image:1", **args})


def test_a_connection_from_another_language_says_whose_pods_too() -> None:
    names = {"exporter_pods": "exporterPods", "exporter_password": "exporterPassword", "master_name": "masterName"}
    known = wiring.connection(SentinelGroup, exporter_sidecar=True)
    given = {names.get(key, key): value for key, value in known.items() if not key.startswith("reader")}
    inputs = {"connection": pulumi.Output.secret(given), "namespace": "shop", "exporter": "sidecar"}
    provider = CachesProvider(COMPONENTS)
    registered = mocks.run(lambda: provider.construct("cache", "caches:index:CacheMonitoring", inputs).urn)
    assert registered.only("PodMonitor")["spec"]["selector"]["matchLabels"] == known["exporter_pods"]


def test_pods_of_another_namespace_are_refused() -> None:
    connection = wiring.connection(SentinelGroup, exporter_sidecar=True)
    message = "its pods are not in namespace 'monitoring', where their exporters are looked for: give the namespace of the cache"
    refused_later(lambda: monitoring(connection, namespace="monitoring"), message)


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args) for args, _ in REFUSED])
def test_what_has_no_meaning_in_other_pods_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(CacheMonitoring, {"connection": {}, "exporter": "sidecar", **args})
