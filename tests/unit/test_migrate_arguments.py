"""The arguments of every component that can take over a server's data, and the Job that comes of them."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi_caches.kubernetes import RedisClusterWithInit, RedisStatefulSet, SentinelGroup
from pulumi_caches.kubernetes.pod import CREDENTIALS_FOLDER
from unit import mocks
from unit.refusal import refused
from unit.wiring import matches

COMPONENTS: list[Any] = [RedisStatefulSet, SentinelGroup, RedisClusterWithInit]
EACH = pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__)
FROM = {"migrate_from": "redis.old.svc:6379"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"migrate_from": "redis.old.svc"},
        "migrate_from = 'redis.old.svc': must be host:port of a running server, such as redis.old.svc:6379",
    ),
    ({"migrate_from": "redis://old:6379"}, "migrate_from = 'redis://old:6379': must be host:port"),
    ({"migrate_from": "user:pw@old:6379"}, "must be host:port"),
    ({"migrate_from": "old:0"}, "must be host:port"),
    ({"migrate_from": "old:65536"}, "a port is at most 65535"),
    ({"migrate_from": 6379}, "migrate_from = 6379: must be host:port"),
    ({"migrate_cut_over": True}, "migrate_cut_over = True: needs migrate_from"),
    ({"migrate_secret_name": "old"}, "migrate_secret_name = 'old': needs migrate_from"),
    ({"migrate_timeout_minutes": 5}, "migrate_timeout_minutes = 5: needs migrate_from"),
    ({**FROM, "migrate_cut_over": "yes"}, "migrate_cut_over = 'yes': must be true or false"),
    ({**FROM, "migrate_tls": "yes"}, "migrate_tls = 'yes': must be true or false"),
    ({**FROM, "migrate_timeout_minutes": 0}, "migrate_timeout_minutes = 0: must be from 1 to 10080"),
    ({**FROM, "migrate_username": "app"}, "migrate_username = 'app': needs migrate_secret_name, where the password is"),
    ({**FROM, "migrate_password_key": "pw"}, "migrate_password_key = 'pw': needs migrate_secret_name"),
    ({**FROM, "migrate_secret_name": "old", "migrate_username": "a b"}, "migrate_username = 'a b': must be a user's name, without spaces"),
    ({**FROM, "migrate_secret_name": "old", "migrate_password_key": "a/b"}, "migrate_password_key = 'a/b': must be a Secret's key"),
    ({**FROM, "runtime_image": "caches-runtime"}, "runtime_image = 'caches-runtime': needs an exact tag or a digest"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args) for args, _ in REFUSED])
def test_what_can_not_work_is_refused(args: dict[str, Any], message: str) -> None:
    assert message in refused(RedisStatefulSet, args)


def job(component: Any, **args: Any) -> Any:
    return make(component, **args).named("Job")["cache-migrate"]


def make(component: Any, **args: Any) -> mocks.Registered:
    return mocks.run(lambda: component("cache", {"namespace": "shop", **args}) and None)


def words(found: Any) -> list[str]:
    return list(found["spec"]["template"]["spec"]["containers"][0]["command"])


@EACH
def test_without_a_source_there_is_no_job(component: Any) -> None:
    assert "cache-migrate" not in make(component).named("Job")


@EACH
def test_a_source_is_copied_by_a_job_that_is_taken_for_a_server_by_nothing(component: Any) -> None:
    registered = make(component, **FROM)
    found = registered.named("Job")["cache-migrate"]
    assert words(found) == [
        "caches",
        "migrate",
        "--source=redis.old.svc:6379",
        f"--source-password-file={CREDENTIALS_FOLDER}/source-password",
        "--target=cache.shop.svc:6379",
        f"--target-password-file={CREDENTIALS_FOLDER}/password",
    ]
    labels = found["spec"]["template"]["metadata"]["labels"]
    selectors = [service["spec"].get("selector") for service in registered.named("Service").values()]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in registered.named("PodDisruptionBudget").values()]
    assert not [selector for selector in selectors if selector and matches(selector, labels)]


@EACH
def test_the_job_waits_for_the_servers_and_the_connection_for_the_job(component: Any) -> None:
    registered = mocks.run(lambda: component("cache", {"namespace": "shop", **FROM}) and None)
    [request] = [item for item in registered.requests if item.name == "cache-migrate"]
    waits = {urn.rpartition("::")[2] for urn in request.dependencies}
    servers = {name for kind in ("StatefulSet", "Job") for name in registered.named(kind)} - {"cache-migrate"}
    assert servers <= waits


def test_it_cuts_over_when_it_is_told_to() -> None:
    assert "--cut-over" not in words(job(SentinelGroup, **FROM, migrate_cut_over=False))
    assert "--cut-over" in words(job(SentinelGroup, **FROM, migrate_cut_over=True))


@EACH
def test_its_pod_has_the_two_passwords_that_it_needs_and_no_other(component: Any) -> None:
    found = job(component, **FROM, migrate_secret_name="old", migrate_password_key="pw", migrate_tls=True)
    [volume] = found["spec"]["template"]["spec"]["volumes"]
    files = [
        (source["secret"]["name"], item["key"], item["path"], source["secret"]["optional"])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    ]
    assert files == [
        ("cache-auth", "password", "password", False),
        ("old", "pw", "source-password", True),
        ("old", "ca.crt", "source-ca.crt", True),
    ]


def test_a_source_that_speaks_tls_and_has_users_is_asked_so() -> None:
    found = words(job(RedisStatefulSet, **FROM, migrate_secret_name="old", migrate_username="app", migrate_tls=True))
    assert {"--source-username=app", "--source-tls", f"--source-ca-file={CREDENTIALS_FOLDER}/source-ca.crt"} <= set(found)


@EACH
def test_a_cache_that_speaks_tls_is_spoken_to_so(component: Any) -> None:
    found = job(component, **FROM, tls_secret_name="mine", tls_secret_read=False)
    assert "--ca-file=/etc/cache/tls/ca.crt" in words(found)
    assert [volume.get("secret", {}).get("secretName") for volume in found["spec"]["template"]["spec"]["volumes"]] == [None, "mine"]


def test_what_ends_a_migration_for_good_is_not_tried_again() -> None:
    [rule] = job(RedisStatefulSet, **FROM)["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]) == ("FailJob", {"containerName": "migrate", "operator": "In", "values": [3, 4]})


def test_the_time_that_it_may_take_is_that_of_the_job() -> None:
    registered = make(RedisStatefulSet, **FROM, migrate_timeout_minutes=90)
    assert registered.only("Job")["spec"]["activeDeadlineSeconds"] == 5400
    [request] = [item for item in registered.requests if item.name == "cache-migrate"]
    assert request.customTimeouts.create == "90m"


def test_a_secrets_name_may_be_an_output() -> None:
    found = job(RedisStatefulSet, **FROM, migrate_secret_name=pulumi.Output.from_input("old"))
    assert found["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"][1]["secret"]["name"] == "old"
