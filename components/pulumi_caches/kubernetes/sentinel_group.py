"""SentinelGroup: servers of which one is the master, with sentinels and agents that make another one it when that is needed."""

from dataclasses import dataclass, replace
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.connection import Connection, when_ready
from pulumi_caches.kubernetes import haproxy, labels, pod, redis_conf, sentinel_pod
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
from pulumi_caches.kubernetes.exporter_sidecar import ExporterArgs, Sidecar, read_exporter, redis_sidecar
from pulumi_caches.kubernetes.haproxy import Front, FrontArgs, make_front, read_front
from pulumi_caches.kubernetes.ip_families import IpFamilyArgs, read_ip_families
from pulumi_caches.kubernetes.migration import MigrateArgs, Migration, migrate_job, migrate_pod, read_migration
from pulumi_caches.kubernetes.placement import Placement, PlacementArgs, pod_placement, read_placement
from pulumi_caches.kubernetes.replication import ReplicationArgs, read_max_stale_seconds, read_replication
from pulumi_caches.kubernetes.rights import make_rights, token_volume
from pulumi_caches.kubernetes.sentinel_pod import ANNOUNCE_ADVICE, SENTINEL_PORT, Announce, Sentinel
from pulumi_caches.kubernetes.server import DEFAULT_IMAGES, PORT, RUNTIME_IMAGE, Server, ServerArgs, read_image, read_server
from pulumi_caches.kubernetes.storage import Storage, StorageArgs, agree, claim_template, read_storage
from pulumi_caches.kubernetes.tls_secret import (
    TLS_ADVICE,
    Certificate,
    TlsArgs,
    TlsPlan,
    authority_of,
    find_certificate,
    read_tls,
    tls_fact,
)
from pulumi_caches.kubernetes.volume_growth import grow_volumes

# The longest derived name that Kubernetes limits is the Job `NAME-await-password`'s label: 63 characters, 15 of them added;
# kept at that of RedisStatefulSet, so that a cache can become a group under its name.
NAME_MAXIMUM = 44
MEMBER = "member"


class SentinelGroupArgs(
    ServerArgs, StorageArgs, ReplicationArgs, CredentialArgs, TlsArgs, PlacementArgs, MigrateArgs, ExporterArgs, FrontArgs, IpFamilyArgs
):
    """Arguments of SentinelGroup. None is required."""

    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    members: NotRequired[int]
    """Pods with a server and a sentinel each: 3, 5, 7 or 9; one server is the master. Default: 3."""
    sentinel_quorum: NotRequired[int]
    """Agents or sentinels that must find the master down before one acts, at most members - 1. Default: more than half of members."""
    down_after_milliseconds: NotRequired[int]
    """How long the master may not answer before it is found down, 500 to 600000. Default: 1000."""
    announce: NotRequired[Announce]
    """address or hostname: what sentinels call the members, and these each other. Can't change once there is data. Default: address."""
    termination_grace_seconds: NotRequired[int]
    """Time a pod has to hand over and end, in seconds. Default, and the least: 45, with rdb more by maxmemory_mib / 50."""
    runtime_image: NotRequired[pulumi.Input[str]]
    """Image of the agents, and of migrate_from, built from runtime/. Default: docker.io/pulumicaches/caches-runtime, this version."""
    evictable: NotRequired[bool]
    """Whether a node drain may evict a pod, one at a time; false makes drains wait for a person. Default: true."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object. Default: none."""
    pod_annotations: NotRequired[dict[str, str]]
    """Annotations added to the pods. Default: none."""


