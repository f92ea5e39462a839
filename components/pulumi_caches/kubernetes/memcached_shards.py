"""MemcachedShards: Memcached servers that a client spreads its keys over, each under a name that stays."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.connection import Connection, when_ready
from pulumi_caches.kubernetes import labels, memcached_pod, memcached_proxy
from pulumi_caches.kubernetes.config_map import make_config
from pulumi_caches.kubernetes.credentials import (
    CredentialArgs,
    CredentialPlan,
    Credentials,
    await_password_job,
    make_credentials,
    read_credentials,
)
from pulumi_caches.kubernetes.exporter import Images
from pulumi_caches.kubernetes.exporter_sidecar import ExporterArgs, Sidecar, memcached_sidecar, read_exporter
from pulumi_caches.kubernetes.memcached import MEMCACHED_PORT, Memcached, MemcachedArgs, MemcachedAuth, read_memcached
from pulumi_caches.kubernetes.memcached_proxy import MemcachedProxyArgs, ProxyPods, make_proxy, read_proxy
from pulumi_caches.kubernetes.placement import Placement, PlacementArgs, pod_placement, read_placement
from pulumi_caches.kubernetes.server import RUNTIME_IMAGE, read_image
from pulumi_caches.kubernetes.tls_secret import Certificate, TlsArgs, TlsPlan, authority_of, find_certificate, read_tls

# The longest derived name that Kubernetes limits is that of the Job `NAME-await-password`: 63 characters, 15 of them added.
NAME_MAXIMUM = 48
SHARD = "shard"
# The user of the text protocol's login; the password is what counts.
USERNAME = "cache"


class MemcachedWorkload(StrEnum):
    """What runs the servers."""

    STATEFULSET = "statefulset"
    """Shards that keep their names."""
    DEPLOYMENT = "deployment"
    """One server behind a Service, replaced at once when its node is lost."""


class MemcachedShardsArgs(MemcachedArgs, MemcachedProxyArgs, CredentialArgs, TlsArgs, PlacementArgs, ExporterArgs):
    """Arguments of MemcachedShards. None is required."""

    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    shards: NotRequired[int]
    """Servers that clients spread keys over, 1 to 100. Default: 3, or 1 with workload deployment."""
    workload: NotRequired[MemcachedWorkload]
    """statefulset, or deployment for a single server without a name of its own. Default: statefulset."""
    runtime_image: NotRequired[pulumi.Input[str]]
    """Image of `caches`, which logs in for an exporter in the pods, with an exact tag or digest. Default: this version's."""
    evictable: NotRequired[bool]
    """Whether a node drain may evict a pod, one at a time; false makes drains wait for a person. Default: true."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object. Default: none."""
    pod_annotations: NotRequired[dict[str, str]]
    """Annotations added to the pods. Default: none."""


