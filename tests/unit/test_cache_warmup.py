"""CacheWarmup: bad arguments, and what it makes."""

from __future__ import annotations

import gc
import json
from typing import Any

import pulumi
import pytest
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import CacheWarmup, MemcachedShards, RedisStatefulSet
from unit import mocks
from unit.refusal import refused

CONNECTION = {"engine": "redis", "mode": "standalone", "host": "cache.shop.svc", "port": 6379, "provider": "kubernetes", "password": "p"}
OTHER = {**CONNECTION, "host": "other.shop.svc", "password": "q"}
MEMCACHED = {**CONNECTION, "engine": "memcached", "mode": "sharded", "port": 11211}
GIVEN: dict[str, Any] = {"connection": CONNECTION, "source": "https://example.com/warm.csv"}
SOURCE = "must be https://HOST/PATH, configmap://NAME/KEY, pvc://CLAIM/PATH, or secret://NAME/KEY"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"connection": None}, "connection = None: must be what a cache's component exports"),
    ({"source": None}, "one of source and from_connection is needed"),
    ({"from_connection": OTHER}, "one of source and from_connection is needed, and only one"),
    ({"source": "warm.csv"}, SOURCE),
    ({"source": "ftp://example.com/warm.csv"}, SOURCE),
    ({"source": "postgresql://user:password@host/shop"}, SOURCE),
    ({"source": "https://user:password@example.com/warm.csv"}, "a URL with a login or with '?' belongs into one"),
    ({"source": "https://example.com/warm.csv?signature=x"}, "a URL with a login or with '?' belongs into one"),
    ({"source": "pvc://exports/../other/warm.csv"}, SOURCE),
    ({"source": "pvc://Exports/warm.csv"}, SOURCE),
    ({"source": "configmap://warm/a/b.csv"}, "a key has no '/': give configmap://NAME/KEY"),
    ({"source": "https://example.com/warm"}, "nothing says whether it is json or csv"),
    ({"source": "pvc://exports/warm.parquet"}, "nothing says whether it is json or csv"),
    ({"query": "SELECT 1"}, "needs source = secret://NAME/KEY"),
    ({"source": "secret://db/url", "query": "  "}, "query = '  ': must be a query"),
    ({"source": "secret://db/url", "query": "SELECT 1", "format": "csv"}, "format = 'csv': is of a text"),
    ({"source": None, "from_connection": OTHER, "format": "csv"}, "format = 'csv': is of a text"),
    ({"format": "xml"}, "format = 'xml': must be one of json, csv"),
    ({"source": None, "from_connection": CONNECTION}, "from_connection: is the cache to fill"),
    ({"source": None, "from_connection": MEMCACHED}, "from_connection: memcached has no way to read all that it holds"),
    ({"source": None, "from_connection": 5}, "from_connection = 5: must be what a cache's component exports"),
    ({"connection": {**CONNECTION, "engine": "other"}}, "engine 'other' is neither redis, valkey nor memcached"),
    ({"connection": {**CONNECTION, "auth": "iam"}}, "`caches warmup` can't log in with auth iam"),
    ({"connection": {key: CONNECTION[key] for key in CONNECTION if key != "password"}}, "connection: it has no password"),
    ({"jitter": 1.01}, "jitter = 1.01: must be from 0 to 1"),
    ({"jitter": -0.1}, "jitter = -0.1: must be from 0 to 1"),
    ({"keys_per_second": 0}, "keys_per_second = 0: must be from 0.01"),
    ({"keys_per_second": -5}, "keys_per_second = -5: must be from 0.01"),
    ({"default_ttl_seconds": 0}, "default_ttl_seconds = 0: must be from 0.001"),
    ({"bad_maximum": -1}, "bad_maximum = -1: must be from 0"),
    ({"version": 0}, "version = 0: must be from 1"),
    ({"wait": "no"}, "wait = 'no': must be true or false"),
    ({"timeout_minutes": 0}, "timeout_minutes = 0: must be from 1 to 10080"),
    ({"memory_gib": 0.1}, "memory_gib = 0.1: must be from 0.125 to 64"),
    ({"runtime_image": "caches-runtime"}, "runtime_image = 'caches-runtime': needs an exact tag"),
    ({"await": False}, "await: there is no such argument"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args) for args, _ in REFUSED])
def test_what_can_not_work_is_refused(args: dict[str, Any], message: str) -> None:
    problem = refused(CacheWarmup, {**GIVEN, **args})
    assert message in problem
    assert "'password': 'p'" not in problem


def test_a_cache_that_is_no_source_is_refused_once_its_connection_is_known() -> None:
    def program() -> None:
        shards = MemcachedShards("other", {"namespace": "shop"})
        given: Any = {"connection": CONNECTION, "from_connection": shards.connection}
        CacheWarmup("cache", given)

    with pytest.raises(ArgumentError, match="from_connection: memcached has no way"):
        mocks.run(program)
    # What failed with it is logged when it is collected. Python 3.11 parses for that, and must not be parsing just then.
    gc.collect()


def make(**args: Any) -> mocks.Registered:
    given: Any = {"namespace": "shop", **GIVEN, **args}
    return mocks.run(lambda: CacheWarmup("cache", given) and None)


def pod(registered: mocks.Registered) -> Any:
    return registered.only("Job")["spec"]["template"]["spec"]


def words(registered: mocks.Registered) -> list[str]:
    return list(pod(registered)["containers"][0]["command"])


