"""The stack azure through the real engine, in the emulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from caches_runtime.client.connect import connect
from clouds.emulated import Emulated
from clouds.emulator import entra
from clouds.emulator.azure_network import SUBSCRIPTION
from common.waiting import until

pytestmark = pytest.mark.engine

PERSON = "0a1b2c3d-0000-4000-8000-00000000abcd"
STORAGE = "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=the-account-key"
DATABASE = "azure-native:redisenterprise:Database"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Emulated]:
    stack = Emulated(tmp_path, "azure", ARM_SUBSCRIPTION_ID=SUBSCRIPTION)
    stack.configure(region="eastus")
    yield stack
    stack.end()


@pytest.fixture
def trusting(stack: Emulated, monkeypatch: pytest.MonkeyPatch) -> Emulated:
    """The stack, whose caches' certificates this machine trusts as it does Azure's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(stack.cloud / "authorities.pem"))
    return stack


def connection(stack: Emulated, cache: str = "sessions") -> dict[str, Any]:
    return dict(stack.outputs()["connections"][cache])


def replaced(preview: str) -> bool:
    return "replace" in preview


def test_from_nothing_to_nothing(trusting: Emulated) -> None:
    stack = trusting
    cache: dict[str, Any] = {"memory_gib": 0.3, "auth": "password"}
    stack.configure(network={"shop": {}}, managed_redis={"sessions": cache})
    assert stack.resources() == {}
    first = stack.up().stdout
    known = connection(stack)
    assert {**known, "password": "", "host": ""} == {
        **{"engine": "redis", "mode": "cluster", "host": "", "port": 10000, "password": "", "tls": True},
        **{"provider": "azure", "region": "eastus"},
    }
    assert known["password"] not in first + json.dumps(stack.export())
    client = connect(known)
    for number in range(20):
        client.set(f"key-{number}", number)
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")

    # What Azure changes in place keeps the data.
    stack.configure(managed_redis={"sessions": {**cache, "memory_gib": 2, "maxmemory_policy": "allkeys-lru"}})
    changed = stack.up().stdout
    assert not replaced(changed)
    [machines] = [each for each in stack.resources().values() if each["token"].endswith(":RedisEnterprise")]
    assert machines["outputs"]["sku"] == {"name": "Balanced_B3"}
    assert [client.get(f"key-{number}") for number in range(20)] == [str(number).encode() for number in range(20)]
    client.close()

    # Another region is another cache, and what Azure would refuse half way is refused before.
    stack.configure(managed_redis={"sessions": {**cache, "region": "westus"}})
    assert replaced(stack.preview("--diff").stdout)
    stack.configure(managed_redis={"sessions": {**cache, "high_availability": False}})
    refused = stack.preview(succeeds=False)
    assert "high_availability: True can't become False: Azure can turn it on later, but not off" in refused.stdout + refused.stderr

    stack.destroy()
    assert stack.resources() == {}


PUBLIC: dict[str, Any] = {"auth": "password", "azure_public_access": True}
SESSIONS: dict[str, Any] = {**PUBLIC, "memory_gib": 0.3, "high_availability": False}
CARTS: dict[str, Any] = {**PUBLIC, "azure_cache_tier": "premium", "shards": 2}
MACHINES, CLASSIC = "azure-native:redisenterprise:RedisEnterprise", "azure-native:redis:Redis"
CHANGES: list[tuple[str, dict[str, Any], str, str]] = [
    ("sessions", {"memory_gib": 2}, MACHINES, "update"),
    ("sessions", {"high_availability": True}, MACHINES, "update"),
    ("sessions", {"tags": {"team": "shop"}}, MACHINES, "update"),
    ("sessions", {"persistence": "rdb"}, DATABASE, "update"),
    ("sessions", {"auth": "cloud"}, DATABASE, "update"),
    ("sessions", {"maxmemory_policy": "allkeys-lru"}, DATABASE, "update"),
    ("sessions", {"azure_zones": ["1", "2"], "high_availability": True}, MACHINES, "replace"),
    ("sessions", {"region": "westus"}, MACHINES, "replace"),
    ("carts", {"memory_gib": 10}, CLASSIC, "update"),
    ("carts", {"shards": 3}, CLASSIC, "update"),
    ("carts", {"replicas_per_shard": 2}, CLASSIC, "update"),
    ("carts", {"auth": "cloud"}, CLASSIC, "update"),
    ("carts", {"maxmemory_policy": "allkeys-lru"}, CLASSIC, "update"),
    ("carts", {"azure_zones": ["1", "2"]}, CLASSIC, "replace"),
    ("carts", {"region": "westus"}, CLASSIC, "replace"),
]


def test_what_is_changed_is_changed_or_replaced_as_azure_does(stack: Emulated) -> None:
    asked = {"sessions": SESSIONS, "carts": CARTS}

    def configure(**changed: Any) -> None:
        now = {**asked, **changed}
        stack.configure(managed_redis={"sessions": now["sessions"]}, cache_for_redis={"carts": now["carts"]})

    configure()
    stack.up()
    planned = {}
    for cache, change, token, _ in CHANGES:
        configure(**{cache: {**asked[cache], **change}})
        planned[f"{cache} {change}"] = stack.planned(token)
    assert planned == {f"{cache} {change}": step for cache, change, _, step in CHANGES}


