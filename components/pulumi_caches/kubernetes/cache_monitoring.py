"""CacheMonitoring: an exporter for any cache, and what Prometheus and Grafana make of it: alerts that fire, dashboards."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import DNS_LABEL, Arguments
from pulumi_caches.connection import Connection, host_of
from pulumi_caches.kubernetes import exporter, labels
from pulumi_caches.kubernetes.alerts import RULES_FILE, ThresholdArgs, Thresholds, read_disabled, read_thresholds, rule_groups
from pulumi_caches.kubernetes.cache_backup import metrics_selector
from pulumi_caches.kubernetes.dashboards import dashboards
from pulumi_caches.kubernetes.monitored import Monitored, monitored, password_of
from pulumi_caches.kubernetes.pod_scrape import pod_monitor, pod_scrape_config
from pulumi_caches.kubernetes.scrape import MONITOR_API, PORTS, SCRAPE_FILE, Scrape, annotations, as_yaml, monitor, scrape_config
from pulumi_caches.kubernetes.server import RUNTIME_IMAGE, read_image

# The longest derived name is that of the dashboards, and it is a label too.
NAME_MAXIMUM = 52
RUNBOOKS = "docs/runbooks.md"
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# What an alert is told apart by.
_OWN_LABELS = ("alertname", "severity", "cache", "namespace", "instance")


class RuleFormat(StrEnum):
    """How Prometheus gets the alerts."""

    PROMETHEUS_RULE = "prometheus_rule"
    """A PrometheusRule of the Prometheus Operator."""
    CONFIG_MAP = "config_map"
    """A ConfigMap with a file of rules."""


class ExporterPlace(StrEnum):
    """Where the exporter runs."""

    DEPLOYMENT = "deployment"
    """In a pod of its own, which asks all servers."""
    SIDECAR = "sidecar"
    """In each server's pod, where the cache has put it (`exporter_sidecar`)."""


class CacheMonitoringArgs(ThresholdArgs):
    """Arguments of CacheMonitoring. Only `connection` is required."""

    connection: pulumi.Input[Connection]
    """The cache, as its component exports it."""
    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    exporter: NotRequired[ExporterPlace]
    """deployment, or sidecar for a cache whose pods have one. Default: deployment."""
    scrape: NotRequired[Scrape]
    """How Prometheus learns of it. Default: service_monitor; with exporter sidecar pod_monitor, where it may be scrape_config too."""
    backup: NotRequired[str]
    """Name of the CacheBackup in the same namespace whose metrics are scraped too, for alerts. Default: none."""
    rules: NotRequired[RuleFormat]
    """prometheus_rule or config_map: how Prometheus gets the alerts. Default: prometheus_rule."""
    disabled_alerts: NotRequired[list[str]]
    """Names of alerts not to make. Default: none."""
    alert_labels: NotRequired[dict[str, str]]
    """Labels added to every alert, such as the team that gets it. Default: none."""
    runbooks: NotRequired[str]
    """Where docs/runbooks.md is served, for the alerts' runbook_url. Default: docs/runbooks.md."""
    dashboards: NotRequired[bool]
    """Whether to make a ConfigMap with Grafana dashboards. Default: true."""
    clouds_dashboard: NotRequired[bool]
    """Whether the one that joins all caches is among them; once for each Grafana. Default: false."""
    image: NotRequired[str]
    """The exporter's image, with an exact tag or digest. Default: redis_exporter v1.86.0 or memcached_exporter v0.14.3."""
    certificate_image: NotRequired[str]
    """Image of the exporter of certificates, with an exact tag or digest; only runs with TLS. Default: blackbox-exporter v0.26.0."""
    runtime_image: NotRequired[str]
    """The runtime's image, with an exact tag or digest; only runs where Memcached takes a login. Default: version 0.1.0."""
    image_pull_secrets: NotRequired[list[str]]
    """Secrets for private registries. Default: none."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object, such as those by which a Prometheus selects monitors and rules. Default: none."""


