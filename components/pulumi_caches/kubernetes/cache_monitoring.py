"""CacheMonitoring: an exporter for any cache, and what Prometheus and Grafana make of it: alerts that fire, dashboards."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.connection import Connection, host_of
from pulumi_caches.kubernetes import exporter, labels
from pulumi_caches.kubernetes.alerts import RULES_FILE, ThresholdArgs, Thresholds, read_disabled, read_thresholds, rule_groups
from pulumi_caches.kubernetes.dashboards import dashboards
from pulumi_caches.kubernetes.monitored import Monitored, monitored, password_of
from pulumi_caches.kubernetes.scrape import MONITOR_API, PORTS, SCRAPE_FILE, Scrape, annotations, as_yaml, monitor, scrape_config
from pulumi_caches.kubernetes.server import read_image

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


class CacheMonitoringArgs(ThresholdArgs):
    """Arguments of CacheMonitoring. Only `connection` is required."""

    connection: pulumi.Input[Connection]
    """The cache, as its component exports it."""
    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    scrape: NotRequired[Scrape]
    """service_monitor, pod_monitor, scrape_config or annotations: how Prometheus learns of the exporter. Default: service_monitor."""
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
    image_pull_secrets: NotRequired[list[str]]
    """Secrets for private registries. Default: none."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object, such as those by which a Prometheus selects monitors and rules. Default: none."""


