"""Caches of the checkout's own stack, watched by a real Prometheus that gets its targets and rules from its Operator."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from certificates import Authority
from cluster.deployed import NODE, Client, eventually
from cluster.own_stack import OwnStack, kubectl
from cluster.test_memcached_shards import call

NAMESPACE = "watched"
# Asks the Prometheus for each path of a list; run in the cluster's network.
_ASK = """
import json, sys, urllib.request
api = "http://prometheus-operated.monitoring.svc:9090/api/v1/"
print(json.dumps([json.load(urllib.request.urlopen(api + path, timeout=10))["data"] for path in json.load(sys.stdin)]))
"""
_SMALL: dict[str, Any] = {"memory_gib": 0.0625, "cpu_request": 0.02}
_EMPTIED = {**_SMALL, "storage_retained": False}
# A component's kind and its arguments, by cache.
CACHES: dict[str, tuple[str, dict[str, Any]]] = {
    "group": ("sentinel", _EMPTIED),
    "shards": ("cluster", _EMPTIED),
    "pair": ("redis", {**_EMPTIED, "replicas": 1, "tls_secret_name": "certificate"}),
    "slow": ("redis", {**_EMPTIED, "replicas": 1}),
    "lost": ("redis", _EMPTIED),
    "busy": ("redis", {**_EMPTIED, "maxmemory_mib": 16}),
    "pages": ("redis", {**_SMALL, "maxmemory_mib": 16, "maxmemory_policy": "allkeys-lru", "persistence": "none"}),
    "fragments": ("memcached", {**_SMALL, "auth": "none", "shards": 2, "evictions": False, "item_memory_mib": 8, "max_connections": 512}),
}
# So that a test need not evict a hundred keys a second.
MONITORING = {"pages": {"evictions_per_second": 2}, "group": {"clouds_dashboard": True}}
KEYS = 20


class Watched(OwnStack):
    """The stack, and what Prometheus says of it."""

    def __init__(self, scratch: Path, caches: Sequence[str]) -> None:
        super().__init__(scratch, "in_cluster", NAMESPACE)
        self.authority = Authority()
        self.known: dict[str, dict[str, Any]] = {}
        self._clients: dict[str, Client] = {}
        for kind in ("sentinel", "cluster", "redis", "memcached"):
            self.configure(**{kind: {cache: CACHES[cache][1] for cache in caches if CACHES[cache][0] == kind}})
        self.configure(monitoring={cache: MONITORING.get(cache) for cache in caches})

    @contextmanager
    def deployed(self) -> Iterator[Self]:
        """Deploys all, waits until Prometheus has seen all of it, and destroys it when the block ends."""
        subprocess.run([NODE, "prometheus"], check=True)
        kubectl("create", "namespace", self.namespace)
        self.certify(days=90)
        try:
            self.up()
            self.known = self.connections()
            eventually(self.all_up, "every target is up", 180, every=2)
            # What came before the first look is in no rate.
            self.use()
            yield self
        finally:
            for client in self._clients.values():
                client.close()
            self.destroy()
            kubectl("delete", "namespace", "monitoring", "--wait=false")

    def certify(self, days: int) -> None:
        """Gives `pair` a certificate that is valid for so long."""
        names = (f"DNS:pair.{self.namespace}.svc", f"DNS:*.pair-headless.{self.namespace}.svc")
        metadata = {"name": "certificate", "namespace": self.namespace}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata}
        files = self.authority.issue(*names, days=days).files()
        kubectl("apply", "--server-side", "--filename=-", given=json.dumps({**secret, "stringData": files}))

    def client(self, cache: str) -> Client:
        """A new one, for a thread of its own."""
        return Client(self.known[cache]["password"], self.known[cache].get("ca_pem", ""))

    def ask(self, cache: str, number: int, *command: str) -> Any:
        """What one of a cache's servers replies."""
        if cache not in self._clients:
            self._clients[cache] = self.client(cache)
        host, _, port = self.known[cache]["nodes"][number].partition(":")
        return self._clients[cache].call(host, *command, port=int(port))

    def use(self) -> None:
        """Writes and reads, so that there is something to be seen."""
        for cache, known in self.known.items():
            for number, node in enumerate(known["nodes"]):
                if known["engine"] == "memcached":
                    call(known, node, *(command for key in range(KEYS) for command in (f"set key{key} 0 0 1\r\nx", f"get key{key}")))
                    continue
                # What another server has is refused.
                for key in range(KEYS):
                    self.ask(cache, number, "SET", f"key{key}", "x")
                    self.ask(cache, number, "GET", f"key{key}")

    def prometheus(self, *paths: str) -> list[Any]:
        """The answers of Prometheus' API."""
        words: list[str | Path] = [NODE, "run", "--", sys.executable, "-c", _ASK]
        done = subprocess.run(words, input=json.dumps(paths), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    def all_up(self) -> bool:
        """Whether each server, sentinel and certificate is a target that answers."""
        [found] = self.prometheus("targets?state=active")
        targets = [each for each in found["activeTargets"] if "cache" in each["labels"]]
        wanted = 0
        for known in self.known.values():
            addresses = len(known["nodes"]) + len(known.get("sentinels", []))
            wanted += addresses * (2 if known["tls"] else 1)
        return len(targets) == wanted and all(each["health"] == "up" for each in targets)

    def firing(self) -> set[tuple[str, str]]:
        """Cache and name of each alert that fires."""
        [found] = self.prometheus("alerts")
        alerts = [alert for alert in found["alerts"] if alert["state"] == "firing"]
        return {(alert["labels"]["cache"], alert["labels"]["alertname"]) for alert in alerts}

    def queries(self) -> list[str]:
        """Of every panel of every dashboard."""
        maps = json.loads(kubectl("get", "configmaps", f"--namespace={self.namespace}", "--selector=grafana_dashboard", "--output=json"))
        files = [json.loads(text) for item in maps["items"] for text in item["data"].values()]
        return [target["expr"] for file in files for panel in file["panels"] for target in panel["targets"]]

    def without_data(self) -> list[str]:
        """Queries of dashboards to which there is no answer."""
        queries = self.queries()
        answers = self.prometheus(*(f"query?{urllib.parse.urlencode({'query': query})}" for query in queries))
        return [query for query, answer in zip(queries, answers, strict=True) if not answer["result"]]

    def scale(self, stateful_set: str, replicas: int) -> None:
        kubectl("scale", f"--namespace={self.namespace}", f"statefulset/{stateful_set}", f"--replicas={replicas}")
