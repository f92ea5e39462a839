"""CacheBackup: backups of a Redis or Valkey cache on a schedule, verified when they are made and again by drills."""

import json
import re
from dataclasses import dataclass
from typing import Any, NotRequired

import pulumi
import pulumi_kubernetes as k8s

from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.connection import Connection, host_of, read_connection
from pulumi_caches.kubernetes import labels, pod
from pulumi_caches.kubernetes.backup_bucket import BackupBucketArgs, Bucket, read_bucket
from pulumi_caches.kubernetes.credentials import KEY_PATTERN, KEY_RULE, from_secret
from pulumi_caches.kubernetes.monitored import BACKUP_PORT
from pulumi_caches.kubernetes.schedule import read_schedule
from pulumi_caches.kubernetes.scrape import scrape_annotations
from pulumi_caches.kubernetes.server import MIB_PER_GIB, RUNTIME_IMAGE, read_image

# The longest derived name is that of the CronJob `NAME-backup-restore`: 52 characters, 15 of them added.
NAME_MAXIMUM = 37
_APPLICATION = "cache-backup"
_CONNECTION_FILE = "connection.json"
_WORK = {"name": "work", "mount_path": "/work"}
# The code that `caches backup` ends with when another attempt would end in the same way.
_REFUSED = 3
# A start that was missed by more, by a cluster that was down, is left to the next one.
_LATE_SECONDS = 600
_TIME_ZONE = re.compile(r"[A-Za-z]+([-/_+][A-Za-z0-9]+)*")
_BACKUP_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class CacheBackupArgs(BackupBucketArgs):
    """Arguments of CacheBackup. `connection` and `bucket` are required."""

    connection: pulumi.Input[Connection]
    """The cache: what its component exports as `connection`. Needed."""
    namespace: NotRequired[pulumi.Input[str]]
    """Namespace to make everything in; must exist. Default: default."""
    schedule: NotRequired[str]
    """When a backup is made: cron's five fields; @hourly, @daily, @weekly, @monthly, @yearly; or never, to restore. Default: @daily."""
    drill_schedule: NotRequired[str]
    """When the newest backup is loaded and checked, in the same way. Default: @weekly."""
    time_zone: NotRequired[str]
    """Time zone of the schedules, such as Europe/Berlin. Default: Etc/UTC."""
    keep_count: NotRequired[int]
    """How many backups are kept at most, 1 to 10000. Default: 30."""
    keep_days: NotRequired[float]
    """For how many days they are kept, 0.01 to 36500; the newest for ever. Default: no limit."""
    key_secret_name: NotRequired[pulumi.Input[str]]
    """Secret in the same namespace with a key of age-keygen that backups are encrypted with. Default: none, they are not encrypted."""
    key_secret_key: NotRequired[str]
    """Its key with the AGE-SECRET-KEY-1…. Default: key."""
    memory_gib: NotRequired[float]
    """Memory limit of the Jobs in GiB, at least 0.25: what the cache's data takes, since it is loaded to be checked. Default: 1."""
    timeout_minutes: NotRequired[int]
    """How long a backup, a drill or a restore may take, in minutes, 1 to 10080. Default: 60."""
    restore_backup: NotRequired[str]
    """Which backup `NAME-backup-restore` brings back. Default: the newest."""
    metrics: NotRequired[bool]
    """Whether a pod tells Prometheus what is in the bucket. Default: true; false with a volume, which it may not be able to mount too."""
    runtime_image: NotRequired[pulumi.Input[str]]
    """Image of `caches`, with the servers that backups are checked with, with an exact tag or digest. Default: this version's."""
    image_pull_secrets: NotRequired[list[str]]
    """Names of Secrets for a private registry. Default: none."""
    labels: NotRequired[dict[str, str]]
    """Labels added to every object. Default: none."""
    pod_annotations: NotRequired[dict[str, str]]
    """Annotations added to the pods. Default: none."""