class CacheMonitoring(pulumi.ComponentResource):
    """
    An exporter for any cache, alerts and dashboards.

    Creates the Deployment and Service NAME-exporter, with a Secret for its passwords, and NAME as: ServiceMonitor, PodMonitor
    or ConfigMap NAME-scrape; PrometheusRule or ConfigMap NAME-rules; ConfigMap NAME-dashboards. Every series has the labels
    `cache`, which is NAME, and `namespace`; alerts are only about those.
    """

    service_name: pulumi.Output[str]
    """The exporter's Service."""

    def __init__(self, name: str, args: CacheMonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError with what is wrong with the arguments; with the connection, once that is known."""
        plan = _read(name, args)
        super().__init__("caches:index:CacheMonitoring", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        connection = pulumi.Output.from_input(args["connection"])
        cache = pulumi.Output.unsecret(pulumi.Output.all(plan.namespace, connection).apply(lambda known: monitored(name, *known)))

        def of_cache(make: Callable[[Monitored], Any]) -> pulumi.Output[Any]:
            return cache.apply(make)

        # The last one makes it secret, also where the connection was written by hand.
        files = pulumi.Output.all(cache, connection, pulumi.Output.secret(None)).apply(
            lambda known: exporter.secret_files(known[0], password_of(known[1]))
        )
        # Without a name of our own: changed passwords are another Secret, which rolls the pod, that reads them once.
        secret = k8s.core.v1.Secret(f"{name}-exporter-files", metadata=plan.metadata(None), string_data=files, opts=child)
        service = k8s.core.v1.Service(
            f"{name}-exporter",
            metadata={**plan.metadata("exporter"), "annotations": of_cache(plan.annotations)},
            spec={"selector": plan.selector, "ports": of_cache(_ports)},
            opts=child,
        )
        k8s.apps.v1.Deployment(
            f"{name}-exporter",
            metadata={**plan.metadata("exporter"), "annotations": {labels.CACHE: host_of(args["connection"])}},
            spec=pulumi.Output.all(cache, secret.metadata["name"]).apply(lambda known: plan.deployment_spec(*known)),
            opts=child,
        )
        plan.make_scrape(of_cache, child)
        plan.make_rules(of_cache, child)
        if plan.dashboards:
            metadata = plan.metadata("dashboards", grafana_dashboard="1")
            files = of_cache(lambda cache: dashboards(cache, plan.clouds_dashboard))
            k8s.core.v1.ConfigMap(f"{name}-dashboards", metadata=metadata, data=files, opts=child)

        self.service_name = service.metadata["name"]
        self.register_outputs({"serviceName": self.service_name})


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and the manifests that follow from them."""

    name: str
    namespace: pulumi.Input[str]
    scrape: Scrape
    rules: RuleFormat
    thresholds: Thresholds
    disabled_alerts: tuple[str, ...]
    alert_labels: dict[str, str]
    runbooks: str
    dashboards: bool
    clouds_dashboard: bool
    image: str
    certificate_image: str
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

    def annotations(self, cache: Monitored) -> dict[str, str]:
        return annotations(cache) if self.scrape is Scrape.ANNOTATIONS else {}

    def deployment_spec(self, cache: Monitored, secret_name: str) -> dict[str, Any]:
        images = self.image, self.certificate_image, self.pull_secrets
        return exporter.deployment_spec(cache, *images, self.selector, self.metadata("exporter")["labels"], secret_name)

    def make_scrape(self, of_cache: Callable[..., pulumi.Output[Any]], opts: pulumi.ResourceOptions) -> None:
        if self.scrape is Scrape.SCRAPE_CONFIG:
            files = of_cache(lambda cache: {SCRAPE_FILE: scrape_config(cache, f"{self.name}-exporter")})
            k8s.core.v1.ConfigMap(f"{self.name}-scrape", metadata=self.metadata("scrape"), data=files, opts=opts)
        elif self.scrape is not Scrape.ANNOTATIONS:
            kind = "PodMonitor" if self.scrape is Scrape.POD_MONITOR else "ServiceMonitor"
            spec = of_cache(lambda cache: monitor(self.scrape, cache, self.selector))
            self._custom_resource("monitor", kind, spec, opts)

    def make_rules(self, of_cache: Callable[..., pulumi.Output[Any]], opts: pulumi.ResourceOptions) -> None:
        def groups(cache: Monitored) -> dict[str, Any]:
            return rule_groups(cache, self.thresholds, self.disabled_alerts, self.alert_labels, self.runbooks)

        if self.rules is RuleFormat.PROMETHEUS_RULE:
            self._custom_resource("rules", "PrometheusRule", of_cache(groups), opts)
        else:
            files = of_cache(lambda cache: {RULES_FILE: as_yaml(groups(cache))})
            k8s.core.v1.ConfigMap(f"{self.name}-rules", metadata=self.metadata("rules"), data=files, opts=opts)

    def _custom_resource(self, suffix: str, kind: str, spec: pulumi.Output[Any], opts: pulumi.ResourceOptions) -> None:
        k8s.apiextensions.CustomResource(
            f"{self.name}-{suffix}", api_version=MONITOR_API, kind=kind, metadata=self.metadata(""), spec=spec, opts=opts
        )


def _ports(cache: Monitored) -> list[dict[str, Any]]:
    used = dict.fromkeys(target.port for target in cache.targets)
    return [{"name": port, "port": PORTS[port], "target_port": port} for port in used]


def _read(name: str, args: CacheMonitoringArgs) -> _Plan:
    arguments = Arguments("CacheMonitoring", name, NAME_MAXIMUM, args, CacheMonitoringArgs)
    if not arguments.given("connection"):
        arguments.refuse("connection", "is required: give what a cache exports as connection")
    plan = _Plan(
        name=name,
        namespace=arguments.name("namespace", "default"),
        scrape=arguments.choice("scrape", Scrape.SERVICE_MONITOR),
        rules=arguments.choice("rules", RuleFormat.PROMETHEUS_RULE),
        thresholds=read_thresholds(arguments),
        disabled_alerts=read_disabled(arguments),
        alert_labels=_read_alert_labels(arguments),
        runbooks=arguments.text("runbooks", RUNBOOKS, re.compile(r"[^\s#]+"), "must be an address without '#'"),
        dashboards=arguments.flag("dashboards", True),
        clouds_dashboard=arguments.flag("clouds_dashboard", False),
        image=str(read_image(arguments, "image", exporter.REDIS_IMAGE)) if arguments.given("image") else "",
        certificate_image=str(read_image(arguments, "certificate_image", exporter.CERTIFICATE_IMAGE)),
        pull_secrets=tuple(arguments.texts("image_pull_secrets", [])),
        labels=arguments.labels("labels"),
    )
    if plan.clouds_dashboard and not plan.dashboards:
        arguments.refuse("clouds_dashboard", "there is none without dashboards")
    arguments.finish()
    return plan


def _read_alert_labels(arguments: Arguments) -> dict[str, str]:
    found = arguments.labels("alert_labels")
    for key in found:
        if not _LABEL_NAME.fullmatch(key):
            arguments.refuse("alert_labels", f"{key!r} is no label of Prometheus: letters, digits and '_', not beginning with a digit")
        if key in _OWN_LABELS:
            arguments.refuse("alert_labels", f"{key!r} is set here, to tell alerts apart: choose another name")
    return found
