"""CacheWarmup: fills a cache before traffic comes, and lets traffic wait for that."""

import json
from dataclasses import dataclass
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.connection import Connection, read_connection
from pulumi_caches.kubernetes import labels, pod
from pulumi_caches.kubernetes.credentials import from_secret
from pulumi_caches.kubernetes.custom_resource import WAIT_FOR
from pulumi_caches.kubernetes.rights import TOKEN_MOUNT, make_rights, token_volume
from pulumi_caches.kubernetes.server import MIB_PER_GIB, RUNTIME_IMAGE, read_image
from pulumi_caches.kubernetes.warmup_source import (
    FROM_FILE,
    WarmupSource,
    WarmupSourceArgs,
    login_problem,
    read_source,
    source_problem,
)

# The longest derived name that Kubernetes limits is the Job's, which is a label too: 63 characters, 7 of them added.
NAME_MAXIMUM = 56
_APPLICATION = "cache-warmup"
_CONNECTION_FILE = "connection.json"
_WORK = {"name": "work", "mount_path": "/work"}
# The codes that `caches warmup` ends with when another attempt would end in the same way.
_USAGE, _REFUSED = 2, 3


class CacheWarmupArgs(WarmupSourceArgs):
    """Arguments of CacheWarmup. `connection`, and `source` or `from_connection`, are required."""

    connection: pulumi.Input[Connection]
    """The cache to fill: what its component exports as `connection`. Needed."""
    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    keys_per_second: NotRequired[float]
    """How many keys to write at most in a second, 0.01 to 10000000. Default: no limit."""
    jitter: NotRequired[float]
    """Which part of each time to live is taken away at most, at random, 0 to 1: so that not all expires at once. Default: 0.1."""
    default_ttl_seconds: NotRequired[float]
    """How long keys live of which the source says nothing, 0.001 to 3162240000. Default: for ever."""
    overwrite: NotRequired[bool]
    """Whether to replace keys that the cache has. Default: false."""
    bad_maximum: NotRequired[int]
    """How many records may be bad before the warm-up fails, 0 to 1000000000. Default: 100."""
    version: NotRequired[int]
    """Raise it by one to fill the cache once more. Default: 1."""
    wait: NotRequired[bool]
    """Whether `pulumi up`, and so `connection`, waits until the cache is warm; pods can wait in any case. Default: true."""
    timeout_minutes: NotRequired[int]
    """How long it may take, in minutes, 1 to 10080. Default: 60."""
    memory_gib: NotRequired[float]
    """Memory limit of the Job in GiB, 0.125 to 64: several times the largest value. Default: 0.5."""
    runtime_image: NotRequired[pulumi.Input[str]]
    """Image of `caches`, with an exact tag or digest. Default: this version's."""
    image_pull_secrets: NotRequired[list[str]]
    """Names of Secrets for a private registry. Default: none."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object. Default: none."""
    pod_annotations: NotRequired[dict[str, str]]
    """Annotations added to the pod. Default: none."""


