"""How a Prometheus learns of the exporters in a cache's own pods: functions of plain data."""

from dataclasses import dataclass
from typing import Any

from pulumi_caches.kubernetes.exporter_sidecar import from_within
from pulumi_caches.kubernetes.monitored import Monitored
from pulumi_caches.kubernetes.scrape import INTERVAL_SECONDS, TIMEOUT_SECONDS, as_yaml, endpoint, static_job

_POD = "__meta_kubernetes_pod_name"
# Prometheus' names of a rule's parts, as the Prometheus Operator spells them.
_SPELLED = {"source_labels": "sourceLabels", "target_label": "targetLabel"}


@dataclass(frozen=True)
class _Question:
    """What every pod is asked, and the server or sentinel that the answer is about."""

    port: str
    path: str
    parameters: dict[str, str]
    instances: tuple[str, ...]
    """As host:port, one in each pod."""


def pod_monitor(cache: Monitored) -> dict[str, Any]:
    """The spec of a PodMonitor."""
    return {"selector": {"matchLabels": cache.pods}, "podMetricsEndpoints": [_endpoint(cache, each) for each in _questions(cache)]}


def pod_scrape_config(cache: Monitored) -> str:
    """A file for `scrape_config_files` of a Prometheus that may list pods."""
    jobs = [_job(cache, number, each) for number, each in enumerate(_questions(cache))]
    backup = [static_job(cache, cache.backup_targets)] if cache.backup else []
    return as_yaml({"scrape_configs": [*jobs, *backup]})


def _questions(cache: Monitored) -> list[_Question]:
    within = from_within(cache.engine, cache.username, tls=cache.tls, sentinels=bool(cache.sentinels))
    asked = [(within.servers[0], cache.servers), *zip(within.sentinels, [cache.sentinels], strict=False)]
    questions = [_Question("exporter", "/scrape", {"target": within.address(own)}, instances) for own, instances in asked]
    if cache.tls:
        for _, instances in asked:
            port = instances[0].rpartition(":")[2]
            questions.append(_Question("certificates", "/probe", {"module": "tls", "target": f"127.0.0.1:{port}"}, instances))
    return questions


def _endpoint(cache: Monitored, question: _Question) -> dict[str, Any]:
    relabelings = [{_SPELLED.get(key, key): value for key, value in rule.items()} for rule in _rules(cache, question)]
    return endpoint(question.port, question.path, question.parameters, relabelings)


def _job(cache: Monitored, number: int, question: _Question) -> dict[str, Any]:
    selector = ",".join(f"{key}={value}" for key, value in cache.pods.items())
    found = {"role": "pod", "namespaces": {"names": [cache.namespace]}, "selectors": [{"role": "pod", "label": selector}]}
    return {
        "job_name": f"{cache.namespace}/{cache.name}/{number}",
        "scrape_interval": f"{INTERVAL_SECONDS}s",
        "scrape_timeout": f"{TIMEOUT_SECONDS}s",
        "metrics_path": question.path,
        "params": {key: [value] for key, value in question.parameters.items()},
        "kubernetes_sd_configs": [found],
        # As the Prometheus Operator has them for a PodMonitor.
        "relabel_configs": [
            _keep("__meta_kubernetes_pod_container_port_name", question.port),
            _keep("__meta_kubernetes_pod_phase", "Pending|Running|Unknown"),
            _put("namespace", cache.namespace),
            *_rules(cache, question),
        ],
    }


def _rules(cache: Monitored, question: _Question) -> list[dict[str, Any]]:
    """Which pods are asked, and what their series are told apart by."""
    labels = [_put(key, value) for key, value in cache.series_labels.items()]
    if len(question.instances) == 1:
        # The one pod may have any name.
        return [_put("instance", question.instances[0]), *labels]
    pods = {instance.partition(".")[0]: instance for instance in question.instances}
    named = [{"source_labels": [_POD], "regex": name, **_put("instance", instance)} for name, instance in pods.items()]
    # Pods that are too many, and go, are no servers of this cache any more.
    return [_keep(_POD, "|".join(pods)), *named, *labels]


def _keep(label: str, pattern: str) -> dict[str, Any]:
    return {"action": "keep", "source_labels": [label], "regex": pattern}


def _put(label: str, value: str) -> dict[str, Any]:
    return {"action": "replace", "target_label": label, "replacement": value}
