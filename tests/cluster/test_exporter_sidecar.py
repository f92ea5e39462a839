"""CacheMonitoring on the real cluster: a Prometheus in it finds what the component's scrape configuration names, and has its series."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import NODE, Deployed, eventually

pytestmark = pytest.mark.cluster

ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
PROMETHEUS = "docker.io/prom/prometheus:v2.53.3"
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
ORDINARY = {"runAsNonRoot": True, "runAsUser": 65534, "fsGroup": 65534, "seccompProfile": {"type": "RuntimeDefault"}}


class Monitored(Deployed):
    """A cache with an exporter in each of its pods, and a Prometheus of the test's."""

    def __init__(self, scratch: Path, component: str, *places: str) -> None:
        super().__init__(scratch, f"monitored-{component.lower()}", component)
        files = {"scrape": "scrape_config", "rules": "config_map", "dashboards": False}
        self.pulumi("config", "set", "monitoring", json.dumps({f"by-{place}": {"exporter": place, **files} for place in places}))

    def begin_prometheus(self) -> None:
        """Starts it with the components' files, and waits until it answers."""
        made = [each for each in self.get("configmaps")["items"] if each["metadata"]["name"].endswith("-scrape")]
        # As they are, but asked sooner.
        sooner = {each["metadata"]["name"]: each["data"]["scrape.yaml"].replace('"30s"', '"5s"').replace('"10s"', '"5s"') for each in made}
        scraped = {f"{name}.yaml": text for name, text in sooner.items()}
        files = {"prometheus.yaml": json.dumps({"scrape_config_files": ["*-scrape.yaml"]}), **scraped}
        file = self.folder / "prometheus.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": self._prometheus(files)}))
        self.kubectl("apply", f"--filename={file}")
        self.kubectl("wait", "pod/prometheus", "--for=condition=Ready", "--timeout=60s")

    def series(self, query: str) -> dict[str, float]:
        """By cache and instance."""
        address = self.get("pod", "prometheus")["status"]["podIP"]
        url = f"http://{address}:9090/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        done = subprocess.run([NODE, "run", "--", sys.executable, "-c", ASK, url], capture_output=True, text=True)
        results = json.loads(done.stdout)["data"]["result"] if done.returncode == 0 else []
        return {f"{each['metric']['cache']} {each['metric']['instance']}": float(each["value"][1]) for each in results}

    def _prometheus(self, files: dict[str, str]) -> list[dict[str, Any]]:
        named = {"metadata": {"name": "prometheus"}}
        rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
        command = ["prometheus", "--config.file=/etc/prometheus/prometheus.yaml", "--storage.tsdb.path=/data"]
        mounts = [{"name": "config", "mountPath": "/etc/prometheus"}, {"name": "data", "mountPath": "/data"}]
        ready = {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1}
        container = {"name": "prometheus", "image": PROMETHEUS, "command": command, "volumeMounts": mounts, "readinessProbe": ready}
        spec = {
            "serviceAccountName": "prometheus",
            "securityContext": ORDINARY,
            "containers": [{**container, "securityContext": CONFINED}],
            "volumes": [{"name": "config", "configMap": {"name": "prometheus"}}, {"name": "data", "emptyDir": {}}],
        }
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"}
        return [
            {"apiVersion": "v1", "kind": "ServiceAccount", **named},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", **named, "rules": [rule]},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                **named,
                "roleRef": role,
                "subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": self.namespace}],
            },
            {"apiVersion": "v1", "kind": "ConfigMap", **named, "data": files},
            {"apiVersion": "v1", "kind": "Pod", **named, "spec": spec},
        ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """Memcached with logins, asked from its own pods and from another one."""
    shards = Monitored(tmp_path_factory.mktemp("shards"), "MemcachedShards", "sidecar", "deployment")
    shards.pulumi("config", "set", "args", json.dumps({"memory_gib": 0.0625, "cpu_request": 0.02, "shards": 2, "exporter_sidecar": True}))
    try:
        shards.up()
        yield shards
    finally:
        shards.destroy()


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """A SentinelGroup with TLS."""
    group = Monitored(tmp_path_factory.mktemp("group"), "SentinelGroup", "sidecar")
    with group.deployed(exporter_sidecar=True, tls_generated=True):
        yield group


def test_a_memcached_that_takes_a_login_is_seen_from_its_own_pods_and_from_another(shards: Monitored) -> None:
    shards.begin_prometheus()
    expected = {f"by-{place} {node}": 1.0 for place in ("sidecar", "deployment") for node in shards.connection()["nodes"]}
    eventually(lambda: shards.series("memcached_up") == expected, "each server is up, twice", 60)


def test_a_group_s_servers_sentinels_and_certificates_are_seen_from_their_pods(group: Monitored) -> None:
    group.begin_prometheus()
    connection = group.connection()
    addresses = [f"by-sidecar {each}" for each in connection["nodes"] + connection["sentinels"]]
    eventually(lambda: group.series("redis_up") == dict.fromkeys(addresses, 1.0), "each server and sentinel is up", 60)
    eventually(lambda: sorted(group.series("probe_ssl_earliest_cert_expiry")) == sorted(addresses), "each certificate is seen", 60)
    assert len(group.series('redis_instance_info{role="master"}')) == 1