class CacheMonitoring(pulumi.ComponentResource):
    """
    An exporter for any cache, alerts and dashboards.

    Creates the Deployment and Service NAME-exporter, with a Secret for its passwords, and NAME as: ServiceMonitor, PodMonitor
    or ConfigMap NAME-scrape, with NAME-backup for backups; PrometheusRule or ConfigMap NAME-rules; ConfigMap NAME-dashboards.
    Every series has the labels `cache`, which is NAME, and `namespace`; alerts are only about those. With exporter sidecar there
    is no NAME-exporter.
    """

    service_name: pulumi.Output[str] | None
    """The exporter's Service; absent with exporter sidecar."""

    def __init__(self, name: str, args: CacheMonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError with what is wrong with the arguments; with the connection, once that is known."""
        plan = _read(name, args)
        super().__init__("caches:index:CacheMonitoring", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        connection = pulumi.Output.from_input(args["connection"])
        cache = pulumi.Output.unsecret(pulumi.Output.all(plan.namespace, connection).apply(lambda known: plan.monitored(*known)))

        def of_cache(make: Callable[[Monitored], Any]) -> pulumi.Output[Any]:
            return cache.apply(make)

        service = None if plan.sidecars else _make_exporter(plan, cache, connection, child)
        plan.make_scrape(of_cache, child)
        plan.make_rules(of_cache, connection, child)
        if plan.dashboards:
            metadata = plan.metadata("dashboards", grafana_dashboard="1")
            files = of_cache(lambda cache: dashboards(cache, plan.clouds_dashboard))
            k8s.core.v1.ConfigMap(f"{name}-dashboards", metadata=metadata, data=files, opts=child)

        self.service_name = service.metadata["name"] if service else None
        self.register_outputs({"serviceName": self.service_name})


def _make_exporter(
    plan: "_Plan", cache: pulumi.Output[Monitored], connection: pulumi.Output[Connection], opts: pulumi.ResourceOptions
) -> k8s.core.v1.Service:
    # The last one makes it secret, also where the connection was written by hand.
    files = pulumi.Output.all(cache, connection, pulumi.Output.secret(None)).apply(
        lambda known: exporter.secret_files(known[0], password_of(known[1]))
    )
    # Without a name of our own: changed passwords are another Secret, which rolls the pod, that reads them once.
    secret = k8s.core.v1.Secret(f"{plan.name}-exporter-files", metadata=plan.metadata(None), string_data=files, opts=opts)
    service = k8s.core.v1.Service(
        f"{plan.name}-exporter",
        metadata={**plan.metadata("exporter"), "annotations": cache.apply(plan.annotations)},
        spec={"selector": plan.selector, "ports": cache.apply(_ports)},
        opts=opts,
    )
    k8s.apps.v1.Deployment(
        f"{plan.name}-exporter",
        metadata={**plan.metadata("exporter"), "annotations": {labels.CACHE: host_of(connection)}},
        spec=pulumi.Output.all(cache, secret.metadata["name"]).apply(lambda known: plan.deployment_spec(*known)),
        opts=opts,
    )
    return service


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and the manifests that follow from them."""

    name: str
    namespace: pulumi.Input[str]
    sidecars: bool
    scrape: Scrape
    backup: str
    rules: RuleFormat
    thresholds: Thresholds
    disabled_alerts: tuple[str, ...]
    alert_labels: dict[str, str]
    runbooks: str
    dashboards: bool
    clouds_dashboard: bool
    images: exporter.Images
    pull_secrets: tuple[str, ...]
    labels: dict[str, str]

    @property
    def selector(self) -> dict[str, str]:
        return labels.selector("cache-exporter", self.name)

    def metadata(self, suffix: str | None, **more: str) -> dict[str, Any]:
        """With None, of an object that is named by the engine."""
        # The label `cache` becomes one of the series, where Prometheus finds the Service by its annotations.
        all_labels = {**labels.all_labels("cache-exporter", self.name, "monitoring", self.labels), "cache": self.name, **more}
        named = {} if suffix is None else {"name": f"{self.name}-{suffix}" if suffix else self.name}
        return {**named, "namespace": self.namespace, "labels": all_labels}

    def monitored(self, namespace: str, connection: Connection) -> Monitored:
        return monitored(self.name, self.backup, namespace, connection, sidecars=self.sidecars)

    def annotations(self, cache: Monitored) -> dict[str, str]:
        return annotations(cache) if self.scrape is Scrape.ANNOTATIONS else {}

    def deployment_spec(self, cache: Monitored, secret_name: str) -> dict[str, Any]:
        all_labels = self.metadata("exporter")["labels"]
        return exporter.deployment_spec(cache, self.images, self.pull_secrets, self.selector, all_labels, secret_name)

    def make_scrape(self, of_cache: Callable[..., pulumi.Output[Any]], opts: pulumi.ResourceOptions) -> None:
        if self.scrape is Scrape.SCRAPE_CONFIG:
            files = of_cache(lambda cache: {SCRAPE_FILE: pod_scrape_config(cache) if self.sidecars else scrape_config(cache)})
            k8s.core.v1.ConfigMap(f"{self.name}-scrape", metadata=self.metadata("scrape"), data=files, opts=opts)
        elif self.scrape is not Scrape.ANNOTATIONS:
            kind = "PodMonitor" if self.scrape is Scrape.POD_MONITOR else "ServiceMonitor"
            spec = of_cache(
                lambda cache: pod_monitor(cache) if self.sidecars else monitor(self.scrape, cache, cache.targets, self.selector)
            )
            self._custom_resource("monitor", kind, self.metadata(""), spec, opts)
            if self.backup:
                spec = of_cache(lambda cache: monitor(self.scrape, cache, cache.backup_targets, metrics_selector(self.backup)))
                self._custom_resource("backup-monitor", kind, self.metadata("backup"), spec, opts)

    def make_rules(
        self, of_cache: Callable[..., pulumi.Output[Any]], connection: pulumi.Output[Connection], opts: pulumi.ResourceOptions
    ) -> None:
        def groups(cache: Monitored) -> dict[str, Any]:
            return rule_groups(cache, self.thresholds, self.disabled_alerts, self.alert_labels, self.runbooks)

        told = {"annotations": {labels.CACHE: host_of(connection)}}
        if self.rules is RuleFormat.PROMETHEUS_RULE:
            self._custom_resource("rules", "PrometheusRule", {**self.metadata(""), **told}, of_cache(groups), opts)
        else:
            files = of_cache(lambda cache: {RULES_FILE: as_yaml(groups(cache))})
            k8s.core.v1.ConfigMap(f"{self.name}-rules", metadata={**self.metadata("rules"), **told}, data=files, opts=opts)

    def _custom_resource(
        self, what: str, kind: str, metadata: dict[str, Any], spec: pulumi.Output[Any], opts: pulumi.ResourceOptions
    ) -> None:
        k8s.apiextensions.CustomResource(f"{self.name}-{what}", api_version=MONITOR_API, kind=kind, metadata=metadata, spec=spec, opts=opts)


def _ports(cache: Monitored) -> list[dict[str, Any]]:
    used = dict.fromkeys(target.port for target in cache.targets)
    return [{"name": port, "port": PORTS[port], "target_port": port} for port in used]


def _read(name: str, args: CacheMonitoringArgs) -> _Plan:
    arguments = Arguments("CacheMonitoring", name, NAME_MAXIMUM, args, CacheMonitoringArgs)
    if not arguments.given("connection"):
        arguments.refuse("connection", "is required: give what a cache exports as connection")
    sidecars = arguments.choice("exporter", ExporterPlace.DEPLOYMENT) is ExporterPlace.SIDECAR
    plan = _Plan(
        name=name,
        namespace=arguments.name("namespace", "default"),
        sidecars=sidecars,
        scrape=arguments.choice("scrape", Scrape.POD_MONITOR if sidecars else Scrape.SERVICE_MONITOR),
        backup=arguments.text("backup", "", DNS_LABEL, "must be the name of a CacheBackup: lower-case letters, digits and '-'"),
        rules=arguments.choice("rules", RuleFormat.PROMETHEUS_RULE),
        thresholds=read_thresholds(arguments),
        disabled_alerts=read_disabled(arguments),
        alert_labels=_read_alert_labels(arguments),
        runbooks=arguments.text("runbooks", RUNBOOKS, re.compile(r"[^\s#]+"), "must be an address without '#'"),
        dashboards=arguments.flag("dashboards", True),
        clouds_dashboard=arguments.flag("clouds_dashboard", False),
        images=_read_images(arguments),
        pull_secrets=tuple(arguments.texts("image_pull_secrets", [])),
        labels=arguments.labels("labels"),
    )
    if sidecars:
        _refuse_with_sidecars(arguments, plan.scrape)
    for key in ("backup_age_hours", "drill_age_days"):
        if arguments.given(key) and not plan.backup:
            arguments.refuse(key, "needs backup, the name of the CacheBackup")
    if plan.scrape is Scrape.ANNOTATIONS and plan.backup not in ("", name):
        arguments.refuse("backup", f"with annotations its series have its own name, and alerts ask for {name!r}: give both the same name")
    if plan.clouds_dashboard and not plan.dashboards:
        arguments.refuse("clouds_dashboard", "there is none without dashboards")
    arguments.finish()
    return plan


def _read_images(arguments: Arguments) -> exporter.Images:
    return exporter.Images(
        exporter=read_image(arguments, "image", exporter.REDIS_IMAGE) if arguments.given("image") else "",
        certificate=read_image(arguments, "certificate_image", exporter.CERTIFICATE_IMAGE),
        runtime=read_image(arguments, "runtime_image", RUNTIME_IMAGE),
    )


def _refuse_with_sidecars(arguments: Arguments, scrape: Scrape) -> None:
    if scrape is Scrape.SERVICE_MONITOR:
        arguments.refuse("scrape", "a cache's Services don't lead to the exporters in its pods: use pod_monitor or scrape_config")
    if scrape is Scrape.ANNOTATIONS:
        arguments.refuse("scrape", "annotations can't say which server a pod's exporter tells of: use pod_monitor or scrape_config")
    for key in ("image", "certificate_image", "runtime_image", "image_pull_secrets"):
        if arguments.given(key):
            arguments.refuse(key, "with exporter sidecar nothing runs here: give it to the cache")


def _read_alert_labels(arguments: Arguments) -> dict[str, str]:
    found = arguments.labels("alert_labels")
    for key in found:
        if not _LABEL_NAME.fullmatch(key):
            arguments.refuse("alert_labels", f"{key!r} is no label of Prometheus: letters, digits and '_', not beginning with a digit")
        if key in _OWN_LABELS:
            arguments.refuse("alert_labels", f"{key!r} is set here, to tell alerts apart: choose another name")
    return found