def test_what_it_makes() -> None:
    registered = make()
    kinds = sorted(resource.typ.rpartition(":")[2] for resource in registered.resources if resource.typ.startswith("kubernetes:"))
    assert kinds == ["ConfigMap", "Job", "Role", "RoleBinding", "Secret", "ServiceAccount"]
    assert words(registered) == [
        "caches",
        "warmup",
        "--connection=/etc/cache/credentials/connection.json",
        "--source=https://example.com/warm.csv",
        "--jitter=0.1",
        "--bad-maximum=100",
        "--gate=cache-warmup",
    ]
    assert json.loads(registered.only("Secret")["stringData"]["connection.json"]) == CONNECTION
    assert registered.only("Job")["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    assert "data" not in registered.only("ConfigMap")


def test_its_pod_may_open_the_gate_and_nothing_else() -> None:
    registered = make()
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cache-warmup"], "verbs": ["patch"]}
    assert registered.only("Role")["rules"] == [rule]
    assert registered.only("RoleBinding")["subjects"] == [{"kind": "ServiceAccount", "name": "cache-warmup", "namespace": "shop"}]
    assert registered.only("RoleBinding")["roleRef"]["name"] == "cache-warmup"
    assert pod(registered)["serviceAccountName"] == "cache-warmup"
    assert pod(registered)["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("args", "option", "volume"),
    [
        ({"source": "pvc://exports/a/warm.csv"}, "--source=/source/a/warm.csv", {"claimName": "exports", "readOnly": True}),
        (
            {"source": "configmap://warm/warm.csv"},
            "--source=/source/warm.csv",
            {"name": "warm", "items": [{"key": "warm.csv", "path": "warm.csv"}]},
        ),
        ({"source": "secret://web/url", "format": "csv"}, "--source-file=/etc/cache/credentials/source-url", None),
        ({"source": None, "from_connection": OTHER}, "--from-connection=/etc/cache/credentials/from.json", None),
    ],
)
def test_sources(args: dict[str, Any], option: str, volume: dict[str, Any] | None) -> None:
    registered = make(**args)
    assert option in words(registered)
    found = [value for each in pod(registered)["volumes"] if each["name"] == "source" for key, value in each.items() if key != "name"]
    assert found == ([volume] if volume else [])


def test_a_query_is_what_was_given_whatever_is_in_it() -> None:
    registered = make(source="secret://db/url", query="SELECT '$(KEY)' AS key,\n$1::text AS value")
    assert "--query=SELECT '$$(KEY)' AS key,\n$1::text AS value" in words(registered)
    [credentials] = [each for each in pod(registered)["volumes"] if each["name"] == "credentials"]
    assert {"name": "db", "items": [{"key": "url", "path": "source-url"}], "optional": False} in [
        source["secret"] for source in credentials["projected"]["sources"]
    ]


def test_no_password_is_outside_the_secret() -> None:
    registered = make(source=None, from_connection=OTHER)
    assert json.loads(registered.only("Secret")["stringData"]["from.json"])["password"] == "q"
    others = {kind: registered.named(kind) for kind in ("Job", "ConfigMap", "Role")}
    assert '"p"' not in json.dumps(others)
    assert '"q"' not in json.dumps(others)


def test_another_cache_is_filled_anew_and_one_with_another_node_is_not() -> None:
    def shown(**fields: Any) -> Any:
        return make(connection={**CONNECTION, **fields}).only("Job")["spec"]["template"]["metadata"]["annotations"]

    assert shown()["pulumi-caches/fills"] == "redis cache.shop.svc:6379"
    assert shown(nodes=["a:1"], password="another", port=6379.0) == shown()
    assert shown(host="another") != shown()


def test_all_may_be_chosen() -> None:
    registered = make(
        keys_per_second=500,
        jitter=0,
        default_ttl_seconds=60.5,
        overwrite=True,
        bad_maximum=0,
        version=2,
        wait=False,
        timeout_minutes=5,
        memory_gib=1,
    )
    assert words(registered)[4:] == [
        "--keys-per-second=500",
        "--default-ttl=60.5",
        "--jitter=0",
        "--bad-maximum=0",
        "--overwrite",
        "--gate=cache-warmup",
    ]
    job = registered.only("Job")
    assert job["metadata"]["annotations"]["pulumi.com/waitFor"] == "jsonpath={.metadata.uid}"
    assert job["spec"]["activeDeadlineSeconds"] == 300
    assert job["spec"]["template"]["metadata"]["annotations"]["pulumi-caches/version"] == "2"
    assert pod(registered)["containers"][0]["resources"]["limits"] == {"memory": "1024Mi"}


def test_what_takes_its_connection_waits_for_the_job_and_it_is_secret() -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = RedisStatefulSet("cache", {"namespace": "shop"})
        warm = CacheWarmup("cache", {"namespace": "shop", "connection": cache.connection, "source": "configmap://warm/warm.csv"})
        both = pulumi.Output.all(cache.connection, warm.connection, _is_secret(warm.connection))
        return pulumi.Output.unsecret(both).apply(found.append)

    mocks.run(program)
    [(before, after, secret)] = found
    assert before == after
    assert secret is True


def _is_secret(output: pulumi.Output[Any]) -> pulumi.Output[bool]:
    asked: Any = output.is_secret()
    return pulumi.Output.from_input(asked)
