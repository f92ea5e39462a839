"""RedisStatefulSet: one Redis or Valkey server that keeps its data, and read replicas of it where wanted."""

from dataclasses import dataclass, replace
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.connection import Connection, when_ready
from pulumi_caches.kubernetes import labels, pod, redis_conf
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
from pulumi_caches.kubernetes.migration import MigrateArgs, Migration, migrate_job, migrate_pod, read_migration
from pulumi_caches.kubernetes.placement import Placement, PlacementArgs, pod_placement, read_placement
from pulumi_caches.kubernetes.replication import ReplicationArgs, read_max_stale_seconds, read_replication
from pulumi_caches.kubernetes.server import DEFAULT_IMAGES, PORT, RUNTIME_IMAGE, Server, ServerArgs, read_image, read_server
from pulumi_caches.kubernetes.storage import Storage, StorageArgs, agree, claim_template, read_storage
from pulumi_caches.kubernetes.tls_secret import Certificate, TlsArgs, TlsPlan, authority_of, find_certificate, read_tls
from pulumi_caches.kubernetes.volume_growth import grow_volumes

# The longest derived name that Kubernetes limits is the label `NAME-replica-HASH`: 63 characters, 8 and 11 of them added.
NAME_MAXIMUM = 44
PRIMARY, REPLICA = "primary", "replica"


class RedisStatefulSetArgs(ServerArgs, StorageArgs, ReplicationArgs, CredentialArgs, TlsArgs, PlacementArgs, MigrateArgs, ExporterArgs):
    """Arguments of RedisStatefulSet. None is required."""

    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    replicas: NotRequired[int]
    """Read replicas beside the primary, 0 to 100. Default: 0."""
    runtime_image: NotRequired[pulumi.Input[str]]
    """Image of `caches`, which copies with migrate_from, with an exact tag or digest. Default: this version's."""
    evictable: NotRequired[bool]
    """Whether a node drain may evict a pod, one at a time; false makes drains wait for a person. Default: true."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object. Default: none."""
    pod_annotations: NotRequired[dict[str, str]]
    """Annotations added to the pods. Default: none."""


