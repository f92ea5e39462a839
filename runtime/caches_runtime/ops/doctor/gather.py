"""Finds out what is known of each cache: by its connection, from the cluster, and from the servers through forwarded ports."""

import contextlib
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from caches_runtime.client.connection import snake_case
from caches_runtime.ops.doctor import objects
from caches_runtime.ops.doctor.asking import Asking, Way
from caches_runtime.ops.doctor.facts import Cache, Facts, NotKnown, Object, Server
from caches_runtime.ops.doctor.kubectl import CouldNotLookError, Kubectl
from caches_runtime.ops.migrate.link import Endpoint

_AT_ONCE = 8


@dataclass(frozen=True)
class Connection:
    """A connection, as a cache exports it."""

    cache: Cache
    servers: tuple[Endpoint, ...]
    sentinels: tuple[Endpoint, ...]
    login: Endpoint
    """How clients get in, wherever."""

    @property
    def namespace(self) -> str:
        """Where it is."""
        return self.cache.host.split(".")[-2]


def read_connections(text: str, folder: Path) -> list[Connection]:
    """
    One connection, or several by name, as JSON; those of programs in other languages too. Authorities are written to the folder.

    Raises CouldNotLookError.
    """
    try:
        given = json.loads(text)
        named = {"": given} if "engine" in given else given
        return [_connection(name, snake_case(connection), folder) for name, connection in sorted(named.items())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Without what was given: there are passwords in it.
        problem = "no JSON" if isinstance(error, json.JSONDecodeError) else f"no {error}" if isinstance(error, KeyError) else "other values"
        raise CouldNotLookError(f"these are no connections that caches export, with their secrets shown ({problem})") from None


def gather(connection: Connection, kubectl: Kubectl) -> Facts:
    """All that can be found out of a cache. Raises CouldNotLookError when its cluster is not named, or does not answer."""
    if connection.cache.provider != "kubernetes":
        unseen = NotKnown(f"it is run by {connection.cache.provider}, which can't be asked yet")
        every = dict.fromkeys(("servers", "sentinels", "pods", "nodes", "budgets", "policies", "volumes", "backups", "exporters"), unseen)
        return Facts(connection.cache, time.time(), **every, rules=unseen)
    kubectl.require(connection.namespace)
    return _InCluster(connection, kubectl).facts()


@dataclass(frozen=True)
class _InCluster:
    """A cache in Kubernetes."""

    connection: Connection
    kubectl: Kubectl

    def facts(self) -> Facts:
        cache, namespace = self.connection.cache, self.connection.namespace
        places = self._places(self.connection.servers)
        pods = [pod for pod in self._listed("pods") if objects.name(pod) in dict(places)]
        asking = Asking(cache.engine, cache.mode, self.connection.login, cache.master_name)
        return Facts(
            cache=cache,
            now=time.time(),
            servers=self._asked(asking.server, places),
            sentinels=self._asked(asking.sentinel, self._places(self.connection.sentinels)),
            pods=pods or NotKnown("the cache has no pods"),
            nodes=self.kubectl.list("nodes"),
            budgets=self.kubectl.list("poddisruptionbudgets", namespace),
            policies=self.kubectl.list("networkpolicies", namespace),
            volumes=self._volumes(pods),
            backups=self._serving("cronjobs"),
            exporters=self._serving("deployments"),
            rules=self._rules(),
        )

    def _asked(self, ask: Callable[[str, Way], Server], places: Sequence[tuple[str, Way]]) -> Sequence[Server] | NotKnown:
        if self.connection.cache.password and self.connection.login.password is None:
            return NotKnown("the connection has no password: have the component read its Secret (existing_secret_read)")
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda place: ask(*place), places))

    def _listed(self, kind: str) -> Sequence[Object]:
        found = self.kubectl.list(kind, self.connection.namespace)
        return [] if isinstance(found, NotKnown) else found

    def _places(self, endpoints: Sequence[Endpoint]) -> list[tuple[str, Way]]:
        """Pod and way of each server. One whose pod is gone is among them, and will say so."""
        places = list[tuple[str, Way]]()
        for endpoint in endpoints:
            name, *_ = endpoint.host.split(".")
            own = any(objects.name(pod) == name for pod in self._listed("pods"))
            pods = [name] if own else self._behind(name) or [name]
            places += [(pod, partial(self._way, pod, endpoint.port)) for pod in pods]
        return places

    def _behind(self, service: str) -> list[str]:
        """The pods of a Service, where servers have no names of their own."""
        selectors = [each["spec"].get("selector") for each in self._listed("services") if objects.name(each) == service]
        chosen = [{"matchLabels": selector} for selector in selectors if selector]
        return [objects.name(pod) for pod in self._listed("pods") if any(objects.selects(each, pod) for each in chosen)]

    @contextlib.contextmanager
    def _way(self, pod: str, port: int) -> Iterator[tuple[str, int]]:
        with self.kubectl.forward(self.connection.namespace, pod, port) as local:
            yield "127.0.0.1", local

    def _serving(self, kind: str, selector: str = "") -> Sequence[Object] | NotKnown:
        """What is annotated as being for this cache."""
        found = self.kubectl.list_anywhere(kind, self.connection.namespace, selector)
        if isinstance(found, NotKnown):
            return found
        return [each for each in found if objects.annotations(each).get(objects.CACHE_ANNOTATION) == self.connection.cache.host]

    def _rules(self) -> Sequence[Object] | NotKnown:
        rules = list[Object]()
        for kind in ("prometheusrules.monitoring.coreos.com", "configmaps"):
            found = self._serving(kind, objects.MONITORING)
            if isinstance(found, NotKnown):
                return found
            rules += found
        return rules

    def _volumes(self, pods: Sequence[Object]) -> Mapping[str, float] | NotKnown:
        claims = {
            volume["persistentVolumeClaim"]["claimName"]: pod
            for pod in pods
            for volume in pod["spec"].get("volumes") or []
            if "persistentVolumeClaim" in volume
        }
        used = dict[str, float]()
        for node in sorted({str(pod["spec"].get("nodeName", "")) for pod in claims.values()}):
            summary = self.kubectl.raw(f"/api/v1/nodes/{node}/proxy/stats/summary")
            if isinstance(summary, NotKnown):
                return summary
            used |= _usage(summary, self.connection.namespace)
        if unseen := sorted(claims.keys() - used.keys()):
            return NotKnown(f"kubelets give no figures of volumes of this kind: {', '.join(unseen)}")
        return {claim: used[claim] for claim in claims}