class CacheWarmup(pulumi.ComponentResource):
    """
    Fills a cache from a file, a URL, a database or another cache before traffic comes, and lets traffic wait for that.

    Creates, all named NAME-warmup: a Job, which goes on where it was when its pod ends, and runs anew when an argument changes; a
    Secret with the connection; a ConfigMap whose key `warm` is written once the cache is warm, for pods to wait for, and never taken
    away; and a service account that may write it. Keys that the cache has are left alone.
    """

    connection: pulumi.Output[Connection]
    """The cache's connection, known once it is warm (with `wait`): what is given this waits for that. Secret."""
    gate_config_map_name: pulumi.Output[str]
    """ConfigMap whose key `warm` is there once the cache has been warm: a pod that takes a variable from it waits for that."""

    def __init__(self, name: str, args: CacheWarmupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:CacheWarmup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        # What the Job writes into it is not for Pulumi to remove.
        only_made = pulumi.ResourceOptions(parent=self, ignore_changes=["data"])
        gate = k8s.core.v1.ConfigMap(plan.full_name, metadata=plan.metadata(), opts=only_made)
        secret = k8s.core.v1.Secret(plan.full_name, metadata=plan.metadata(), string_data=plan.secret_files(), opts=child)
        rights = make_rights(plan.full_name, plan.metadata(), plan.rules(), child)
        limit = pulumi.CustomTimeouts(create=f"{plan.timeout_minutes}m")
        job = k8s.batch.v1.Job(
            plan.full_name,
            metadata={**plan.metadata(), "annotations": plan.job_annotations()},
            spec=plan.job_spec(),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gate, secret, *rights], custom_timeouts=limit),
        )
        self.connection = pulumi.Output.all(pulumi.Output.secret(plan.connection), job.urn).apply(lambda known: known[0])
        self.gate_config_map_name = gate.metadata["name"]
        self.register_outputs({"connection": self.connection, "gateConfigMapName": self.gate_config_map_name})


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and the manifests that follow from them."""

    name: str
    connection: pulumi.Input[Connection]
    source: WarmupSource
    namespace: pulumi.Input[str]
    keys_per_second: float | None
    jitter: float
    default_ttl_seconds: float | None
    overwrite: bool
    bad_maximum: int
    version: int
    wait: bool
    timeout_minutes: int
    memory_mib: int
    runtime_image: pulumi.Input[str]
    image_pull_secrets: tuple[str, ...]
    labels: dict[str, str]
    pod_annotations: dict[str, str]

    @property
    def full_name(self) -> str:
        return f"{self.name}-warmup"

    def metadata(self) -> dict[str, Any]:
        all_labels = labels.all_labels(_APPLICATION, self.name, None, self.labels)
        return {"name": self.full_name, "namespace": self.namespace, "labels": all_labels}

    def rules(self) -> list[dict[str, Any]]:
        """What the Job's pod may: open the gate."""
        return [{"api_groups": [""], "resources": ["configmaps"], "resource_names": [self.full_name], "verbs": ["patch"]}]

    def secret_files(self) -> dict[str, pulumi.Input[str]]:
        """The connections for the Job, once they are known."""
        files = {_CONNECTION_FILE: pulumi.Output.secret(self.connection).apply(lambda known: self._json("connection", known))}
        if self.source.from_connection is not None:
            other = pulumi.Output.secret(self.source.from_connection)
            files[FROM_FILE] = other.apply(lambda known: self._json("from_connection", known))
        return dict(files)

    def _json(self, key: str, connection: Connection) -> str:
        problem = login_problem(connection) if key == "connection" else source_problem(connection)
        if problem:
            raise ArgumentError(f"CacheWarmup {self.name!r} can't be made:\n  * {key}: {problem}")
        return json.dumps(connection)

    def job_annotations(self) -> dict[str, str]:
        # Not skipAwait: with that the one that it replaces would not be waited for, and be in the way.
        return {"pulumi.com/replaceUnready": "true", **({} if self.wait else {WAIT_FOR: "jsonpath={.metadata.uid}"})}

    def job_spec(self) -> dict[str, Any]:
        return {
            # It can go on after any end of its pod; one that is drained does not count.
            "backoff_limit": 6,
            "active_deadline_seconds": self.timeout_minutes * 60,
            "pod_failure_policy": {
                "rules": [
                    {"action": "Ignore", "on_pod_conditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "on_exit_codes": {"container_name": "warmup", "operator": "In", "values": [_USAGE, _REFUSED]},
                    },
                ]
            },
            "template": {"metadata": self._pod_metadata(), "spec": {**self._pod(), "restart_policy": "Never"}},
        }

    def _pod_metadata(self) -> dict[str, Any]:
        # What is in the Secret is not in the pod's spec, and another cache is to be filled anew.
        caches = {"fills": self.connection, **({"reads": self.source.from_connection} if self.source.from_connection is not None else {})}
        shown = {
            f"pulumi-caches/{key}": pulumi.Output.unsecret(pulumi.Output.from_input(each)).apply(_shown) for key, each in caches.items()
        }
        own = {**shown, "pulumi-caches/version": str(self.version)}
        return {
            "labels": labels.all_labels(_APPLICATION, self.name, "warmup", self.labels),
            "annotations": {**self.pod_annotations, **own},
        }

    def _pod(self) -> dict[str, Any]:
        files = [_CONNECTION_FILE, *([FROM_FILE] if self.source.from_connection is not None else [])]
        sources = [*(from_secret(self.full_name, file, file) for file in files), *self.source.volume_sources()]
        spec = pod.runtime_pod("warmup", self.runtime_image, self._words(), sources, None, self.image_pull_secrets)
        [container] = spec["containers"]
        container["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": f"{self.memory_mib}Mi"}}
        container["env"] = pod.variables({"TMPDIR": _WORK["mount_path"]})
        container["volume_mounts"] = [*container["volume_mounts"], _WORK, TOKEN_MOUNT, *self.source.mounts()]
        work = {"name": _WORK["name"], "empty_dir": {"medium": "Memory", "size_limit": "1Mi"}}
        spec["volumes"] = [*spec["volumes"], work, token_volume(), *self.source.volumes()]
        return {**spec, "service_account_name": self.full_name}

    def _words(self) -> list[pulumi.Input[str]]:
        numbers = {"keys-per-second": self.keys_per_second, "default-ttl": self.default_ttl_seconds}
        return [
            "warmup",
            f"--connection={pod.CREDENTIALS_FOLDER}/{_CONNECTION_FILE}",
            *self.source.options(),
            *(f"--{key}={number:.12g}" for key, number in numbers.items() if number is not None),
            f"--jitter={self.jitter:.12g}",
            f"--bad-maximum={self.bad_maximum}",
            *(["--overwrite"] if self.overwrite else []),
            f"--gate={self.full_name}",
        ]


