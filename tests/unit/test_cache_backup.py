"""CacheBackup: bad arguments, and what it makes."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import CacheBackup, MemcachedShards, RedisStatefulSet
from pulumi_caches.kubernetes.schedule import schedule_problem
from unit import mocks
from unit.refusal import refused

CONNECTION = {"engine": "redis", "mode": "standalone", "host": "cache.shop.svc", "port": 6379, "provider": "kubernetes", "password": "p"}
GIVEN: dict[str, Any] = {"connection": CONNECTION, "bucket": "s3://backups/cache"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"connection": 1}, "connection = 1: must be what a cache's component exports"),
    ({"bucket": None}, "bucket = None: must be s3://BUCKET/PATH"),
    ({"bucket": "backups"}, "bucket = 'backups': must be s3://BUCKET/PATH"),
    ({"bucket": "file:///tmp"}, "bucket = 'file:///tmp': must be s3://BUCKET/PATH"),
    ({"bucket": "s3://user:password@backups"}, "must be s3://BUCKET/PATH"),
    ({"bucket": "s3://backups/../other"}, "must be s3://BUCKET/PATH"),
    ({"bucket_settings": {"region": "eu"}}, "'region' is no variable"),
    ({"bucket_settings": {"AWS_SECRET_ACCESS_KEY": "x"}}, "AWS_SECRET_ACCESS_KEY is for a secret, which everybody could read here"),
    ({"bucket": "pvc://backups", "credentials_secret_name": "aws"}, "credentials_secret_name = 'aws': a volume needs none"),
    ({"schedule": "hourly"}, "schedule = 'hourly': has 1 fields, and a schedule has 5"),
    ({"schedule": "61 * * * *"}, "schedule = '61 * * * *': '61' is no minute: from 0 to 59"),
    ({"schedule": "@every 1h"}, "schedule = '@every 1h': must be five fields, or one of @yearly"),
    ({"schedule": 5}, "schedule = 5: must be a schedule"),
    ({"drill_schedule": "no"}, "drill_schedule = 'no': has 1 fields"),
    ({"time_zone": "over there"}, "time_zone = 'over there': must be a time zone's name"),
    ({"keep_count": 0}, "keep_count = 0: must be from 1 to 10000: the newest is always kept"),
    ({"keep_days": 0}, "keep_days = 0: must be from 0.01 to 36500"),
    ({"key_secret_key": "k"}, "key_secret_key = 'k': needs key_secret_name"),
    ({"memory_gib": 0.1}, "memory_gib = 0.1: must be from 0.25 to 1024"),
    ({"timeout_minutes": 0}, "timeout_minutes = 0: must be from 1 to 10080"),
    ({"restore_backup": "newest"}, "restore_backup = 'newest': must be a backup's name"),
    ({"runtime_image": "caches-runtime"}, "runtime_image = 'caches-runtime': needs an exact tag"),
    ({"keep": 3}, "keep: there is no such argument; did you mean 'keep_"),
]
CONNECTIONS: list[tuple[dict[str, Any], str]] = [
    ({"engine": "memcached"}, "connection: memcached has no way to read all that it holds"),
    ({"provider": "aws"}, "connection: a managed service (aws)"),
    ({"engine": "other"}, "connection: engine 'other' is neither redis nor valkey"),
    ({"password": None}, "connection: it has no password"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args) for args, _ in REFUSED])
def test_what_can_not_work_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(CacheBackup, {**GIVEN, **args})


@pytest.mark.parametrize(("fields", "message"), CONNECTIONS, ids=[str(fields) for fields, _ in CONNECTIONS])
def test_a_connection_of_which_there_is_no_backup_is_refused(fields: dict[str, Any], message: str) -> None:
    connection = {key: value for key, value in {**CONNECTION, **fields}.items() if value is not None}
    problem = refused(CacheBackup, {**GIVEN, "connection": connection})
    assert message in problem
    assert "'p'" not in problem


def test_memcached_is_refused_before_it_is_first_made() -> None:
    def program() -> None:
        shards = MemcachedShards("cache", {"namespace": "shop"})
        CacheBackup("cache", {"connection": shards.connection, "bucket": "s3://backups/cache"})

    with pytest.raises(ArgumentError, match="memcached has no way"):
        mocks.run(program, preview=True)


def test_memcached_of_another_program_is_refused_once_its_connection_is_known() -> None:
    def program() -> None:
        elsewhere: Any = pulumi.Output.secret({**CONNECTION, "engine": "memcached"})
        CacheBackup("cache", {"connection": elsewhere, "bucket": "s3://backups/cache"})

    with pytest.raises(ArgumentError, match="memcached has no way"):
        mocks.run(program)


@pytest.mark.parametrize(
    "text", ["* * * * *", "*/5 0-6,22 1 jan-mar MON-fri", "0 3 ? * 6", "5/10 * * * *", "@hourly", "17 3 1,15 * *", "  0  0 * * 0 "]
)
def test_a_schedule_that_kubernetes_takes(text: str) -> None:
    assert schedule_problem(text) == ""


@pytest.mark.parametrize(
    "text", ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 7",
             "5-1 * * * *", "*/0 * * * *", "1- * * * *", ",1 * * * *", "* * * feb-jan *", "@reboot", "@every 5m", "x * * * *", "-1 * * * *"]
)  # fmt: skip
def test_a_schedule_that_kubernetes_does_not_take(text: str) -> None:
    assert schedule_problem(text) != ""


def make(**args: Any) -> mocks.Registered:
    given: Any = {"namespace": "shop", **GIVEN, **args}
    return mocks.run(lambda: CacheBackup("cache", given) and None)


def pods(registered: mocks.Registered) -> dict[str, Any]:
    jobs = {name: job["spec"]["jobTemplate"]["spec"]["template"]["spec"] for name, job in registered.named("CronJob").items()}
    return jobs | {name: made["spec"]["template"]["spec"] for name, made in registered.named("Deployment").items()}


def words(pod: Any) -> list[str]:
    return list(pod["containers"][0]["command"])


def test_what_it_makes() -> None:
    registered = make()
    assert set(registered.named("CronJob")) == {"cache-backup", "cache-backup-drill", "cache-backup-restore"}
    job = registered.named("CronJob")["cache-backup"]["spec"]
    assert (job["schedule"], job["timeZone"], job["concurrencyPolicy"], job["suspend"]) == ("@daily", "Etc/UTC", "Forbid", False)
    assert registered.named("CronJob")["cache-backup-restore"]["spec"]["suspend"] is True
    made = pods(registered)
    assert words(made["cache-backup"]) == [
        "caches",
        "backup",
        "make",
        "--connection=/etc/cache/credentials/connection.json",
        "--keep-count=30",
        "--bucket=s3://backups/cache",
    ]
    assert words(made["cache-backup-metrics"])[3:4] == ["--port=9199"]
    service = registered.only("Service")["metadata"]
    assert service["labels"]["cache"] == "cache"
    assert service["annotations"] == {"prometheus.io/scrape": "true", "prometheus.io/port": "9199", "prometheus.io/path": "/metrics"}
    assert json.loads(registered.only("Secret")["stringData"]["connection.json"]) == CONNECTION


def test_the_connection_of_a_cache_is_secret_and_not_known_before_it_is_ready() -> None:
    def program() -> None:
        cache = RedisStatefulSet("cache", {"namespace": "shop"})
        CacheBackup("cache", {"namespace": "shop", "connection": cache.connection, "bucket": "s3://backups/cache"})

    registered = mocks.run(program)
    connection = json.loads(registered.named("Secret")["cache-backup"]["stringData"]["connection.json"])
    assert connection["host"] == "cache.shop.svc"
    [resource] = [each for each in registered.resources if each.name == "cache-backup" and each.typ.endswith(":Secret")]
    assert pulumi.runtime.rpc.is_rpc_secret(resource.inputs["stringData"]) or pulumi.runtime.rpc.is_rpc_secret(
        resource.inputs["stringData"]["connection.json"]
    )


def test_no_secret_is_in_a_pods_spec_and_who_needs_none_gets_none() -> None:
    registered = make(key_secret_name="backup-key", credentials_secret_name="aws", bucket_settings={"AWS_REGION": "eu-west-1"})
    for name, pod in pods(registered).items():
        [container] = pod["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "aws"}}]
        assert {"name": "AWS_REGION", "value": "eu-west-1"} in container["env"]
        assert '"p"' not in json.dumps(pod)
        keyed = "metrics" not in name
        assert ("--key-file=/etc/cache/credentials/key" in words(pod)) is keyed
        assert any(volume["name"] == "credentials" for volume in pod["volumes"]) is keyed
    drill = pods(registered)["cache-backup-drill"]
    [credentials] = [volume for volume in drill["volumes"] if volume["name"] == "credentials"]
    assert [source["secret"]["name"] for source in credentials["projected"]["sources"]] == ["backup-key"]


def test_a_volume_is_mounted_and_not_asked_by_another_pod() -> None:
    made = pods(make(bucket="pvc://backups/cache"))
    assert "cache-backup-metrics" not in made
    pod = made["cache-backup"]
    assert words(pod)[-1] == "--bucket=file:///backups/cache"
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": "backups"}} in pod["volumes"]
    assert {"name": "backups", "mountPath": "/backups"} in pod["containers"][0]["volumeMounts"]


def test_a_service_account_that_a_cloud_lets_in() -> None:
    registered = make(bucket="az://backups/cache", service_account_annotations={"azure.workload.identity/client-id": "id"})
    assert registered.only("ServiceAccount")["metadata"]["annotations"] == {"azure.workload.identity/client-id": "id"}
    for pod in pods(registered).values():
        assert pod["serviceAccountName"] == "cache-backup"
        assert pod["automountServiceAccountToken"] is False
    template = registered.named("CronJob")["cache-backup"]["spec"]["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"


def test_it_may_be_there_only_to_restore() -> None:
    registered = make(schedule="never", drill_schedule="never", metrics=False)
    assert set(registered.named("CronJob")) == {"cache-backup-restore"}


def test_all_may_be_chosen() -> None:
    registered = make(
        schedule="@hourly",
        drill_schedule="never",
        time_zone="Europe/Berlin",
        keep_count=5,
        keep_days=7,
        memory_gib=2,
        timeout_minutes=10,
        restore_backup="20261127T220000Z-0a1b2c3d",
        metrics=False,
    )
    jobs = registered.named("CronJob")
    assert set(jobs) == {"cache-backup", "cache-backup-restore"}
    assert jobs["cache-backup"]["spec"]["schedule"] == "@hourly"
    job = jobs["cache-backup"]["spec"]["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] == 600
    [container] = job["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "2048Mi"}
    assert container["command"][4:6] == ["--keep-count=5", "--keep-days=7"]
    assert {"name": "work", "emptyDir": {"sizeLimit": "4096Mi"}} in job["template"]["spec"]["volumes"]
    assert "--backup=20261127T220000Z-0a1b2c3d" in words(pods(registered)["cache-backup-restore"])
    assert registered.named("Deployment") == {}