class MemcachedShards(pulumi.ComponentResource):
    """
    Memcached servers that a client spreads its keys over, each under a name that stays.

    Creates, all named after the component: a StatefulSet, the Service NAME-headless (one name per shard), a ConfigMap with
    the scripts, a Secret with generated passwords and a PodDisruptionBudget; or, with workload deployment, a Deployment of
    one server and the Service NAME. The servers know nothing of each other: which keys are on which shard is decided by the
    client, from `connection.nodes`, or by two proxies behind the Service NAME-proxy. Nothing is kept: a new pod is empty.
    """

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when its pods are ready. Secret."""
    password_secret_name: pulumi.Output[str] | None
    """Secret that holds the password, for pods in the same namespace; absent with auth none."""
    password_secret_key: pulumi.Output[str] | None
    """Its key; absent with auth none."""

    def __init__(self, name: str, args: MemcachedShardsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:MemcachedShards", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, depends_on=resources)

        credentials = (
            make_credentials(name, plan.credentials, args.get("existing_secret_name"), plan.metadata(), child) if plan.credentials else None
        )
        certificate = find_certificate(name, plan.tls, [name, f"*.{name}-headless"], plan.metadata(), child)
        files = memcached_pod.script_files()
        config_map, config = make_config(name, files, plan.metadata(), child)
        volumes = memcached_pod.config_volumes(plan.memcached, config_map, credentials.volume_sources if credentials else [], certificate)
        sidecar = memcached_sidecar(name, plan.exporter, USERNAME, credentials, plan.metadata(), child, tls=plan.memcached.tls)
        service_name = plan.service_name()
        service = k8s.core.v1.Service(
            service_name, metadata={**plan.metadata(SHARD), "name": service_name}, spec=plan.service_spec(), opts=child
        )
        needed = after(service, config, *sidecar.made, *([credentials.made] if credentials else []))
        kind = k8s.apps.v1.StatefulSet if plan.stable_names else k8s.apps.v1.Deployment
        servers = kind(name, metadata=plan.metadata(SHARD), spec=plan.workload_spec(volumes, sidecar), opts=needed)
        if plan.shards > 1 or not plan.evictable:
            k8s.policy.v1.PodDisruptionBudget(name, metadata=plan.metadata(), spec=plan.disruption_budget_spec(), opts=child)
        ready: list[pulumi.Resource] = [servers]
        if credentials and credentials.rotation is not None:
            waiting = memcached_pod.await_password_pod(plan.memcached, plan.hosts(), volumes)
            ready.append(await_password_job(name, credentials.rotation, waiting, plan.metadata(), after(servers)))

        if plan.proxy:
            metadata = plan.metadata(memcached_proxy.COMPONENT)
            # After the shards, so that none is asked before it is there.
            ready.append(make_proxy(name, plan.proxy, plan.hosts(), plan.proxy_pods(), metadata, child, partial(after, servers)))

        self.connection = plan.connection(credentials, certificate, ready)
        self.password_secret_name = pulumi.Output.from_input(credentials.secret_name) if credentials else None
        self.password_secret_key = pulumi.Output.from_input(credentials.secret_key) if credentials else None
        self.register_outputs(
            {
                "connection": self.connection,
                "passwordSecretName": self.password_secret_name,
                "passwordSecretKey": self.password_secret_key,
            }
        )


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and the manifests that follow from them."""

    name: str
    namespace: pulumi.Input[str]
    memcached: Memcached
    shards: int
    stable_names: bool
    proxy: Memcached | None
    credentials: CredentialPlan | None
    tls: TlsPlan | None
    exporter: Images | None
    placement: Placement
    priority_class_name: pulumi.Input[str] | None
    evictable: bool
    labels: dict[str, str]
    pod_annotations: dict[str, str]

    def metadata(self, component: str | None = None) -> dict[str, Any]:
        all_labels = labels.all_labels("memcached", self.name, component, self.labels)
        return {"name": self.name, "namespace": self.namespace, "labels": all_labels}

    def hosts(self) -> list[str]:
        """Each server's name in the namespace."""
        if not self.stable_names:
            return [self.name]
        return [f"{self.name}-{ordinal}.{self.name}-headless" for ordinal in range(self.shards)]

    def service_name(self) -> str:
        return f"{self.name}-headless" if self.stable_names else self.name

    def service_spec(self) -> dict[str, Any]:
        ports = [{"name": "memcached", "port": MEMCACHED_PORT, "target_port": "memcached"}]
        spec = {"selector": self._selector(), "ports": ports}
        # A shard that restarts keeps its name: clients try again sooner than a resolver that remembers that there was none.
        return {**spec, "cluster_ip": "None", "publish_not_ready_addresses": True} if self.stable_names else spec

    def disruption_budget_spec(self) -> dict[str, Any]:
        return {"max_unavailable": 1 if self.evictable else 0, "selector": {"match_labels": self._selector()}}

    def workload_spec(self, volumes: list[dict[str, Any]], sidecar: Sidecar) -> dict[str, Any]:
        placement = pod_placement(self.placement, self._selector())
        template = {
            "metadata": {"labels": self.metadata(SHARD)["labels"], "annotations": self.pod_annotations},
            "spec": memcached_pod.server_pod(self.memcached, volumes, placement, self.priority_class_name, sidecar),
        }
        spec = {"replicas": self.shards, "selector": {"match_labels": self._selector()}, "template": template}
        if self.stable_names:
            return {**spec, "service_name": self.service_name(), "pod_management_policy": "Parallel"}
        # Never two servers behind one Service: what is deleted in one would still be in the other.
        return {**spec, "strategy": {"type": "Recreate"}}

    def proxy_pods(self) -> ProxyPods:
        return ProxyPods(self.placement, self.priority_class_name, self.pod_annotations, self.evictable)

    def connection(
        self, credentials: Credentials | None, certificate: Certificate | None, ready: list[pulumi.Resource]
    ) -> pulumi.Output[Connection]:
        """Known once everything in `ready` is."""

        def connect(namespace: str, password: str | None, authority_pem: str | None) -> Connection:
            hosts = [f"{host}.{namespace}.svc" for host in self.hosts()]
            connection: Connection = {
                "engine": "memcached",
                # Whoever asks the proxy must not spread keys too: its hash is another one.
                "mode": "sharded" if self.stable_names and not self.proxy else "standalone",
                "host": f"{self.name}-proxy.{namespace}.svc" if self.proxy else hosts[0],
                "port": MEMCACHED_PORT,
                "nodes": [f"{host}:{MEMCACHED_PORT}" for host in hosts],
                "tls": self.memcached.tls,
                "provider": "kubernetes",
            }
            if authority_pem is not None:
                connection["ca_pem"] = authority_pem
            if self.exporter:
                connection["exporter_pods"] = self._selector()
            if credentials is None:
                return {**connection, "auth": "none"}
            connection["username"] = USERNAME
            if password is not None:
                connection["password"] = self._usable(password)
            return connection

        password = credentials.password if credentials else None
        return when_ready(connect, "memcached", [self.namespace, password, authority_of(certificate)], ready)

    def _usable(self, password: str) -> str:
        if not password or len(password) > 200 or any(character.isspace() for character in password):
            problem = "the password in the Secret can't be logged in with: it must have 1 to 200 characters, and no space or line break"
            raise ArgumentError(f"MemcachedShards {self.name!r} can't be made:\n  * existing_secret_name: {problem}")
        return password

    def _selector(self) -> dict[str, str]:
        return labels.selector("memcached", self.name, SHARD)


