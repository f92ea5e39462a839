"""How an agent shows Services who is the master: one slice with one endpoint for each address of its pod."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from caches_runtime.ops.sentinel.roles import MASTER, REPLICA, OwnPod, Roles
from lightkube.core.exceptions import ApiError
from lightkube.resources.discovery_v1 import EndpointSlice
from unit.sentinel.loop import run


class Cluster:
    """In place of the API server's client: what was asked of it, and the slices that there are.

    `overtaken` is called once, before the next slice is written.
    """

    def __init__(self) -> None:
        self.slices: dict[str, Any] = {}
        self.labels: list[Any] = []
        self.overtaken: Callable[[], Awaitable[None]] | None = None
        self._version = 0

    async def patch(self, kind: Any, name: str, wanted: Any, **_: Any) -> None:
        if kind is not EndpointSlice:
            self.labels.append((name, wanted["metadata"]["labels"]))
            return
        await self._let_overtake()
        if (await self.get(kind, name)).metadata.resourceVersion != wanted["metadata"]["resourceVersion"]:
            raise refused(409)
        self._keep(EndpointSlice.from_dict(wanted))

    async def create(self, wanted: Any) -> None:
        await self._let_overtake()
        if wanted.metadata.name in self.slices:
            raise refused(409)
        self._keep(wanted)

    async def _let_overtake(self) -> None:
        overtaken, self.overtaken = self.overtaken, None
        if overtaken:
            await overtaken()

    def _keep(self, wanted: Any) -> None:
        self._version += 1
        wanted.metadata.resourceVersion = str(self._version)
        self.slices[wanted.metadata.name] = wanted

    async def get(self, _: Any, name: str) -> Any:
        if name not in self.slices:
            raise refused(404)
        return self.slices[name]


def refused(code: int) -> ApiError:
    return ApiError(response=httpx2.Response(code, json={"code": code}))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr("lightkube.AsyncClient", lambda: made)
    return made


def shown(cluster: Cluster) -> dict[str, tuple[str, list[str]]]:
    """Address type and addresses of each slice."""
    return {
        name: (slice_.addressType, [address for endpoint in slice_.endpoints for address in endpoint.addresses])
        for name, slice_ in cluster.slices.items()
    }


@pytest.mark.parametrize(
    ("addresses", "slices"),
    [
        (["10.0.0.1"], {"cache-master": ("IPv4", ["10.0.0.1"])}),
        (["fd00::1"], {"cache-master": ("IPv6", ["fd00::1"])}),
        (["10.0.0.1", "fd00::1"], {"cache-master": ("IPv4", ["10.0.0.1"]), "cache-master-secondary": ("IPv6", ["fd00::1"])}),
        (["fd00::1", "10.0.0.1"], {"cache-master": ("IPv6", ["fd00::1"]), "cache-master-secondary": ("IPv4", ["10.0.0.1"])}),
    ],
)
def test_a_master_has_one_endpoint_for_each_ip_version_of_its_pod(addresses: list[str], slices: dict[str, Any], cluster: Cluster) -> None:
    first = Roles("cache", "redis", 6379, OwnPod("cache-0", "uid-0", addresses))
    # There may be slices of the master before, which are replaced.
    second = Roles("cache", "redis", 6379, OwnPod("cache-1", "uid-1", [address.replace("1", "2") for address in addresses]))
    assert run(first.master()) is None
    run(second.show(MASTER))
    assert run(first.master()) == "cache-1"
    run(first.show(MASTER))
    assert shown(cluster) == slices
    assert run(second.master()) == "cache-0"
    assert cluster.labels == [("cache-1", {"pulumi-caches/role": "master"}), ("cache-0", {"pulumi-caches/role": "master"})]


def test_a_replica_is_labelled_and_takes_no_endpoint(cluster: Cluster) -> None:
    run(Roles("cache", "redis", 6379, OwnPod("cache-0", "uid-0", ["10.0.0.1"])).show(REPLICA))
    assert (cluster.slices, cluster.labels) == ({}, [("cache-0", {"pulumi-caches/role": "replica"})])


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(("own", "other", "leads_to"), [(1, 2, "cache-1"), (2, 1, "cache-0"), (2, 2, "cache-0")])
def test_the_service_leads_to_the_master_of_the_latest_epoch_whoever_is_asked_last(
    own: int, other: int, leads_to: str, *, exists: bool, cluster: Cluster
) -> None:
    """Also when both show themselves at the same moment."""
    first = Roles("cache", "redis", 6379, OwnPod("cache-0", "uid-0", ["10.0.0.1"]))
    second = Roles("cache", "redis", 6379, OwnPod("cache-1", "uid-1", ["10.0.0.2"]))
    if exists:
        run(Roles("cache", "redis", 6379, OwnPod("cache-2", "uid-2", ["10.0.0.3"])).show(MASTER, 0))
    cluster.overtaken = lambda: second.show(MASTER, other)
    run(first.show(MASTER, own))
    assert run(first.master()) == leads_to
    assert ("cache-0", {"pulumi-caches/role": "master"}) in cluster.labels or leads_to == "cache-1"
    # It is not taken for shown, and so shown when its epoch is the latest.
    run(first.show(MASTER, 3))
    assert run(second.master()) == "cache-0"


def test_who_is_the_master_again_is_shown_at_once(cluster: Cluster) -> None:
    """Its server ended between, so that its agent never showed a replica."""
    first = Roles("cache", "redis", 6379, OwnPod("cache-0", "uid-0", ["10.0.0.1"]))
    second = Roles("cache", "redis", 6379, OwnPod("cache-1", "uid-1", ["10.0.0.2"]))
    run(first.show(MASTER, 1))
    run(second.show(MASTER, 2))
    run(first.show(MASTER, 3))
    assert run(second.master()) == "cache-0"
