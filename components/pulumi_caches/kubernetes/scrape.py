"""How a Prometheus learns of an exporter: functions of plain data."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pulumi_caches.arguments import ArgumentError
from pulumi_caches.kubernetes.monitored import BACKUP_PORT, CERTIFICATE_PORT, EXPORTER_PORT, Monitored, Target

MONITOR_API = "monitoring.coreos.com/v1"
SCRAPE_FILE = "scrape.yaml"
INTERVAL_SECONDS = 30
# Within what is asked the server has to answer, or the exporter says that it does not.
TIMEOUT_SECONDS = 10
PORTS = {"exporter": EXPORTER_PORT, "certificates": CERTIFICATE_PORT, "metrics": BACKUP_PORT}


class Scrape(StrEnum):
    """How Prometheus learns of the exporter."""

    SERVICE_MONITOR = "service_monitor"
    """A ServiceMonitor of the Prometheus Operator."""
    POD_MONITOR = "pod_monitor"
    """A PodMonitor of the Prometheus Operator."""
    SCRAPE_CONFIG = "scrape_config"
    """A ConfigMap with the scrape configuration for a Prometheus that is configured by files."""
    ANNOTATIONS = "annotations"
    """Annotations prometheus.io/… of the Service; for one server without TLS."""


def monitor(kind: Scrape, cache: Monitored, targets: Sequence[Target], selector: dict[str, str]) -> dict[str, Any]:
    """The spec of a ServiceMonitor or PodMonitor of what the selector selects."""
    endpoints = "podMetricsEndpoints" if kind is Scrape.POD_MONITOR else "endpoints"
    return {"selector": {"matchLabels": selector}, endpoints: [_endpoint(cache, target) for target in targets]}


def _endpoint(cache: Monitored, target: Target) -> dict[str, Any]:
    labels = {"instance": target.instance, **cache.series_labels}
    relabelings = [{"action": "replace", "targetLabel": key, "replacement": value} for key, value in labels.items()]
    return endpoint(target.port, target.path, target.parameters, relabelings)


def endpoint(port: str, path: str, parameters: dict[str, str], relabelings: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a ServiceMonitor or PodMonitor."""
    return {
        "port": port,
        "path": path,
        "params": {key: [value] for key, value in parameters.items()},
        "interval": f"{INTERVAL_SECONDS}s",
        "scrapeTimeout": f"{TIMEOUT_SECONDS}s",
        "relabelings": relabelings,
    }


def scrape_config(cache: Monitored) -> str:
    """A file for `scrape_config_files` of Prometheus' configuration."""
    return as_yaml({"scrape_configs": [static_job(cache, [*cache.targets, *cache.backup_targets])]})


def static_job(cache: Monitored, targets: Sequence[Target]) -> dict[str, Any]:
    """Of `scrape_configs`, for what has Services."""
    return {
        "job_name": f"{cache.namespace}/{cache.name}",
        "scrape_interval": f"{INTERVAL_SECONDS}s",
        "scrape_timeout": f"{TIMEOUT_SECONDS}s",
        "static_configs": [_static_config(cache, target) for target in targets],
    }


def _static_config(cache: Monitored, target: Target) -> dict[str, Any]:
    parameters = {f"__param_{key}": value for key, value in target.parameters.items()}
    labels = {"instance": target.instance, "namespace": cache.namespace, **cache.series_labels}
    address = f"{target.service}.{cache.namespace}.svc:{PORTS[target.port]}"
    return {"targets": [address], "labels": {"__metrics_path__": target.path, **parameters, **labels}}


def as_yaml(content: dict[str, Any]) -> str:
    """A file for Prometheus, which takes JSON, as a part of YAML."""
    return json.dumps(content, indent=2) + "\n"


def annotations(cache: Monitored) -> dict[str, str]:
    """Of a Service. Raises ArgumentError when they can't name all there is."""
    if len(cache.targets) > 1:
        problem = f"annotations name one target, and this cache has {len(cache.targets)}: use service_monitor, pod_monitor or scrape_config"
        raise ArgumentError(f"CacheMonitoring {cache.name!r} can't be made:\n  * scrape = 'annotations': {problem}")
    [target] = cache.targets
    return scrape_annotations(target.port, target.path, target.parameters)


def scrape_annotations(port: str, path: str, parameters: dict[str, str]) -> dict[str, str]:
    """Of a Service with one port that is scraped."""
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(PORTS[port]),
        "prometheus.io/path": path,
        **{f"prometheus.io/param_{key}": value for key, value in parameters.items()},
    }
