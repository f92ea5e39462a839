"""The components as programs in other languages see them: their schema, and how their values arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden
import pulumi
import pytest
from pulumi_caches.provider import COMPONENTS, CachesProvider
from unit import mocks

PROVIDER = CachesProvider(COMPONENTS)
SCHEMA: dict[str, Any] = json.loads(PROVIDER.schema or "")


def construct(**inputs: Any) -> mocks.Registered:
    """What a request from another language registers."""
    return mocks.run(lambda: PROVIDER.construct("cache", "caches:index:RedisStatefulSet", inputs).urn)


def test_schema_is_the_reviewed_one() -> None:
    golden.check(Path(__file__).parent / "golden" / "schema.json", json.dumps(SCHEMA, indent=2) + "\n")


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    for token, resource in SCHEMA["resources"].items():
        for kind in ("inputProperties", "properties"):
            yield from ((f"{token} {kind} {name}", property_) for name, property_ in resource[kind].items())
    for token, definition in SCHEMA["types"].items():
        yield from ((f"{token} {name}", property_) for name, property_ in (definition.get("properties") or {}).items())


@pytest.mark.parametrize(("name", "property_"), list(properties()))
def test_every_argument_and_output_is_described(name: str, property_: dict[str, Any]) -> None:
    assert property_["description"], name


def test_descriptions_name_arguments_as_the_schema_does() -> None:
    described = SCHEMA["resources"]["caches:index:RedisStatefulSet"]["inputProperties"]["maxmemoryMib"]["description"]
    assert "75 % of memoryGib" in described


def test_names_and_whole_numbers_arrive_as_in_python() -> None:
    inputs = {"memoryGib": 2.0, "replicas": 3.0, "maxClients": 500.0, "passwordVersion": 2.0, "nodeSelector": {"disk_type": "fast"}}
    registered = construct(**inputs)
    assert registered.named("StatefulSet")["cache-replica"]["spec"]["replicas"] == 3
    pod = registered.named("StatefulSet")["cache"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "2048Mi"}
    assert pod["nodeSelector"] == {"disk_type": "fast"}, "the keys of a mapping are the person's, not names of arguments"
    assert "maxclients 500" in registered.only("ConfigMap")["data"]["server.conf"].splitlines()
    assert "cache-password-2" in registered.named("Stash")


def test_enums_and_lists_of_mappings_arrive() -> None:
    registered = construct(persistence="aof+rdb", nodeSpread="required", tolerations=[{"key": "caches", "operator": "Exists"}])
    assert 'save ""' not in registered.only("ConfigMap")["data"]["server.conf"]
    pod = registered.only("StatefulSet")["spec"]["template"]["spec"]
    assert "requiredDuringSchedulingIgnoredDuringExecution" in pod["affinity"]["podAntiAffinity"]
    assert pod["tolerations"] == [{"key": "caches", "operator": "Exists"}]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_connection_arrives_as_in_python_whenever_it_is_known(wrapped: bool) -> None:
    given = {"engine": "redis", "host": "cache", "readerHost": "reader", "tls": False, "provider": "kubernetes", "password": "secret"}
    given |= {"mode": "standalone", "port": 6379.0}

    def program() -> Any:
        connection = pulumi.Output.from_input(given) if wrapped else given
        return PROVIDER.construct("cache", "caches:index:CacheBackup", {"bucket": "s3://backups", "connection": connection}).urn

    [connection] = mocks.run(program).only("Secret")["stringData"].values()
    assert json.loads(connection)["reader_host"] == "reader"
    assert json.loads(connection)["port"] == 6379


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"memoryGib": 0.01}, "memoryGib = 0.01: must be from 0.0625 to 1024"),
        ({"memoryGiB": 1.0}, "memoryGiB: there is no such argument; did you mean 'memoryGib'?"),
        ({"maxmemoryPolicy": "lru"}, "maxmemoryPolicy = 'lru': must be one of noeviction, allkeys-lru"),
        ({"replicas": 2.5}, "replicas = 2.5: must be a whole number"),
        ({"ioThreads": 0.0}, "ioThreads = 0: must be from 1 to 128"),
        ({"minReplicasToWrite": 1.0}, "minReplicasToWrite = 1: there are only 0 replicas"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_schema(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        construct(**inputs)
    assert message in refused.value.message


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        construct(memoryGib=0.01, engine="valky", replica=2.0)
    assert refused.value.message.count("\n  * ") == 3


def test_a_mistake_in_a_component_keeps_its_stack_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("pulumi_caches.kubernetes.redis_stateful_set._read", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        construct()
