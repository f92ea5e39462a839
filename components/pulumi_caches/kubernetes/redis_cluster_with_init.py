"""RedisClusterWithInit: a Redis or Valkey cluster that makes, mends, grows and shrinks itself from two numbers."""

from dataclasses import dataclass, replace
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.connection import Connection, when_ready
from pulumi_caches.kubernetes import labels, pod, redis_conf
from pulumi_caches.kubernetes.cluster_conf import ClusterArgs, Clustering, read_clustering
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
from pulumi_caches.kubernetes.placement import Placement, PlacementArgs, Spread, pod_placement, read_placement
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

# The longest derived name that Kubernetes limits is the label `NAME-SHARD-HASH`: 63 characters, 4 and 11 of them added; as
# RedisStatefulSet's, so that one can follow the other.
NAME_MAXIMUM = 44


class RedisClusterWithInitArgs(ClusterArgs, ServerArgs, StorageArgs, CredentialArgs, TlsArgs, PlacementArgs, MigrateArgs, ExporterArgs):
    """Arguments of RedisClusterWithInit. None is required."""

    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    runtime_image: NotRequired[pulumi.Input[str]]
    """Image of `caches`, which makes and mends the cluster, with an exact tag or digest. Default: this version's."""
    repair_timeout_minutes: NotRequired[int]
    """How long `pulumi up` waits for slots and their data to move, in minutes, 1 to 10080. Default: 60."""
    evictable: NotRequired[bool]
    """Whether a node drain may evict pods, one of a shard at a time; false makes drains wait for a person. Default: true."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object. Default: none."""
    pod_annotations: NotRequired[dict[str, str]]
    """Annotations added to the servers' pods. Default: none."""


