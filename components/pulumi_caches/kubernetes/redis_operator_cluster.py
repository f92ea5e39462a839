"""RedisOperatorCluster: a cache that an operator runs, for who has one in the cluster already."""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, NotRequired, cast

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import Arguments
from pulumi_caches.connection import Connection, when_ready
from pulumi_caches.kubernetes import labels, ot_operator, redis_conf, valkey_operator
from pulumi_caches.kubernetes.config_map import config_name
from pulumi_caches.kubernetes.credentials import ExistingSecret, ExistingSecretArgs, make_password, read_existing_secret
from pulumi_caches.kubernetes.custom_resource import WAIT_FOR, Asked, CustomResource, mebibytes
from pulumi_caches.kubernetes.operator_limits import (
    Operator,
    OperatorMode,
    read_operated_server,
    refuse_unsupported,
)
from pulumi_caches.kubernetes.placement import PlacementArgs, read_placement
from pulumi_caches.kubernetes.replication import read_backlog_and_least
from pulumi_caches.kubernetes.server import MIB_PER_GIB, PORT, ServerArgs, read_image
from pulumi_caches.kubernetes.storage import Storage, StorageArgs, agree, read_storage

# The longest derived name that Kubernetes limits is the label `valkey-NAME-99-5-HASH`: 63 characters, 7 and 16 of them added.
NAME_MAXIMUM = 40


class RedisOperatorClusterArgs(ServerArgs, StorageArgs, ExistingSecretArgs, PlacementArgs):
    """Arguments of RedisOperatorCluster. None is required."""

    operator: NotRequired[Operator]
    """ot or valkey: the operator that runs in the cluster. Can't change once there is data. Default: ot."""
    mode: NotRequired[OperatorMode]
    """cluster or sentinel (not with operator valkey). Can't change once there is data. Default: cluster."""
    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist, and the operator must watch it. Default: default."""
    shards: NotRequired[int]
    """Primaries that share the data, 3 to 100, in mode cluster. Default: 3."""
    replicas: NotRequired[int]
    """Replicas of each primary, 0 to 5; from 1 in mode sentinel. Default: 1 in mode cluster, 2 in mode sentinel."""
    sentinels: NotRequired[int]
    """Sentinels, an odd number from 3 to 9, in mode sentinel. Default: 3."""
    sentinel_image: NotRequired[pulumi.Input[str]]
    """Container image of the sentinels with an exact tag or digest. Default: the operator's."""
    repl_backlog_mib: NotRequired[int]
    """Writes kept for a replica that was away, in MiB, at most a quarter of maxmemory. Default: a sixteenth of maxmemory, at most 256."""
    min_replicas_to_write: NotRequired[int]
    """Replicas that must be connected for a primary to accept writes. Default: 0."""
    evictable: NotRequired[bool]
    """Whether a node drain may evict a pod, one at a time; false (not with operator valkey) makes drains wait. Default: true."""
    await_ready: NotRequired[bool]
    """Whether to wait, at most 10 minutes, until the operator says that the cache is ready. Default: true."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object. Can't change once there is data. Default: none."""