class CacheBackup(pulumi.ComponentResource):
    """
    Backups of a Redis or Valkey cache on a schedule, in a bucket or on a volume, verified when they are made and again by drills.

    Creates, all named after the component: the CronJobs NAME-backup and NAME-backup-drill; the Job NAME-backup-first, which does
    what they do at once, so that a bucket that can't be written fails `pulumi up`; NAME-backup-restore, which never runs by itself,
    and of which `kubectl create job --from` makes a restore; a Secret with the connection; the Deployment NAME-backup-metrics with
    a Service; and a service account where a cloud shall let in one. Each shard of a cluster is a file of its own.
    """

    def __init__(self, name: str, args: CacheBackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ArgumentError, before anything is registered, with everything that is wrong with the arguments."""
        plan = _read(name, args)
        super().__init__("caches:index:CacheBackup", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        connection = k8s.core.v1.Secret(
            f"{name}-backup",
            metadata=plan.metadata(""),
            string_data={_CONNECTION_FILE: pulumi.Output.secret(plan.connection).apply(plan.checked_json)},
            opts=child,
        )
        needed: list[pulumi.Resource] = [connection]
        if plan.bucket.annotations:
            metadata = {**plan.metadata(""), "annotations": plan.bucket.annotations}
            needed.append(
                k8s.core.v1.ServiceAccount(f"{name}-backup", metadata=metadata, automount_service_account_token=False, opts=child)
            )
        after = pulumi.ResourceOptions(parent=self, depends_on=needed)

        # Suspended, a schedule says nothing, but there must be one.
        runs = [("", "make", plan.schedule), ("-drill", "drill", plan.drill_schedule), ("-restore", "restore", "@yearly")]
        for suffix, what, schedule in runs:
            if schedule is not None:
                spec = plan.cron_job_spec(what, schedule, suspended=what == "restore")
                metadata = {**plan.metadata(suffix), "annotations": {labels.CACHE: host_of(plan.connection)}}
                k8s.batch.v1.CronJob(f"{name}-backup{suffix}", metadata=metadata, spec=spec, opts=after)
        if plan.schedule is not None:
            k8s.batch.v1.Job(
                f"{name}-backup-first",
                # What failed is tried again by the next `up`.
                metadata={**plan.metadata("-first"), "annotations": {"pulumi.com/replaceUnready": "true"}},
                spec=plan.first_job_spec(),
                opts=pulumi.ResourceOptions.merge(
                    after, pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=f"{plan.timeout_minutes}m"))
                ),
            )
        if plan.metrics:
            metadata = plan.metadata("-metrics")
            k8s.apps.v1.Deployment(f"{name}-backup-metrics", metadata=metadata, spec=plan.deployment_spec(), opts=after)
            k8s.core.v1.Service(f"{name}-backup-metrics", metadata=plan.service_metadata(), spec=plan.service_spec(), opts=child)
        self.register_outputs({})


@dataclass(frozen=True)
class _Plan:
    """The checked arguments, and the manifests that follow from them."""

    name: str
    connection: pulumi.Input[Connection]
    bucket: Bucket
    namespace: pulumi.Input[str]
    schedule: str | None
    drill_schedule: str | None
    time_zone: str
    keep_count: int
    keep_days: float | None
    key_secret_name: pulumi.Input[str] | None
    key_secret_key: str
    memory_mib: int
    timeout_minutes: int
    restore_backup: str
    metrics: bool
    runtime_image: pulumi.Input[str]
    image_pull_secrets: tuple[str, ...]
    labels: dict[str, str]
    pod_annotations: dict[str, str]

    def metadata(self, suffix: str) -> dict[str, Any]:
        all_labels = labels.all_labels(_APPLICATION, self.name, None, self.labels)
        return {"name": f"{self.name}-backup{suffix}", "namespace": self.namespace, "labels": all_labels}

    def checked_json(self, connection: Connection) -> str:
        """The connection for the Jobs, once it is known."""
        if problem := connection_problem(connection):
            raise ArgumentError(f"CacheBackup {self.name!r} can't be made:\n  * connection: {problem}")
        return json.dumps(connection)

    def first_job_spec(self) -> dict[str, Any]:
        """A backup, and then a drill where there are any."""
        job = self._job_spec("make")
        if self.drill_schedule is not None:
            made, drilled = job["template"]["spec"], self._job_spec("drill")["template"]["spec"]
            [container] = drilled["containers"]
            made |= {"init_containers": made["containers"], "containers": [{**container, "name": "drill"}]}
        return job

    def _job_spec(self, what: str) -> dict[str, Any]:
        spec = self._pod([what, *self._options(what)], self._sources(what))
        [container] = spec["containers"]
        memory = f"{self.memory_mib}Mi"
        container["resources"] = {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"memory": memory}}
        container["volume_mounts"].append(_WORK)
        container["env"] += pod.variables({"TMPDIR": _WORK["mount_path"]})
        # A snapshot takes less than its data did in memory; encrypted there are two.
        spec["volumes"].append({"name": _WORK["name"], "empty_dir": {"size_limit": f"{2 * self.memory_mib}Mi"}})
        return {
            "backoff_limit": 2,
            "active_deadline_seconds": self.timeout_minutes * 60,
            "pod_failure_policy": {
                "rules": [{"action": "FailJob", "on_exit_codes": {"container_name": "backup", "operator": "In", "values": [_REFUSED]}}]
            },
            "template": {"metadata": self._pod_metadata(what), "spec": {**spec, "restart_policy": "Never"}},
        }

    def cron_job_spec(self, what: str, schedule: str, *, suspended: bool) -> dict[str, Any]:
        return {
            "schedule": schedule,
            "time_zone": self.time_zone,
            "suspend": suspended,
            "concurrency_policy": "Forbid",
            "starting_deadline_seconds": _LATE_SECONDS,
            "successful_jobs_history_limit": 1,
            "failed_jobs_history_limit": 3,
            "job_template": {"metadata": {"labels": self.metadata("")["labels"]}, "spec": self._job_spec(what)},
        }

    def deployment_spec(self) -> dict[str, Any]:
        spec = self._pod(["metrics", f"--port={BACKUP_PORT}"], [])
        [container] = spec["containers"]
        container["ports"] = [{"name": "metrics", "container_port": BACKUP_PORT}]
        container["readiness_probe"] = {"http_get": {"path": "/metrics", "port": "metrics"}, "timeout_seconds": 10}
        return {
            "replicas": 1,
            "selector": {"match_labels": metrics_selector(self.name)},
            "template": {"metadata": self._pod_metadata("metrics"), "spec": spec},
        }

    def service_metadata(self) -> dict[str, Any]:
        # The label `cache` becomes one of the series, where Prometheus finds the Service by its annotations.
        own = {**labels.all_labels(_APPLICATION, self.name, "metrics", self.labels), "cache": self.name}
        return {**self.metadata("-metrics"), "labels": own, "annotations": scrape_annotations("metrics", "/metrics", {})}

    def service_spec(self) -> dict[str, Any]:
        return {"selector": metrics_selector(self.name), "ports": [{"name": "metrics", "port": BACKUP_PORT, "target_port": "metrics"}]}

    def _options(self, what: str) -> list[pulumi.Input[str]]:
        files = pod.CREDENTIALS_FOLDER
        options: list[pulumi.Input[str]] = [] if what == "drill" else [f"--connection={files}/{_CONNECTION_FILE}"]
        if self.key_secret_name is not None:
            options.append(f"--key-file={files}/key")
        if what == "make":
            options += [f"--keep-count={self.keep_count}", *([f"--keep-days={self.keep_days:g}"] if self.keep_days else [])]
        if what == "restore" and self.restore_backup:
            options.append(f"--backup={self.restore_backup}")
        return options

    def _sources(self, what: str) -> list[dict[str, Any]]:
        """The files of `_options`."""
        sources = [] if what == "drill" else [from_secret(f"{self.name}-backup", _CONNECTION_FILE, _CONNECTION_FILE)]
        if self.key_secret_name is not None:
            sources.append(from_secret(self.key_secret_name, self.key_secret_key, "key"))
        return sources

    def _pod(self, arguments: list[pulumi.Input[str]], sources: list[dict[str, Any]]) -> dict[str, Any]:
        words: list[pulumi.Input[str]] = ["backup", *arguments, f"--bucket={self.bucket.url()}"]
        spec = pod.runtime_pod("backup", self.runtime_image, words, sources, None, self.image_pull_secrets)
        [container] = spec["containers"]
        container["env"] = pod.variables(dict(self.bucket.settings))
        container["env_from"] = self.bucket.env_from()
        # Who needs no secret gets none.
        container["volume_mounts"] = [*(container["volume_mounts"] if sources else []), *self.bucket.mounts()]
        spec["volumes"] = [*(spec["volumes"] if sources else []), *self.bucket.volumes()]
        return {**spec, "service_account_name": f"{self.name}-backup"} if self.bucket.annotations else spec

    def _pod_metadata(self, what: str) -> dict[str, Any]:
        own = labels.all_labels(_APPLICATION, self.name, what, {**self.labels, **self.bucket.pod_labels()})
        return {"labels": own, "annotations": self.pod_annotations}


def metrics_selector(name: str) -> dict[str, str]:
    """What selects the pod and the Service NAME-backup-metrics."""
    return labels.selector(_APPLICATION, name, "metrics")


def connection_problem(connection: Connection) -> str:
    """Why a cache can't be backed up; empty when it can."""
    if problem := _engine_problem(connection.get("engine")):
        return problem
    if (provider := connection.get("provider")) != "kubernetes":
        return f"a managed service ({provider}) does not let itself be read as by a replica: use its own snapshots"
    if "password" not in connection and connection.get("auth") != "none":
        return "it has no password: have the cache's component read its Secret (existing_secret_read: true)"
    return ""


def _engine_problem(engine: str | None) -> str:
    if engine == "memcached":
        return "memcached has no way to read all that it holds, so there is no backup of it: let clients fill it anew"
    return "" if engine in ("redis", "valkey") else f"engine {engine!r} is neither redis nor valkey: give what a cache's component exports"


def _read(name: str, args: CacheBackupArgs) -> _Plan:
    arguments = Arguments("CacheBackup", name, NAME_MAXIMUM, args, CacheBackupArgs)
    bucket = read_bucket(arguments)
    if arguments.given("key_secret_key") and not arguments.given("key_secret_name"):
        arguments.refuse("key_secret_key", "needs key_secret_name")
    plan = _Plan(
        name=name,
        connection=read_connection(arguments, "connection", connection_problem, _engine_problem),
        bucket=bucket,
        namespace=arguments.name("namespace", "default"),
        schedule=read_schedule(arguments, "schedule", "@daily"),
        drill_schedule=read_schedule(arguments, "drill_schedule", "@weekly"),
        time_zone=arguments.text("time_zone", "Etc/UTC", _TIME_ZONE, "must be a time zone's name, such as Europe/Berlin"),
        keep_count=arguments.whole("keep_count", 30, 1, 10_000, "the newest is always kept"),
        keep_days=arguments.number("keep_days", 1, 0.01, 36_500) if arguments.given("keep_days") else None,
        key_secret_name=args.get("key_secret_name"),
        key_secret_key=arguments.text("key_secret_key", "key", KEY_PATTERN, KEY_RULE),
        memory_mib=int(arguments.number("memory_gib", 1, 0.25, 1024) * MIB_PER_GIB),
        timeout_minutes=arguments.whole("timeout_minutes", 60, 1, 10_080),
        restore_backup=arguments.text("restore_backup", "", _BACKUP_ID, "must be a backup's name, as `caches backup list` shows it"),
        metrics=arguments.flag("metrics", not bucket.is_volume),
        runtime_image=read_image(arguments, "runtime_image", RUNTIME_IMAGE),
        image_pull_secrets=tuple(arguments.texts("image_pull_secrets", [])),
        labels=arguments.labels("labels"),
        pod_annotations=arguments.annotations("pod_annotations"),
    )
    arguments.finish()
    return plan