class RedisClusterWithInit(pulumi.ComponentResource):
    """
    A Redis or Valkey cluster that makes, mends, grows and shrinks itself from two numbers: shards, and replicas of each.

    Creates, all named after the component: for each shard a StatefulSet NAME-SHARD with master and replicas, and a
    PodDisruptionBudget; the Services NAME (any node, to begin with) and NAME-headless (one name per pod); a ConfigMap with
    the configuration, a Secret with generated passwords; and the Job NAME-repair, which brings the cluster from whatever it
    is to what it shall be whenever one of the numbers changes, before pods that are too many are removed.
    """

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when the cluster is whole. Secret."""
    password_secret_name: pulumi.Output[str]
    """Secret that holds the password, for pods in the same namespace."""
    password_secret_key: pulumi.Output[str]
    """Its key."""

    def __init__(self, name: str, args: RedisClusterWithInitArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:RedisClusterWithInit", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, depends_on=resources)

        agreed = agree(
            name, plan.server, plan.storage, plan.storage_class, plan.namespace, child, tls_fact(plan.tls), TLS_ADVICE, f"{name}-0-0"
        )
        plan = replace(plan, namespace=agreed.namespace, storage_size=agreed.size)
        credentials = make_credentials(name, plan.credentials, args.get("existing_secret_name"), plan.metadata(), child)
        files = pod.config_files(redis_conf.render(plan.server, plan.clustering.directives), pod.CLUSTER_SCRIPTS)
        config_map, config = make_config(name, files, plan.metadata(), child)
        headless = k8s.core.v1.Service(f"{name}-headless", metadata=plan.metadata("-headless"), spec=plan.headless_spec(), opts=child)
        client = k8s.core.v1.Service(name, metadata=plan.metadata(), spec=plan.service_spec(), opts=child)
        certificate = find_certificate(name, plan.tls, [name, f"*.{name}-headless"], plan.metadata(), child, peers=True, mutual=True)
        volumes = pod.config_volumes(config_map, credentials.volume_sources, certificate)
        sidecar = plan.make_sidecar(credentials, child)
        ready: list[pulumi.Resource] = [client]
        for shard in range(plan.clustering.shards):
            shard_name, metadata = f"{name}-{shard}", plan.metadata(f"-{shard}", shard)
            servers = k8s.apps.v1.StatefulSet(
                shard_name,
                metadata=metadata,
                spec=plan.stateful_set_spec(shard, volumes, sidecar),
                opts=after(config, credentials.made, headless, *sidecar.made),
            )
            ready.append(servers)
            grow_volumes(agreed.facts, shard_name, 1 + plan.clustering.replicas, after(servers))
            if plan.clustering.replicas or not plan.evictable:
                k8s.policy.v1.PodDisruptionBudget(shard_name, metadata=metadata, spec=plan.disruption_budget_spec(shard), opts=child)
        # Beside the StatefulSets, not after them: their pods are only ready in a cluster, which it makes. And Pulumi removes what
        # is no longer wanted at the very end, so it has emptied the shards that go.
        limit = pulumi.CustomTimeouts(create=f"{plan.repair_timeout_minutes}m")
        repair = k8s.batch.v1.Job(
            f"{name}-repair",
            metadata={**plan.metadata("-repair"), "annotations": {"pulumi.com/replaceUnready": "true"}},
            spec=plan.repair_spec(credentials.volume_sources, certificate),
            opts=pulumi.ResourceOptions.merge(after(credentials.made, headless), pulumi.ResourceOptions(custom_timeouts=limit)),
        )
        ready.append(repair)
        if credentials.rotation is not None:
            addresses = " ".join(f"{pod_name}:{PORT}" for pod_name in plan.pods())
            waiting = pod.script_pod(plan.server, plan.image, "await-password.sh", {"ADDRESSES": addresses}, volumes)
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
    storage: Storage
    storage_size: pulumi.Input[str]
    storage_class: pulumi.Input[str] | None
    credentials: CredentialPlan
    tls: TlsPlan | None
    migration: Migration | None
    exporter: Images | None
    placement: Placement
    priority_class_name: pulumi.Input[str] | None
    clustering: Clustering
    repair_timeout_minutes: int
    evictable: bool
    labels: dict[str, str]
    pod_annotations: dict[str, str]

    def metadata(self, suffix: str = "", shard: int | None = None) -> dict[str, Any]:
        component = None if shard is None else f"shard-{shard}"
        all_labels = labels.all_labels(self.server.engine.value, self.name, component, self.labels)
        return {"name": f"{self.name}{suffix}", "namespace": self.namespace, "labels": all_labels}

    def selector(self, shard: int | None = None) -> dict[str, str]:
        return labels.selector(self.server.engine.value, self.name, None if shard is None else f"shard-{shard}")

    def pods(self) -> list[str]:
        """Each pod's name in the namespace."""
        ordinals = range(1 + self.clustering.replicas)
        return [f"{self.name}-{shard}-{ordinal}.{self.name}-headless" for shard in range(self.clustering.shards) for ordinal in ordinals]

    def domain(self) -> pulumi.Output[str]:
        """What follows a pod's name in its DNS name."""
        return pulumi.Output.concat(self.name, "-headless.", self.namespace, ".svc")

    def headless_spec(self) -> dict[str, Any]:
        # Nodes find each other by these names before they are ready.
        return {**self.service_spec(), "cluster_ip": "None", "publish_not_ready_addresses": True}

    def service_spec(self) -> dict[str, Any]:
        engine = self.server.engine.value
        return {"selector": self.selector(), "ports": [{"name": engine, "port": PORT, "target_port": engine}]}

    def disruption_budget_spec(self, shard: int) -> dict[str, Any]:
        return {"max_unavailable": 1 if self.evictable else 0, "selector": {"match_labels": self.selector(shard)}}

    def make_sidecar(self, credentials: Credentials, opts: pulumi.ResourceOptions) -> Sidecar:
        engine, tls = self.server.engine.value, self.tls is not None
        return redis_sidecar(self.name, self.exporter, engine, credentials, self.metadata(), opts, tls=tls)

    def stateful_set_spec(self, shard: int, volumes: list[dict[str, Any]], sidecar: Sidecar) -> dict[str, Any]:
        # Nothing here depends on how many shards there are, so a changed number restarts no pod.
        environment: dict[str, pulumi.Input[str]] = {
            "DOMAIN": self.domain(),
            "PEERS": f"{self.name}-headless",
            "FAILOVER_SECONDS": str(self.clustering.failover_seconds),
        }
        spec = pod.server_pod(
            self.server,
            self.image,
            environment,
            [*volumes, *sidecar.volumes],
            self._pod_placement(shard),
            self.priority_class_name,
            sidecar.containers,
            scripts="cluster-",
            stop_seconds=self.clustering.failover_seconds,
        )
        return {
            "replicas": 1 + self.clustering.replicas,
            "service_name": f"{self.name}-headless",
            "pod_management_policy": "Parallel",
            "selector": {"match_labels": self.selector(shard)},
            "template": {"metadata": {"labels": self.metadata("", shard)["labels"], "annotations": self.pod_annotations}, "spec": spec},
            "volume_claim_templates": [claim_template(self.storage_size, self.storage_class, self.selector(shard))],
            "persistent_volume_claim_retention_policy": {
                "when_deleted": "Retain" if self.storage.retained else "Delete",
                # A pod that is too many has handed over; what is left is a copy.
                "when_scaled": "Delete",
            },
        }

    def _pod_placement(self, shard: int) -> dict[str, Any]:
        """A shard's pods apart as asked for; those of different shards too, where there is room, so that no node has all masters."""
        spec = pod_placement(self.placement, self.selector(shard))
        if self.placement.node_spread is not Spread.NONE:
            spec.setdefault("topology_spread_constraints", []).append(
                {
                    "max_skew": 1,
                    "topology_key": "kubernetes.io/hostname",
                    "when_unsatisfiable": "ScheduleAnyway",
                    "label_selector": {"match_labels": self.selector()},
                }
            )
        return spec

    def repair_spec(self, credential_sources: list[dict[str, Any]], certificate: Certificate | None) -> dict[str, Any]:
        arguments: list[pulumi.Input[str]] = [
            "cluster",
            "repair",
            pulumi.Output.concat("--hosts=", self.name, "-{shard}-{ordinal}.", self.domain()),
            f"--shards={self.clustering.shards}",
            f"--replicas={self.clustering.replicas}",
            f"--password-file={pod.CREDENTIALS_FOLDER}/system-password",
        ]
        # A name label of its own, so that no Service or disruption budget of the servers takes its pod for one of them.
        pod_labels = {**self.metadata()["labels"], labels.NAME: "cluster-repair"}
        spec = pod.runtime_pod("repair", self.runtime_image, arguments, credential_sources, certificate, self.server.image_pull_secrets)
        return {
            # It can go on after any end of its pod: a node that is drained, for one.
            "backoff_limit": 6,
            "active_deadline_seconds": self.repair_timeout_minutes * 60,
            "template": {"metadata": {"labels": pod_labels}, "spec": {**spec, "restart_policy": "Never"}},
        }

    def connection(
        self, credentials: Credentials, certificate: Certificate | None, ready: list[pulumi.Resource]
    ) -> pulumi.Output[Connection]:
        """Known once everything in `ready` is."""

        def connect(namespace: str, password: str | None, exporter_password: str, authority_pem: str | None) -> Connection:
            connection: Connection = {
                "engine": self.server.engine.value,
                "mode": "cluster",
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
                connection["exporter_pods"] = self.selector()
            return connection

        return when_ready(connect, self.server.engine.value, [self.namespace, *credentials.passwords, authority_of(certificate)], ready)


def _read(name: str, args: RedisClusterWithInitArgs) -> _Plan:
    arguments = Arguments("RedisClusterWithInit", name, NAME_MAXIMUM, args, RedisClusterWithInitArgs)
    server = read_server(arguments)
    runtime_image = read_image(arguments, "runtime_image", RUNTIME_IMAGE)
    storage = read_storage(arguments, server)
    if storage is None:
        arguments.refuse("persistence", "a node of a cluster keeps on its volume who it is: choose aof or rdb")
    plan = _Plan(
        name=name,
        namespace=arguments.name("namespace", "default"),
        server=server,
        image=read_image(arguments, "image", DEFAULT_IMAGES[server.engine]),
        runtime_image=runtime_image,
        storage=storage or Storage(gib=1, stated=False, retained=True),
        storage_size="",
        storage_class=args.get("storage_class"),
        credentials=read_credentials(arguments),
        tls=read_tls(arguments),
        migration=read_migration(arguments),
        exporter=read_exporter(arguments, server.engine.value, runtime_image),
        placement=read_placement(arguments),
        priority_class_name=args.get("priority_class_name"),
        clustering=read_clustering(arguments, server),
        repair_timeout_minutes=arguments.whole("repair_timeout_minutes", 60, 1, 10_080),
        evictable=arguments.flag("evictable", True),
        labels=arguments.labels("labels"),
        pod_annotations=arguments.annotations("pod_annotations"),
    )
    arguments.finish()
    return plan