class SentinelGroup(pulumi.ComponentResource):
    """
    Redis or Valkey servers of which one is the master; another one takes over when it stops, crashes or is lost.

    Creates, all named after the component: a StatefulSet of pods with a server, a sentinel and an agent each; the Services
    NAME (writes: only ever the master), NAME-reader (reads: the replicas), NAME-0, NAME-1, … (each member's address, which
    never changes) and NAME-headless; a ConfigMap with the configuration, a Secret with generated passwords, a
    PodDisruptionBudget, and a service account for the agents. With front_replicas also HAProxy as NAME-front.
    """

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when its pods are ready. Secret."""
    password_secret_name: pulumi.Output[str]
    """Secret that holds the password, for pods in the same namespace. The sentinels take it too."""
    password_secret_key: pulumi.Output[str]
    """Its key."""

    def __init__(self, name: str, args: SentinelGroupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:SentinelGroup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, depends_on=resources)

        agreed = None
        if plan.storage:
            facts = {**tls_fact(plan.tls), "announce": plan.sentinel.announce.value}
            advice = {**TLS_ADVICE, "announce": ANNOUNCE_ADVICE}
            agreed = agree(name, plan.server, plan.storage, plan.storage_class, plan.namespace, child, facts, advice, f"{name}-0")
            plan = replace(plan, namespace=agreed.namespace, storage_size=agreed.size)
        credentials = make_credentials(name, plan.credentials, args.get("existing_secret_name"), plan.metadata(), child)
        files = pod.config_files(redis_conf.render(plan.server, plan.replication), (*pod.SCRIPTS, *pod.SENTINEL_SCRIPTS))
        config_map, config = make_config(name, files, plan.metadata(), child)
        services = {
            suffix: k8s.core.v1.Service(f"{name}{suffix}", metadata=plan.metadata(suffix), spec={**spec, **plan.ip_families}, opts=child)
            for suffix, spec in plan.service_specs().items()
        }
        rights = make_rights(name, plan.metadata(), sentinel_pod.rights_of(name, plan.pods), child)
        certificate = find_certificate(name, plan.tls, plan.hosts, plan.metadata(), child, peers=True)
        volumes = pod.config_volumes(config_map, credentials.volume_sources, certificate)
        sidecar = plan.make_sidecar(credentials, child)
        servers = k8s.apps.v1.StatefulSet(
            name,
            metadata=plan.metadata(),
            spec=plan.stateful_set_spec(volumes, sidecar),
            opts=after(config, credentials.made, services["-headless"], *rights, *sidecar.made),
        )
        k8s.policy.v1.PodDisruptionBudget(name, metadata=plan.metadata(), spec=plan.disruption_budget_spec(), opts=child)
        if agreed:
            grow_volumes(agreed.facts, name, len(plan.pods), after(servers))
        ready: list[pulumi.Resource] = [servers, *services.values()]
        if plan.front.replicas:
            ready += plan.make_front(after(*services.values()))
        if credentials.rotation is not None:
            waiting = pod.script_pod(plan.server, plan.image, "await-password.sh", {"ADDRESSES": " ".join(plan.addresses)}, volumes)
            ready.append(await_password_job(name, credentials.rotation, waiting, plan.metadata(), after(servers)))
        if plan.migration is not None:
            copier = migrate_pod(name, plan.migration, plan.namespace, plan.runtime_image, credentials, certificate, plan.server)
            ready.append(migrate_job(name, plan.migration, copier, plan.metadata(), after(*ready)))

        self.connection = plan.connection(credentials, certificate, ready)
        self.password_secret_name = pulumi.Output.from_input(credentials.secret_name)
        self.password_secret_key = pulumi.Output.from_input(credentials.secret_key)
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
    server: Server
    image: pulumi.Input[str]
    storage: Storage | None
    storage_size: pulumi.Input[str]
    storage_class: pulumi.Input[str] | None
    credentials: CredentialPlan
    tls: TlsPlan | None
    migration: Migration | None
    exporter: Images | None
    placement: Placement
    priority_class_name: pulumi.Input[str] | None
    sentinel: Sentinel
    front: Front
    ip_families: dict[str, Any]
    runtime_image: pulumi.Input[str]
    replica_max_stale_seconds: int
    replication: dict[str, str]
    evictable: bool
    labels: dict[str, str]
    pod_annotations: dict[str, str]

    @property
    def pods(self) -> list[str]:
        return [f"{self.name}-{ordinal}" for ordinal in range(self.sentinel.members)]

    @property
    def hosts(self) -> list[str]:
        """What it is called in the namespace, the same for any number of members."""
        members = [f"{self.name}-{ordinal}" for ordinal in range(sentinel_pod.MEMBERS_MAXIMUM)]
        return [self.name, f"{self.name}-reader", f"{self.name}-front", *members, f"*.{self.name}-headless"]

    @property
    def addresses(self) -> list[str]:
        """Of everything that takes the password."""
        return [f"{pod_name}.{self.name}-headless:{port}" for pod_name in self.pods for port in (PORT, SENTINEL_PORT)]

    @property
    def selector(self) -> dict[str, str]:
        return labels.selector(self.server.engine.value, self.name)

    def metadata(self, suffix: str = "") -> dict[str, Any]:
        all_labels = labels.all_labels(self.server.engine.value, self.name, MEMBER, self.labels)
        return {"name": f"{self.name}{suffix}", "namespace": self.namespace, "labels": all_labels}

    def service_specs(self) -> dict[str, dict[str, Any]]:
        """By what the Service's name has more than the component's."""
        engine = self.server.engine.value
        data = [{"name": engine, "port": PORT, "target_port": engine}]
        every = [
            *data,
            {"name": "sentinel", "port": SENTINEL_PORT, "target_port": "sentinel"},
            {"name": "agent", "port": sentinel_pod.AGENT_PORT, "target_port": "agent"},
        ]
        # Members find each other before they are ready.
        always = {"publish_not_ready_addresses": True}
        return {
            # No selector: the master's agent keeps its one endpoint.
            "": {"ports": [{**data[0], "target_port": PORT}]},
            "-reader": {"selector": {**self.selector, sentinel_pod.ROLE_LABEL: "replica"}, "ports": data},
            "-headless": {"selector": self.selector, "ports": every, "cluster_ip": "None", **always},
            **{
                f"-{ordinal}": {"selector": {**self.selector, labels.POD: pod_name}, "ports": every, **always}
                for ordinal, pod_name in enumerate(self.pods)
            },
        }

    def disruption_budget_spec(self) -> dict[str, Any]:
        return {"max_unavailable": 1 if self.evictable else 0, "selector": {"match_labels": self.selector}}

    def make_sidecar(self, credentials: Credentials, opts: pulumi.ResourceOptions) -> Sidecar:
        engine, tls = self.server.engine.value, self.tls is not None
        return redis_sidecar(self.name, self.exporter, engine, credentials, self.metadata(), opts, tls=tls, sentinels=True)

    def stateful_set_spec(self, volumes: list[dict[str, Any]], sidecar: Sidecar) -> dict[str, Any]:
        kept = [*volumes, token_volume(), *sidecar.volumes]
        beside = sentinel_pod.containers(
            self.sentinel, self.server.engine.value, self.name, self.image, self.runtime_image, pod.mounts(volumes)
        )
        spec = pod.server_pod(
            self.server,
            self.image,
            self._environment(),
            kept if self.storage else [*kept, pod.EMPTY_DATA],
            pod_placement(self.placement, self.selector),
            self.priority_class_name,
            [*beside, *sidecar.containers],
            sentinel_pod.HANDOVER_SECONDS,
        )
        spec |= {"service_account_name": self.name, "termination_grace_period_seconds": self.sentinel.termination_grace_seconds}
        return {
            "replicas": self.sentinel.members,
            "service_name": f"{self.name}-headless",
            "pod_management_policy": "Parallel",
            "selector": {"match_labels": self.selector},
            "template": {"metadata": {"labels": self.metadata()["labels"], "annotations": self.pod_annotations}, "spec": spec},
            **(self._claims(self.storage) if self.storage else {}),
        }

    def make_front(self, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
        placed = self.placement, self.metadata(), self.priority_class_name
        return make_front(self.name, self.front, self.server, self.pods, *placed, self.ip_families, opts)

    def connection(
        self, credentials: Credentials, certificate: Certificate | None, ready: list[pulumi.Resource]
    ) -> pulumi.Output[Connection]:
        """Known once everything in `ready` is."""

        def connect(namespace: str, password: str | None, exporter_password: str, authority_pem: str | None) -> Connection:
            hosts = [f"{pod_name}.{namespace}.svc" for pod_name in self.pods]
            # Who wants a front wants clients to use it.
            front = self.front.replicas
            connection: Connection = {
                "engine": self.server.engine.value,
                "mode": "sentinel",
                "host": f"{self.name}{'-front' if front else ''}.{namespace}.svc",
                "port": PORT,
                "reader_host": f"{self.name}-{'front' if front else 'reader'}.{namespace}.svc",
                "reader_port": haproxy.READ_PORT if front else PORT,
                "nodes": [f"{host}:{PORT}" for host in hosts],
                "sentinels": [f"{host}:{SENTINEL_PORT}" for host in hosts],
                "master_name": self.name,
                "tls": self.tls is not None,
                "exporter_password": exporter_password,
                "provider": "kubernetes",
            }
            if password is not None:
                connection["password"] = password
            if self.server.purpose:
                connection["purpose"] = self.server.purpose.value
            if authority_pem is not None:
                connection["ca_pem"] = authority_pem
            if self.exporter:
                connection["exporter_pods"] = self.selector
            return connection

        return when_ready(connect, self.server.engine.value, [self.namespace, *credentials.passwords, authority_of(certificate)], ready)

    def _environment(self) -> dict[str, pulumi.Input[str]]:
        return {
            "ROLE": MEMBER,
            "POD": "$metadata.name",
            "NAMESPACE": "$metadata.namespace",
            "ANNOUNCE": self.sentinel.announce.value,
            "MAX_STALE_SECONDS": str(self.replica_max_stale_seconds),
            "HANDOVER_SECONDS": str(sentinel_pod.HANDOVER_SECONDS),
        }

    def _claims(self, storage: Storage) -> dict[str, Any]:
        return {
            "volume_claim_templates": [claim_template(self.storage_size, self.storage_class, self.selector)],
            "persistent_volume_claim_retention_policy": {
                "when_deleted": "Retain" if storage.retained else "Delete",
                # Scaled to none by hand, all data would go with them.
                "when_scaled": "Retain",
            },
        }


def _read(name: str, args: SentinelGroupArgs) -> _Plan:
    arguments = Arguments("SentinelGroup", name, NAME_MAXIMUM, args, SentinelGroupArgs)
    server = read_server(arguments)
    runtime_image = read_image(arguments, "runtime_image", RUNTIME_IMAGE)
    sentinel = sentinel_pod.read_sentinel(arguments, server)
    plan = _Plan(
        name=name,
        namespace=arguments.name("namespace", "default"),
        server=server,
        image=read_image(arguments, "image", DEFAULT_IMAGES[server.engine]),
        storage=read_storage(arguments, server),
        storage_size="",
        storage_class=args.get("storage_class"),
        credentials=read_credentials(arguments),
        tls=read_tls(arguments),
        migration=read_migration(arguments),
        exporter=read_exporter(arguments, server.engine.value, runtime_image),
        placement=read_placement(arguments),
        priority_class_name=args.get("priority_class_name"),
        sentinel=sentinel,
        front=read_front(arguments),
        ip_families=read_ip_families(arguments),
        runtime_image=runtime_image,
        replica_max_stale_seconds=read_max_stale_seconds(arguments),
        replication=read_replication(arguments, server, sentinel.members - 1, to_write=1, max_lag_seconds=3),
        evictable=arguments.flag("evictable", True),
        labels=arguments.labels("labels"),
        pod_annotations=arguments.annotations("pod_annotations"),
    )
    arguments.finish()
    return plan
