"""Who is the master, for those who only know Services: an endpoint for the master's, a label for the readers'."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from dataclasses import dataclass
from typing import Any, cast

import httpx2
import lightkube
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import Pod
from lightkube.resources.discovery_v1 import EndpointSlice
from lightkube.types import PatchType

log = logging.getLogger(__name__)

LABEL = "pulumi-caches/role"
EPOCH = "pulumi-caches/epoch"
MASTER, REPLICA = "master", "replica"
_REPEAT_SECONDS = 10.0
# Everything that an API server that can't be asked looks like; ApiError is one of them.
UNAVAILABLE = (httpx2.HTTPError,)


@dataclass(frozen=True)
class OwnPod:
    """The pod that the agent is in."""

    name: str
    uid: str
    ips: list[str]
    """One, or one of each IP version."""


class Roles:
    """Shows the own pod's role.

    The master's Service has one EndpointSlice with one endpoint, which a new master replaces in one step: there are never two,
    and nodes have one change to follow. The slice belongs to the pod, so it does not outlive it: addresses are used again.
    It says in which epoch its pod became the master, and none of an earlier epoch takes it back: an agent that was held up
    between asking who is the master and showing it would lead clients to a replica.
    A slice has addresses of one IP version; where pods have both, so a second slice has the other.
    """

    def __init__(self, group: str, port_name: str, port: int, own: OwnPod) -> None:
        self._client = lightkube.AsyncClient()
        self._slices = dict(zip((f"{group}-master", f"{group}-master-secondary"), own.ips, strict=False))
        self._group = group
        self._ports = [{"name": port_name, "port": port, "protocol": "TCP"}]
        self._own = own
        self._shown: tuple[str, int] | None = None
        self._shown_until = 0.0
        self._showing = asyncio.Lock()

    async def show(self, role: str, epoch: int = 0) -> None:
        """Does nothing when that was shown a moment ago; somebody may have removed what shows it.

        The epoch is that of a master: in another one somebody else was shown between.
        """
        async with self._showing:
            if (role, epoch) != self._shown or time.monotonic() >= self._shown_until:
                await self._show(role, epoch)

    async def _show(self, role: str, epoch: int) -> None:
        before, self._shown = self._shown, None
        if role == MASTER and not all(await asyncio.gather(*(self._take_endpoint(name, ip, epoch) for name, ip in self._slices.items()))):
            log.warning("%s was the master in epoch %d, and there is a later one", self._own.name, epoch)
            return
        await self._client.patch(Pod, self._own.name, {"metadata": {"labels": {LABEL: role}}})
        self._shown, self._shown_until = (role, epoch), time.monotonic() + _REPEAT_SECONDS
        if self._shown != before:
            log.info("%s is shown as %s", self._own.name, role)

    async def master(self) -> str | None:
        """The pod that the master's Service leads to."""
        found = await self._find(next(iter(self._slices)))
        return next((endpoint.targetRef.name for endpoint in (found and found.endpoints) or [] if endpoint.targetRef), None)

    async def _find(self, name: str) -> EndpointSlice | None:
        try:
            return await self._client.get(EndpointSlice, name)
        except ApiError as error:
            if error.status.code == 404:
                return None
            raise

    async def _take_endpoint(self, name: str, ip: str, epoch: int) -> bool:
        """Whether it was free to take."""
        wanted, found = self._endpoint_slice(name, ip, epoch), await self._find(name)
        try:
            if found is None or found.metadata is None:
                await self._client.create(cast("EndpointSlice", EndpointSlice.from_dict(wanted)))
                return True
            if int((found.metadata.annotations or {}).get(EPOCH, 0)) > epoch:
                return False
            wanted["metadata"]["resourceVersion"] = found.metadata.resourceVersion
            await self._client.patch(EndpointSlice, name, wanted, patch_type=PatchType.MERGE)
            return True
        except ApiError as error:
            if error.status.code != 409:
                raise
            # Another agent took it at the same moment, or the API server removed it with its pod.
            return await self._take_endpoint(name, ip, epoch)

    def _endpoint_slice(self, name: str, ip: str, epoch: int) -> dict[str, Any]:
        pod = {"kind": "Pod", "name": self._own.name, "uid": self._own.uid}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "labels": {"kubernetes.io/service-name": self._group, "endpointslice.kubernetes.io/managed-by": "pulumi-caches"},
                "annotations": {EPOCH: str(epoch)},
                "ownerReferences": [{"apiVersion": "v1", **pod}],
            },
            "addressType": f"IPv{ipaddress.ip_address(ip).version}",
            "endpoints": [{"addresses": [ip], "conditions": {"ready": True}, "targetRef": pod}],
            "ports": self._ports,
        }