def test_who_logs_in_by_entra_and_a_create_that_fails_half_way(trusting: Emulated) -> None:
    stack = trusting
    stack.configure(managed_redis={"sessions": {"azure_public_access": True, "azure_principals": {"app": PERSON}}})
    stack.fail(DATABASE, "half-made")
    assert "it did not become ready" in stack.up(succeeds=False).stdout
    stack.up()
    known = connection(stack)
    assert (known["auth"], known["cache_name"]) == ("entra", "sessions")

    def logged_in(user: str) -> bool:
        authorities, token = str(stack.cloud / "authorities.pem"), entra.token_for(stack.cloud, user)
        with redis.Redis(known["host"], known["port"], username=user, password=token, ssl=True, ssl_ca_certs=authorities) as client:
            return bool(client.ping())

    assert logged_in(PERSON)
    for stranger in ("default", PERSON.replace("a", "b")):
        with pytest.raises(redis.AuthenticationError):
            logged_in(stranger)

    # A cache that is there already is taken over.
    urns = {each["type"]: each["urn"] for each in stack.export()}
    database = next(each for each in stack.export() if each["type"] == DATABASE)
    assignment = urns["azure-native:redisenterprise:AccessPolicyAssignment"]
    stack.pulumi("state", "delete", assignment, "--yes")
    stack.pulumi("state", "delete", database["urn"], "--yes")
    names = {"cache": urns["caches:index:AzureManagedRedis"], "azure": urns["pulumi:providers:azure-native"]}
    wanted = {"type": DATABASE, "name": "sessions", "id": database["id"], "parent": "cache", "provider": "azure"}
    (stack.folder / "import.json").write_text(json.dumps({"nameTable": names, "resources": [wanted]}))
    stack.pulumi("import", "--file", "import.json", "--yes", "--protect=false", "--generate-code=false")
    assert logged_in(PERSON)
    assert "AccessPolicyAssignment sessions-app create" in stack.preview().stdout


def test_the_older_service_says_that_it_retires(trusting: Emulated) -> None:
    stack = trusting
    cache: dict[str, Any] = {"azure_cache_tier": "premium", "auth": "password", "azure_public_access": True}
    durable = {
        **cache,
        "persistence": "rdb",
        "azure_storage_connection_string": STORAGE,
        "azure_firewall_rules": {"all": "0.0.0.0-0.0.0.1"},
    }
    stack.configure(cache_for_redis={"carts": durable})
    said = stack.preview().stdout
    assert "Azure Cache for Redis retires" in said
    said += stack.up().stdout
    known = connection(stack, "carts")
    client = connect(known)
    client.set("key", "value")
    for secret in ("the-account-key", known["password"]):
        assert secret not in said + json.dumps(stack.export())
    stack.configure(cache_for_redis={"carts": {**cache, "azure_cache_tier": "standard"}})
    assert "azure_cache_tier: 'premium' can't become 'standard'" in stack.preview(succeeds=False).stdout
    client.close()
    stack.configure(cache_for_redis={"carts": durable})
    stack.destroy()
    assert stack.resources() == {}


def test_a_linked_cluster_is_only_read_until_it_is_unlinked(trusting: Emulated) -> None:
    stack = trusting
    member: dict[str, Any] = {"azure_cache_tier": "premium", "auth": "password", "azure_public_access": True, "shards": 2}
    stack.configure(cache_for_redis={"there": {**member, "region": "westus"}})
    stack.up()
    link = {"azure_secondary_id": stack.only("azure-native:redis:Redis")["id"], "azure_secondary_region": "westus"}
    stack.configure(cache_for_redis={"here": {**member, **link}, "there": {**member, "region": "westus"}})
    stack.up()
    here, there = (connect(connection(stack, name)) for name in ("here", "there"))
    here.set("from", "here")
    assert until(lambda: there.get("from") == b"here", 60)
    with pytest.raises(redis.exceptions.NoPermissionError):
        there.set("from", "there")
    stack.configure(cache_for_redis={"here": member, "there": {**member, "region": "westus"}})
    stack.up()
    assert there.get("from") == b"here"
    there.set("from", "there")
    here.close()
    there.close()
    stack.destroy()
    assert stack.resources() == {}


def test_caches_of_a_group_follow_each_other(trusting: Emulated) -> None:
    stack = trusting
    member = {
        "auth": "password",
        "azure_public_access": True,
        "azure_clustering": "EnterpriseCluster",
        "azure_resource_group_name": "all",
    }
    group = {"azure_geo_group": "shop", "azure_geo_members": ["here", "there"]}
    stack.configure(network={"all": {}})
    stack.up()
    stack.configure(managed_redis={"here": {**member, **group}, "there": {**member, **group, "region": "westus"}})
    stack.up()
    known = stack.outputs()["connections"]
    here, there = connect(known["here"]), connect(known["there"])
    here.set("from", "here")
    there.set("back", "there")
    assert until(lambda: (there.get("from"), here.get("back")) == (b"here", b"there"), 60, every=0.1)
    with pytest.raises(redis.ResponseError):
        here.flushall()
    here.close()
    there.close()
    stack.refresh()
    stack.preview("--expect-no-changes")