def _usage(summary: Mapping[str, Any], namespace: str) -> dict[str, float]:
    """How much of each claim's volume is used, as a kubelet tells."""
    return {
        volume["pvcRef"]["name"]: volume["usedBytes"] / volume["capacityBytes"]
        for pod in summary.get("pods") or []
        for volume in pod.get("volume") or []
        if volume.get("pvcRef", {}).get("namespace") == namespace and volume.get("capacityBytes")
    }


def _connection(name: str, given: Mapping[str, Any], folder: Path) -> Connection:
    host, port = str(given["host"]), int(given["port"])
    cache = Cache(
        name=name or host.split(".")[0],
        engine=given["engine"],
        mode=given["mode"],
        host=host,
        tls=bool(given["tls"]),
        provider=given["provider"],
        purpose=given.get("purpose", ""),
        master_name=given.get("master_name", ""),
        password=given.get("auth") != "none",
    )
    authority = None
    if cache.tls:
        authority = folder / f"{len(list(folder.iterdir()))}.crt"
        public = ssl.get_default_verify_paths().cafile
        authority.write_text(given.get("ca_pem") or (Path(public).read_text() if public else ""))
    login = Endpoint(host, port, given.get("username"), given.get("password"), cache.tls, authority=authority)
    servers = [Endpoint.parse(node) for node in given.get("nodes") or []] or [login]
    sentinels = [Endpoint.parse(node) for node in given.get("sentinels") or []]
    return Connection(cache, tuple(servers), tuple(sentinels), login)
