"""What CacheMonitoring registers, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret
from pulumi_caches.kubernetes import CacheBackup, CacheMonitoring, SentinelGroup
from pulumi_caches.provider import COMPONENTS, CachesProvider
from unit import mocks, wiring
from unit.refusal import refused, refused_later

PASSWORD = "the-password"
REDIS: dict[str, Any] = {
    "engine": "redis",
    "mode": "standalone",
    "host": "carts.shop.svc",
    "port": 6379,
    "nodes": ["carts.shop.svc:6379"],
    "password": PASSWORD,
    "tls": False,
    "provider": "kubernetes",
}
SENTINEL = {
    **REDIS,
    "mode": "sentinel",
    "nodes": [f"carts-{number}.shop.svc:6379" for number in range(3)],
    "sentinels": [f"carts-{number}.shop.svc:26379" for number in range(3)],
    "tls": True,
    "ca_pem": "the-authority",
}
MEMCACHED = {**REDIS, "engine": "memcached", "mode": "sharded", "auth": "none", "nodes": ["a:11211", "b:11211"], "password": None}
LOGIN = {**MEMCACHED, "auth": None, "username": "cache", "password": PASSWORD}
CLOUD = {
    **REDIS,
    "nodes": None,
    "host": "carts.euw1.cache.example",
    "tls": True,
    "provider": "aws",
    "region": "eu-west-1",
    "username": "app",
}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"connection": None}, "connection = None: is required: give what a cache exports as connection"),
    ({"scrap": "annotations"}, "scrap: there is no such argument; did you mean 'scrape'?"),
    ({"scrape": "service-monitor"}, "scrape = 'service-monitor': must be one of service_monitor, pod_monitor, scrape_config, annotations"),
    ({"rules": "prometheusrule"}, "rules = 'prometheusrule': must be one of prometheus_rule, config_map; did you mean 'prometheus_rule'?"),
    ({"disabled_alerts": ["CacheDown"]}, "disabled_alerts = ['CacheDown']: there is no alert 'CacheDown'; did you mean 'CacheServerDown'?"),
    ({"alert_labels": {"team-name": "shop"}}, "alert_labels = {'team-name': 'shop'}: 'team-name' is no label of Prometheus"),
    ({"alert_labels": {"cache": "x"}}, "'cache' is set here, to tell alerts apart: choose another name"),
    ({"runbooks": "page#alerts"}, "runbooks = 'page#alerts': must be an address without '#'"),
    ({"dashboards": False, "clouds_dashboard": True}, "clouds_dashboard = True: there is none without dashboards"),
    ({"memory_used_ratio": 90}, "memory_used_ratio = 90: must be from 0.1 to 1"),
    ({"hit_ratio": 0}, "hit_ratio = 0: must be from 0.01 to 1"),
    ({"replica_lag_seconds": 10}, "replica_lag_seconds = 10: must be from 60 to 3600: servers are asked every 30 s"),
    ({"certificate_days": 0}, "certificate_days = 0: must be from 1 to 365"),
    ({"backup_age_hours": 2}, "backup_age_hours = 2: needs backup, the name of the CacheBackup"),
    ({"drill_age_days": 2}, "drill_age_days = 2: needs backup, the name of the CacheBackup"),
    ({"backup": "cache", "drill_age_days": 0}, "drill_age_days = 0: must be from 0.01 to 3650"),
    ({"backup": "My Backup"}, "backup = 'My Backup': must be the name of a CacheBackup"),
    ({"backup": "other", "scrape": "annotations"}, "backup = 'other': with annotations its series have its own name"),
    ({"image": "redis_exporter"}, "image = 'redis_exporter': needs an exact tag or a digest"),
    ({"certificate_image": "blackbox:latest"}, "certificate_image = 'blackbox:latest': needs an exact tag or a digest"),
    ({"namespace": "My_Space"}, "namespace = 'My_Space': must be lower-case letters"),
]
# What is only known with the connection.
REFUSED_LATER: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({**LOGIN, "username": None}, {}, "it has no username, which Memcached's login needs: give it one, or auth none"),
    ({**LOGIN, "password": None}, {}, "it has no password, which the exporter needs"),
    ({**REDIS, "auth": "iam", "password": None}, {}, "the exporter can't log in with auth iam: give the cache a user with a password"),
    ({**REDIS, "password": None}, {}, "it has no password, which the exporter needs"),
    ({**REDIS, "engine": "dragonfly"}, {}, "engine 'dragonfly' has no exporter"),
    (SENTINEL, {"scrape": "annotations"}, "scrape = 'annotations': annotations name one target, and this cache has 12"),
]


def monitoring(connection: dict[str, Any], **args: Any) -> mocks.Registered:
    given = {key: value for key, value in connection.items() if value is not None}
    return mocks.run(lambda: CacheMonitoring("cache", {"namespace": "shop", "connection": given, **args}) and None)  # type: ignore[typeddict-item]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(CacheMonitoring, {"connection": REDIS, **args})


@pytest.mark.parametrize(("connection", "args", "message"), REFUSED_LATER, ids=[message[:50] for *_, message in REFUSED_LATER])
def test_a_cache_that_has_no_exporter_is_refused_as_soon_as_it_is_known(
    connection: dict[str, Any], args: dict[str, Any], message: str
) -> None:
    refused_later(lambda: monitoring(connection, **args), message)


def test_the_password_is_in_a_secret_and_nowhere_else() -> None:
    registered = monitoring(SENTINEL)
    for resource in registered.resources:
        assert (PASSWORD in json.dumps(mocks.plain(resource.inputs))) == (resource.typ == "kubernetes:core/v1:Secret"), resource.name
    [secret] = [resource for resource in registered.resources if resource.typ == "kubernetes:core/v1:Secret"]
    assert is_rpc_secret(secret.inputs["stringData"])
    passwords = json.loads(mocks.plain(secret.inputs)["stringData"]["passwords.json"])
    assert passwords == {f"rediss://{address}": PASSWORD for address in SENTINEL["nodes"] + SENTINEL["sentinels"]}


def test_what_logs_in_for_the_exporter_knows_each_server_and_the_password_only_as_a_file() -> None:
    registered = monitoring({**LOGIN, "tls": True, "ca_pem": "the-authority"}, runtime_image="mirror.example/caches-runtime:0.1.0")
    exporter, _, login = registered.only("Deployment")["spec"]["template"]["spec"]["containers"]
    assert login["image"] == "mirror.example/caches-runtime:0.1.0"
    options = dict(word.removeprefix("--").split("=", 1) for word in login["command"] if "=" in word)
    forwards = [word.removeprefix("--forward=").split("=") for word in login["command"] if "--forward" in word]
    endpoints = registered.only("ServiceMonitor")["spec"]["endpoints"]
    asked = {each["params"]["target"][0]: each["relabelings"][0]["replacement"] for each in endpoints if each["port"] == "exporter"}
    assert asked == {f"127.0.0.1:{port}": server for port, server in forwards}
    assert sorted(asked.values()) == LOGIN["nodes"]
    [secret] = registered.named("Secret").values()
    assert PASSWORD not in json.dumps(login)
    assert secret["stringData"][options["password-file"].rpartition("/")[2]] == PASSWORD
    assert secret["stringData"][options["ca-file"].rpartition("/")[2]] == "the-authority"
    assert not any("tls" in word for word in exporter["command"]), "it speaks with what logs in, and that with the server"


def test_what_is_not_secret_can_be_read_in_a_preview_although_the_connection_is_secret() -> None:
    connection: Any = pulumi.Output.secret(REDIS)
    registered = mocks.run(lambda: CacheMonitoring("cache", {"connection": connection}) and None)
    assert [resource.typ for resource in registered.resources if is_rpc_secret(resource.inputs.get("spec"))] == []


def test_asks_each_server_and_sentinel_and_looks_at_each_certificate() -> None:
    endpoints = monitoring(SENTINEL).only("ServiceMonitor")["spec"]["endpoints"]
    asked = {(each["port"], each["params"]["target"][0]) for each in endpoints}
    addresses = SENTINEL["nodes"] + SENTINEL["sentinels"]
    assert asked == {("exporter", f"rediss://{each}") for each in addresses} | {("certificates", each) for each in addresses}
    for endpoint in endpoints:
        labels = {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}
        assert labels["cache"] == "cache"
        assert labels["instance"] in addresses


def test_monitors_select_the_exporter_and_its_ports() -> None:
    for kind, endpoints in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        registered = monitoring(SENTINEL, scrape="service_monitor" if kind == "ServiceMonitor" else "pod_monitor")
        monitor, deployment, service = (registered.only(each) for each in (kind, "Deployment", "Service"))
        selector = monitor["spec"]["selector"]["matchLabels"]
        assert wiring.matches(selector, service["metadata"]["labels"])
        assert wiring.matches(selector, deployment["spec"]["template"]["metadata"]["labels"])
        containers = deployment["spec"]["template"]["spec"]["containers"]
        ports = {port["name"] for container in containers for port in container["ports"]}
        assert {each["port"] for each in monitor["spec"][endpoints]} == ports == {each["name"] for each in service["spec"]["ports"]}


def test_what_backups_say_of_themselves_is_scraped_too_and_asked_for_by_alerts() -> None:
    def program(scrape: str, files: bool = False) -> mocks.Registered:
        backup: Any = {"namespace": "shop", "connection": REDIS, "bucket": "s3://backups/carts"}
        more: Any = {"scrape": scrape, "backup": "carts", **({"rules": "config_map"} if files else {})}

        def make() -> None:
            CacheBackup("carts", backup)
            CacheMonitoring("cache", {"namespace": "shop", "connection": backup["connection"], **more})  # type: ignore[typeddict-item]

        return mocks.run(make)

    for kind, endpoints in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        registered = program("service_monitor" if kind == "ServiceMonitor" else "pod_monitor")
        monitor, service = registered.named(kind)["cache-backup-monitor"], registered.named("Service")["carts-backup-metrics"]
        pod = registered.named("Deployment")["carts-backup-metrics"]["spec"]["template"]
        selector = monitor["spec"]["selector"]["matchLabels"]
        assert wiring.matches(selector, service["metadata"]["labels"])
        assert wiring.matches(selector, pod["metadata"]["labels"])
        assert wiring.matches(service["spec"]["selector"], pod["metadata"]["labels"])
        [endpoint] = monitor["spec"][endpoints]
        [port], [container] = service["spec"]["ports"], pod["spec"]["containers"]
        assert endpoint["port"] == port["name"] == container["ports"][0]["name"]
        assert {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}["cache"] == "cache"
    [group] = registered.only("PrometheusRule")["spec"]["groups"]
    assert {"CacheBackupTooOld", "CacheRestoreDrillTooOld"} <= {rule["alert"] for rule in group["rules"]}
    [job] = json.loads(program("scrape_config", True).named("ConfigMap")["cache-scrape"]["data"]["scrape.yaml"])["scrape_configs"]
    assert job["static_configs"][-1] == {
        "targets": ["carts-backup-metrics.shop.svc:9199"],
        "labels": {
            "__metrics_path__": "/metrics",
            "instance": "carts-backup-metrics:9199",
            "namespace": "shop",
            "cache": "cache",
            "provider": "kubernetes",
        },
    }


def test_a_prometheus_without_operator_gets_files() -> None:
    registered = monitoring(MEMCACHED, scrape="scrape_config", rules="config_map")
    files = registered.named("ConfigMap")
    [job] = json.loads(files["cache-scrape"]["data"]["scrape.yaml"])["scrape_configs"]
    assert [each["labels"]["instance"] for each in job["static_configs"]] == MEMCACHED["nodes"]
    assert {each["targets"][0] for each in job["static_configs"]} == {"cache-exporter.shop.svc:9121"}
    assert all(each["labels"]["namespace"] == "shop" for each in job["static_configs"])
    [group] = json.loads(files["cache-rules"]["data"]["rules.yaml"])["groups"]
    assert group["name"] == "shop/cache"
    assert registered.named("ServiceMonitor") == registered.named("PrometheusRule") == {}


def test_annotations_name_one_server() -> None:
    annotations = monitoring(REDIS, scrape="annotations").only("Service")["metadata"]["annotations"]
    assert annotations["prometheus.io/param_target"] == "redis://carts.shop.svc:6379"
    assert annotations["prometheus.io/path"] == "/scrape"


def test_a_cloud_s_cache_is_asked_at_its_one_address_as_its_user() -> None:
    registered = monitoring(CLOUD)
    endpoint = registered.only("ServiceMonitor")["spec"]["endpoints"][0]
    assert endpoint["params"] == {"target": ["rediss://carts.euw1.cache.example:6379"]}
    labels = {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}
    assert (labels["provider"], labels["region"]) == ("aws", "eu-west-1")
    passwords = registered.named("Secret")["cache-exporter-files"]["stringData"]["passwords.json"]
    assert list(json.loads(passwords)) == ["rediss://app@carts.euw1.cache.example:6379"]


def test_alerts_are_those_that_were_not_disabled_with_the_person_s_labels() -> None:
    args = {"disabled_alerts": ["CacheEvictions"], "alert_labels": {"team": "shop"}, "runbooks": "https://wiki.example/runbooks"}
    [group] = monitoring(REDIS, **args).only("PrometheusRule")["spec"]["groups"]
    assert "CacheEvictions" not in [rule["alert"] for rule in group["rules"]]
    assert {rule["labels"]["team"] for rule in group["rules"]} == {"shop"}
    assert group["rules"][0]["annotations"]["runbook_url"] == "https://wiki.example/runbooks#cacheserverdown"


def test_without_dashboards_there_are_none() -> None:
    assert monitoring(REDIS, dashboards=False).named("ConfigMap") == {}


def test_takes_what_a_component_exports() -> None:
    def program() -> None:
        group = SentinelGroup("carts", {"namespace": "shop"})
        CacheMonitoring("carts", {"namespace": "shop", "connection": group.connection})

    registered = mocks.run(program)
    [command] = [each["command"] for each in registered.only("Deployment")["spec"]["template"]["spec"]["containers"]]
    assert "-redis.user=exporter" in command
    endpoints = registered.only("ServiceMonitor")["spec"]["endpoints"]
    assert [each["params"]["target"][0] for each in endpoints][:1] == ["redis://carts-0.shop.svc:6379"]
    assert len(endpoints) == 6


def test_a_connection_from_another_language_arrives_with_the_names_of_python() -> None:
    provider = CachesProvider(COMPONENTS)
    given = {**{key: value for key, value in SENTINEL.items() if key != "ca_pem"}, "caPem": "the-authority", "masterName": "carts"}
    inputs = {"connection": pulumi.Output.secret(given), "namespace": "shop"}
    registered = mocks.run(lambda: provider.construct("cache", "caches:index:CacheMonitoring", inputs).urn)
    assert registered.named("Secret")["cache-exporter-files"]["stringData"]["ca.crt"] == "the-authority"