class RedisStatefulSet(pulumi.ComponentResource):
    """
    One Redis or Valkey server with a volume, and read replicas of it where wanted.

    Creates, all named after the component: a StatefulSet of one primary; with replicas a second one, NAME-replica; the
    Services NAME (writes), NAME-reader (with replicas: reads, never the primary) and NAME-headless (one name per pod); a
    ConfigMap with the configuration, a Secret with generated passwords and a PodDisruptionBudget. The primary is a matter
    of configuration and never moves by itself: for failover use SentinelGroup.
    """

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when its pods are ready. Secret."""
    password_secret_name: pulumi.Output[str]
    """Secret that holds the password, for pods in the same namespace."""
    password_secret_key: pulumi.Output[str]
    """Its key."""

    def __init__(self, name: str, args: RedisStatefulSetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:RedisStatefulSet", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, depends_on=resources)

        agreed = (
            agree(name, plan.server, plan.storage, plan.storage_class, plan.namespace, child, grows_like=f"{name}-0")
            if plan.storage
            else None
        )
        if agreed:
            plan = replace(plan, namespace=agreed.namespace, storage_size=agreed.size)
        credentials = make_credentials(name, plan.credentials, args.get("existing_secret_name"), plan.metadata(), child)
        files = pod.config_files(redis_conf.render(plan.server, plan.replication))
        config_map, config = make_config(name, files, plan.metadata(), child)
        headless = k8s.core.v1.Service(f"{name}-headless", metadata=plan.metadata("-headless"), spec=plan.headless_spec(), opts=child)
        certificate = find_certificate(name, plan.tls, plan.hosts(), plan.metadata(), child, peers=True)
        volumes = pod.config_volumes(config_map, credentials.volume_sources, certificate)
        sidecar = plan.make_sidecar(credentials, child)
        primary = k8s.apps.v1.StatefulSet(
            name,
            metadata=plan.metadata("", PRIMARY),
            spec=plan.stateful_set_spec(PRIMARY, 1, volumes, sidecar),
            opts=after(config, credentials.made, headless, *sidecar.made),
        )
        client = k8s.core.v1.Service(name, metadata=plan.metadata("", PRIMARY), spec=plan.service_spec(PRIMARY), opts=child)
        ready: list[pulumi.Resource] = [primary, client]
        if agreed:
            grow_volumes(agreed.facts, name, 1, after(primary))
        if plan.replicas:
            # After the primary, so that reads can go on while it restarts. No promise yet: pulumi-kubernetes 4.25 mostly takes a
            # changed StatefulSet for ready before its pod has restarted, and then both restart together.
            replica = k8s.apps.v1.StatefulSet(
                f"{name}-replica",
                metadata=plan.metadata("-replica", REPLICA),
                spec=plan.stateful_set_spec(REPLICA, plan.replicas, volumes, sidecar),
                opts=after(primary),
            )
            reader = k8s.core.v1.Service(
                f"{name}-reader", metadata=plan.metadata("-reader", REPLICA), spec=plan.service_spec(REPLICA), opts=child
            )
            ready += [replica, reader]
            if agreed:
                grow_volumes(agreed.facts, f"{name}-replica", plan.replicas, after(replica))
        if plan.replicas or not plan.evictable:
            k8s.policy.v1.PodDisruptionBudget(name, metadata=plan.metadata(), spec=plan.disruption_budget_spec(), opts=child)
        if credentials.rotation is not None:
            waiting = pod.script_pod(plan.server, plan.image, "await-password.sh", {"ADDRESSES": " ".join(plan.addresses())}, volumes)
            ready.append(await_password_job(name, credentials.rotation, waiting, plan.metadata(), after(*ready)))
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
    runtime_image: pulumi.Input[str]
    storage: Storage | None
    storage_size: pulumi.Input[str]
    storage_class: pulumi.Input[str] | None
    credentials: CredentialPlan
    tls: TlsPlan | None
    migration: Migration | None
    exporter: Images | None
    placement: Placement
    priority_class_name: pulumi.Input[str] | None
    replicas: int
    replica_max_stale_seconds: int
    replication: dict[str, str]
    evictable: bool
    labels: dict[str, str]
    pod_annotations: dict[str, str]

    def metadata(self, suffix: str = "", component: str | None = None) -> dict[str, Any]:
        all_labels = labels.all_labels(self.server.engine.value, self.name, component, self.labels)
        return {"name": f"{self.name}{suffix}", "namespace": self.namespace, "labels": all_labels}

    def pods(self) -> list[str]:
        """Each pod's name in the namespace."""
        ordinals = [f"{self.name}-replica-{ordinal}" for ordinal in range(self.replicas)]
        return [f"{pod_name}.{self.name}-headless" for pod_name in (f"{self.name}-0", *ordinals)]

    def hosts(self) -> list[str]:
        """What it is called in the namespace, the same for any number of replicas."""
        return [self.name, f"{self.name}-reader", f"*.{self.name}-headless"]

    def addresses(self) -> list[str]:
        """Of everything that takes the password."""
        return [f"{pod_name}:{PORT}" for pod_name in self.pods()]

    def headless_spec(self) -> dict[str, Any]:
        # Servers find each other by these names before they are ready.
        return {**self.service_spec(None), "cluster_ip": "None", "publish_not_ready_addresses": True}

    def service_spec(self, role: str | None) -> dict[str, Any]:
        engine = self.server.engine.value
        ports = [{"name": engine, "port": PORT, "target_port": engine}]
        return {"selector": labels.selector(engine, self.name, role), "ports": ports}

    def disruption_budget_spec(self) -> dict[str, Any]:
        selector = labels.selector(self.server.engine.value, self.name)
        return {"max_unavailable": 1 if self.evictable else 0, "selector": {"match_labels": selector}}

    def make_sidecar(self, credentials: Credentials, opts: pulumi.ResourceOptions) -> Sidecar:
        engine, tls = self.server.engine.value, self.tls is not None
        return redis_sidecar(self.name, self.exporter, engine, credentials, self.metadata(), opts, tls=tls)

    def stateful_set_spec(self, role: str, count: int, volumes: list[dict[str, Any]], sidecar: Sidecar) -> dict[str, Any]:
        selector = labels.selector(self.server.engine.value, self.name, role)
        template = {
            "metadata": {"labels": self.metadata("", role)["labels"], "annotations": self.pod_annotations},
            "spec": pod.server_pod(
                self.server,
                self.image,
                self._environment(role),
                [*volumes, *sidecar.volumes] if self.storage else [*volumes, *sidecar.volumes, pod.EMPTY_DATA],
                pod_placement(self.placement, labels.selector(self.server.engine.value, self.name)),
                self.priority_class_name,
                sidecar.containers,
            ),
        }
        return {
            "replicas": count,
            "service_name": f"{self.name}-headless",
            "pod_management_policy": "Parallel",
            "selector": {"match_labels": selector},
            "template": template,
            **(self._claims(self.storage, role, selector) if self.storage else {}),
        }

    def connection(
        self, credentials: Credentials, certificate: Certificate | None, ready: list[pulumi.Resource]
    ) -> pulumi.Output[Connection]:
        """Known once everything in `ready` is."""

        def connect(namespace: str, password: str | None, exporter_password: str, authority_pem: str | None) -> Connection:
            connection: Connection = {
                "engine": self.server.engine.value,
                "mode": "standalone",
                "host": f"{self.name}.{namespace}.svc",
                "port": PORT,
                "nodes": [f"{pod_name}.{namespace}.svc:{PORT}" for pod_name in self.pods()],
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
                connection["exporter_pods"] = labels.selector(self.server.engine.value, self.name)
            if self.replicas:
                connection |= {"reader_host": f"{self.name}-reader.{namespace}.svc", "reader_port": PORT}
            return connection

        return when_ready(connect, self.server.engine.value, [self.namespace, *credentials.passwords, authority_of(certificate)], ready)

    def _environment(self, role: str) -> dict[str, pulumi.Input[str]]:
        return {
            "ROLE": role,
            "PRIMARY_HOST": f"{self.name}-0.{self.name}-headless",
            "PEERS": f"{self.name}-headless",
            "MAX_STALE_SECONDS": str(self.replica_max_stale_seconds),
        }

    def _claims(self, storage: Storage, role: str, selector: dict[str, str]) -> dict[str, Any]:
        # A replica's volume is a copy: it goes with its pod.
        retained = storage.retained and role == PRIMARY
        return {
            "volume_claim_templates": [claim_template(self.storage_size, self.storage_class, selector)],
            "persistent_volume_claim_retention_policy": {
                "when_deleted": "Retain" if retained else "Delete",
                "when_scaled": "Retain" if role == PRIMARY else "Delete",
            },
        }


def _read(name: str, args: RedisStatefulSetArgs) -> _Plan:
    arguments = Arguments("RedisStatefulSet", name, NAME_MAXIMUM, args, RedisStatefulSetArgs)
    server = read_server(arguments)
    runtime_image = read_image(arguments, "runtime_image", RUNTIME_IMAGE)
    replicas = arguments.whole("replicas", 0, 0, 100)
    plan = _Plan(
        name=name,
        namespace=arguments.name("namespace", "default"),
        server=server,
        image=read_image(arguments, "image", DEFAULT_IMAGES[server.engine]),
        runtime_image=runtime_image,
        storage=read_storage(arguments, server),
        storage_size="",
        storage_class=args.get("storage_class"),
        credentials=read_credentials(arguments),
        tls=read_tls(arguments),
        migration=read_migration(arguments),
        exporter=read_exporter(arguments, server.engine.value, runtime_image),
        placement=read_placement(arguments),
        priority_class_name=args.get("priority_class_name"),
        replicas=replicas,
        replica_max_stale_seconds=read_max_stale_seconds(arguments),
        replication=read_replication(arguments, server, replicas, to_write=0, max_lag_seconds=10),
        evictable=arguments.flag("evictable", True),
        labels=arguments.labels("labels"),
        pod_annotations=arguments.annotations("pod_annotations"),
    )
    if replicas and not server.persistent:
        arguments.refuse("replicas", "with persistence none a restarted primary is empty and would empty its replicas: choose rdb or aof")
    arguments.finish()
    return plan