class RedisOperatorCluster(pulumi.ComponentResource):
    """
    A Redis or Valkey cache that an operator runs: shards with replicas, or one primary with replicas and sentinels.

    Creates the operator's custom resources, all called NAME; for operator ot a ConfigMap with the servers' configuration;
    and a Secret with a generated password, which the custom resources only refer to. The operator must run in the cluster,
    and does all the rest: pods, Services, volumes, failover.
    """

    connection: pulumi.Output[Connection]
    """How to reach the cache: what monitoring, backup and clients take. Known when the operator says that it is ready. Secret."""
    password_secret_name: pulumi.Output[str]
    """Secret that holds the password, for pods in the same namespace."""
    password_secret_key: pulumi.Output[str]
    """Its key."""

    def __init__(self, name: str, args: RedisOperatorClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:RedisOperatorCluster", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        existing_secret_name = args.get("existing_secret_name")
        asked = plan.asked
        agreed = agree(
            name, asked.server, asked.storage, asked.storage_class, plan.namespace, child, plan.own_facts(existing_secret_name), _ADVICE
        )
        plan = replace(plan, namespace=agreed.namespace)
        password = make_password(name, plan.secret, existing_secret_name, plan.metadata(None), child)
        asked = replace(
            asked,
            storage_size=agreed.gib.apply(lambda gib: mebibytes(int(gib) * MIB_PER_GIB)),
            secret_name=password.secret_name,
            secret_key=password.secret_key,
        )
        made: list[pulumi.Resource] = []
        if plan.operator is Operator.OT:
            files = {ot_operator.CONFIG_KEY: asked.config}
            config_map = {**plan.metadata(None), "name": asked.config_map}
            made = [k8s.core.v1.ConfigMap(f"{name}-config", metadata=config_map, data=files, immutable=True, opts=child)]
        for resource in plan.driver.resources(asked):
            after = pulumi.ResourceOptions(parent=self, depends_on=made[-1:])
            made.append(plan.custom_resource(resource, after))

        self.connection = plan.connection(password.value, made)
        self.password_secret_name = pulumi.Output.from_input(password.secret_name)
        self.password_secret_key = pulumi.Output.from_input(password.secret_key)
        self.register_outputs(
            {
                "connection": self.connection,
                "passwordSecretName": self.password_secret_name,
                "passwordSecretKey": self.password_secret_key,
            }
        )


_ADVICE = {
    "operator": "each operator makes volumes of its own",
    "mode": "each mode has volumes of its own",
    "storage_gib": "the operator's volumes keep the size they were made with",
    "labels": "the operator's Services select by them, and would have no pods until all have been restarted",
    "password_from": "the operator gives it to one server after the other, and those with different passwords do not know each other",
}


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and what follows from them."""

    operator: Operator
    mode: OperatorMode
    namespace: pulumi.Input[str]
    asked: Asked
    secret: ExistingSecret
    await_ready: bool
    labels: dict[str, str]

    @property
    def driver(self) -> ModuleType:
        """What knows the operator."""
        return _DRIVERS[self.operator]

    def own_facts(self, existing_secret_name: pulumi.Input[str] | None) -> dict[str, pulumi.Input[Any]]:
        """What can't change once there is data, beside what volumes are made with."""
        secret = existing_secret_name
        return {
            "operator": self.operator.value,
            "mode": self.mode.value,
            "labels": self.labels,
            "password_from": "" if secret is None else pulumi.Output.concat(secret, "/", self.secret.key),
        }

    def metadata(self, component: str | None) -> dict[str, Any]:
        all_labels = labels.all_labels(self.asked.server.engine.value, self.asked.name, component, self.labels)
        return {"name": self.asked.name, "namespace": self.namespace, "labels": all_labels}

    def custom_resource(self, resource: CustomResource, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        metadata = self.metadata(resource.component)
        if self.await_ready and resource.ready:
            metadata["annotations"] = {WAIT_FOR: resource.ready}
        suffix = "" if resource.component == "server" else f"-{resource.component}"
        return k8s.apiextensions.CustomResource(
            f"{self.asked.name}{suffix}",
            api_version=resource.api_version,
            kind=resource.kind,
            metadata=metadata,
            spec=resource.spec,
            opts=opts,
        )

    def connection(self, password: pulumi.Output[str] | None, ready: list[pulumi.Resource]) -> pulumi.Output[Connection]:
        """Known once everything in `ready` is."""
        found = self.driver.endpoints(self.asked)

        def connect(namespace: str, password: str | None) -> Connection:
            def addresses(hosts: list[str]) -> list[str]:
                return [host.replace(":", f".{namespace}.svc:") for host in hosts]

            connection: Connection = {
                "engine": self.asked.server.engine.value,
                "mode": self.mode.value,
                "host": f"{found.host}.{namespace}.svc",
                "port": PORT,
                "tls": False,
                "provider": "kubernetes",
            }
            if found.nodes:
                connection["nodes"] = addresses(found.nodes)
            if found.reader_host:
                connection |= {"reader_host": f"{found.reader_host}.{namespace}.svc", "reader_port": PORT}
            if found.sentinels:
                connection |= {"sentinels": addresses(found.sentinels), "master_name": found.master_name}
            if password is not None:
                connection["password"] = password
            if self.asked.server.purpose:
                connection["purpose"] = self.asked.server.purpose.value
            return connection

        return when_ready(connect, self.asked.server.engine.value, [self.namespace, password], ready)


_DRIVERS = {Operator.OT: ot_operator, Operator.VALKEY: valkey_operator}


def _read(name: str, args: RedisOperatorClusterArgs) -> _Plan:
    arguments = Arguments("RedisOperatorCluster", name, NAME_MAXIMUM, args, RedisOperatorClusterArgs)
    operator = arguments.choice("operator", Operator.OT)
    mode = arguments.choice("mode", OperatorMode.CLUSTER)
    sentinel = mode is OperatorMode.SENTINEL
    server = read_operated_server(arguments, operator)
    shards, sentinels = arguments.whole("shards", 3, 3, 100), arguments.whole("sentinels", 3, 3, 9)
    replicas = arguments.whole("replicas", 2 if sentinel else 1, 1 if sentinel else 0, 5)
    config = redis_conf.render(server, read_backlog_and_least(arguments, server, replicas, to_write=0, maximum=5))
    if operator is Operator.OT:
        config = ot_operator.config(config)
    asked = Asked(
        name=name,
        server=server,
        image=read_image(arguments, "image", _DRIVERS[operator].DEFAULT_IMAGE),
        config=config,
        config_map=config_name(name, {ot_operator.CONFIG_KEY: config}),
        shards=0 if sentinel else shards,
        replicas=replicas,
        sentinels=sentinels if sentinel else 0,
        sentinel_image=read_image(arguments, "sentinel_image", ot_operator.DEFAULT_SENTINEL_IMAGE),
        # None is only for caches without persistence, which are refused.
        storage=cast(Storage, read_storage(arguments, server)),
        storage_size="",
        storage_class=args.get("storage_class"),
        secret_name="",
        secret_key="",
        placement=read_placement(arguments),
        priority_class_name=args.get("priority_class_name"),
        evictable=arguments.flag("evictable", True),
    )
    plan = _Plan(
        operator=operator,
        mode=mode,
        namespace=arguments.name("namespace", "default"),
        asked=asked,
        secret=read_existing_secret(arguments),
        await_ready=arguments.flag("await_ready", True),
        labels=arguments.labels("labels"),
    )
    refuse_unsupported(arguments, operator, mode, sentinels, plan.labels)
    arguments.finish()
    return plan
