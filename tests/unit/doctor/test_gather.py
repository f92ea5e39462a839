"""What is made of a connection and of the cluster's objects, in the shape in which kubectl gives them; the servers do not answer here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.doctor.asking import UnreachableError
from caches_runtime.ops.doctor.facts import Facts, NotKnown, Object, known
from caches_runtime.ops.doctor.gather import gather, read_connections
from caches_runtime.ops.doctor.kubectl import Kubectl

NODES = ["cache-0.cache-headless.shop.svc:6379", "cache-1.cache-headless.shop.svc:6379"]
CONNECTION = {
    "engine": "redis",
    "mode": "standalone",
    "host": "cache.shop.svc",
    "port": 6379,
    "nodes": NODES,
    "tls": False,
    "provider": "kubernetes",
    "password": "secret",
}
ONE_SERVER = {"engine": "memcached", "nodes": ["cache.shop.svc:11211"]}
FORBIDDEN = NotKnown('`kubectl get cronjobs`: cronjobs is forbidden: User "me" cannot list resource')


def pod(name: str, claim: str = "", **labels: str) -> Object:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    return {"metadata": {"name": name, "labels": labels}, "spec": {"nodeName": "node-1", "volumes": volumes}}


def annotated(name: str, host: str, namespace: str = "shop") -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "annotations": {"pulumi-caches/cache": host}}}


class Recorded(Kubectl):
    """A cluster of which is known what it has, by kind and namespace (empty: everywhere)."""

    def __init__(self, **objects: Any) -> None:
        super().__init__("recorded", None)
        self.objects = {"pods": [pod("cache-0", "data-cache-0"), pod("cache-1")], **objects}
        self.summary: Any = NotKnown("no summary")
        self.forwarded: list[tuple[str, int]] = []

    def require(self, namespace: str) -> None:
        assert namespace == "shop"

    def list(self, kind: str, namespace: str = "", selector: str = "") -> Sequence[Object] | NotKnown:
        found = self.objects.get(kind, [])
        chosen: Sequence[Object] | NotKnown = found.get(namespace, []) if isinstance(found, dict) else found
        return chosen

    def raw(self, path: str) -> Any:
        assert path == "/api/v1/nodes/node-1/proxy/stats/summary"
        return self.summary

    @contextmanager
    def forward(self, namespace: str, pod: str, port: int) -> Iterator[int]:
        self.forwarded.append((pod, port))
        raise UnreachableError("unreachable")
        yield 0


def facts(tmp_path: Path, kubectl: Kubectl, **changes: Any) -> Facts:
    [connection] = read_connections(json.dumps({**CONNECTION, **changes}), tmp_path)
    return gather(connection, kubectl)


def test_each_server_is_asked_in_its_pod_also_one_that_is_gone_and_only_once_when_it_can_not_be_reached(tmp_path: Path) -> None:
    kubectl = Recorded(pods=[pod("cache-0")])
    found = facts(tmp_path, kubectl)
    assert {(server.name, server.problem) for server in known(found.servers)} == {("cache-0", "unreachable"), ("cache-1", "unreachable")}
    assert sorted(kubectl.forwarded) == [("cache-0", 6379), ("cache-1", 6379)]
    assert [each["metadata"]["name"] for each in known(found.pods)] == ["cache-0"]


def test_a_server_without_a_name_of_its_own_is_found_by_its_service(tmp_path: Path) -> None:
    service = {"metadata": {"name": "cache"}, "spec": {"selector": {"app": "cache"}}}
    kubectl = Recorded(pods=[pod("cache-5b6-x", app="cache"), pod("other", app="other")], services=[service])
    found = facts(tmp_path, kubectl, **ONE_SERVER)
    assert [server.name for server in known(found.servers)] == ["cache-5b6-x"]
    assert [each["metadata"]["name"] for each in known(found.pods)] == ["cache-5b6-x"]


def test_without_a_password_servers_are_not_asked_and_all_else_is_looked_at(tmp_path: Path) -> None:
    kubectl = Recorded()
    found = facts(tmp_path, kubectl, password=None)
    assert isinstance(found.servers, NotKnown)
    assert "existing_secret_read" in found.servers.why
    assert kubectl.forwarded == []
    assert len(known(found.pods)) == 2


def test_no_pods_at_all_is_said_so(tmp_path: Path) -> None:
    assert facts(tmp_path, Recorded(pods=[])).pods == NotKnown("the cache has no pods")


def test_what_serves_this_cache_is_found_in_any_namespace_and_what_serves_others_is_not(tmp_path: Path) -> None:
    ours, others = annotated("ours", "cache.shop.svc", "backups"), annotated("others", "cache.store.svc")
    found = facts(tmp_path, Recorded(cronjobs=[ours, others], deployments=[others]))
    assert (found.backups, found.exporters) == ([ours], [])


def test_who_may_not_look_everywhere_looks_in_the_namespace_of_the_cache(tmp_path: Path) -> None:
    ours = annotated("ours", "cache.shop.svc")
    found = facts(tmp_path, Recorded(cronjobs={"": FORBIDDEN, "shop": [ours]}, deployments=FORBIDDEN))
    assert (found.backups, found.exporters) == ([ours], FORBIDDEN)


def test_volumes_are_as_full_as_the_kubelet_says(tmp_path: Path) -> None:
    kubectl = Recorded()
    mounted = {"name": "data", "pvcRef": {"name": "data-cache-0", "namespace": "shop"}, "capacityBytes": 1000, "usedBytes": 250}
    others = {"name": "data", "pvcRef": {"name": "data-cache-0", "namespace": "other"}, "capacityBytes": 1000, "usedBytes": 990}
    kubectl.summary = {"pods": [{"volume": [mounted, {"name": "config", "capacityBytes": 1, "usedBytes": 1}]}, {"volume": [others]}, {}]}
    assert facts(tmp_path, kubectl).volumes == {"data-cache-0": 0.25}


@pytest.mark.parametrize(
    ("summary", "why"), [({"pods": []}, "no figures of volumes of this kind: data-cache-0"), (NotKnown("forbidden"), "forbidden")]
)
def test_volumes_of_which_kubelets_say_nothing_are_not_known(tmp_path: Path, summary: Any, why: str) -> None:
    kubectl = Recorded()
    kubectl.summary = summary
    volumes = facts(tmp_path, kubectl).volumes
    assert isinstance(volumes, NotKnown)
    assert why in volumes.why


def test_connections_are_named_as_the_stack_names_them(tmp_path: Path) -> None:
    given = {"b": {**CONNECTION, "purpose": "queue"}, "a": {**CONNECTION, "tls": True, "caPem": "PEM", "masterName": "a"}}
    first, second = read_connections(json.dumps(given), tmp_path)
    assert (first.cache.name, first.cache.master_name, first.cache.purpose) == ("a", "a", "")
    assert (second.cache.name, second.cache.purpose) == ("b", "queue")
    assert first.login.authority is not None
    assert first.login.authority.read_text() == "PEM"
    assert second.login.authority is None