def _read(name: str, args: MemcachedShardsArgs) -> _Plan:
    arguments = Arguments("MemcachedShards", name, NAME_MAXIMUM, args, MemcachedShardsArgs)
    memcached = read_memcached(arguments)
    stable_names = arguments.choice("workload", MemcachedWorkload.STATEFULSET) is MemcachedWorkload.STATEFULSET
    plan = _Plan(
        name=name,
        namespace=arguments.name("namespace", "default"),
        memcached=memcached,
        shards=_read_shards(arguments, stable_names),
        stable_names=stable_names,
        proxy=read_proxy(arguments, memcached, stable_names),
        credentials=_read_credentials(arguments, memcached),
        tls=read_tls(arguments),
        exporter=read_exporter(arguments, "memcached", read_image(arguments, "runtime_image", RUNTIME_IMAGE)),
        placement=read_placement(arguments),
        priority_class_name=args.get("priority_class_name"),
        evictable=arguments.flag("evictable", True),
        labels=arguments.labels("labels"),
        pod_annotations=arguments.annotations("pod_annotations"),
    )
    arguments.finish()
    return plan


def _read_shards(arguments: Arguments, stable_names: bool) -> int:
    shards = arguments.whole("shards", 3 if stable_names else 1, 1, 100)
    if shards > 1 and not stable_names:
        arguments.refuse("shards", "behind the one Service of workload deployment a key would be on any of them: use workload statefulset")
    return shards


def _read_credentials(arguments: Arguments, memcached: Memcached) -> CredentialPlan | None:
    plan = read_credentials(arguments)
    if memcached.auth is MemcachedAuth.PASSWORD:
        return plan
    for key in CredentialArgs.__annotations__:
        if arguments.given(key):
            arguments.refuse(key, "there is no password with auth none")
    return None