def _shown(connection: Connection) -> str:
    """What tells one cache from another; not its nodes, whose number may change."""
    # From other languages numbers arrive as floats.
    return f"{connection['engine']} {connection['host']}:{int(connection['port'])}"


def _read(name: str, args: CacheWarmupArgs) -> _Plan:
    arguments = Arguments("CacheWarmup", name, NAME_MAXIMUM, args, CacheWarmupArgs)
    source = read_source(arguments)
    plan = _Plan(
        name=name,
        connection=read_connection(arguments, "connection", login_problem),
        source=source,
        namespace=arguments.name("namespace", "default"),
        keys_per_second=arguments.number("keys_per_second", 1, 0.01, 10_000_000) if arguments.given("keys_per_second") else None,
        jitter=arguments.number("jitter", 0.1, 0, 1, "which part of a time to live to take away at most"),
        default_ttl_seconds=(
            arguments.number("default_ttl_seconds", 1, 0.001, 3_162_240_000, "at most a hundred years")
            if arguments.given("default_ttl_seconds")
            else None
        ),
        overwrite=arguments.flag("overwrite", False),
        bad_maximum=arguments.whole("bad_maximum", 100, 0, 1_000_000_000),
        version=arguments.whole("version", 1, 1, 1_000_000),
        wait=arguments.flag("wait", True),
        timeout_minutes=arguments.whole("timeout_minutes", 60, 1, 10_080),
        memory_mib=int(arguments.number("memory_gib", 0.5, 0.125, 64) * MIB_PER_GIB),
        runtime_image=read_image(arguments, "runtime_image", RUNTIME_IMAGE),
        image_pull_secrets=tuple(arguments.texts("image_pull_secrets", [])),
        labels=arguments.labels("labels"),
        pod_annotations=arguments.annotations("pod_annotations"),
    )
    _refuse_itself(arguments, plan)
    arguments.finish()
    return plan


def _refuse_itself(arguments: Arguments, plan: _Plan) -> None:
    one, other = plan.connection, plan.source.from_connection
    if (
        isinstance(one, dict)
        and isinstance(other, dict)
        and [one.get(key) for key in ("host", "port")] == [other.get(key) for key in ("host", "port")]
    ):
        arguments.refuse("from_connection", "is the cache to fill: name another one", shown=False)
