"""What Memorystore asks Google for, and how it says its caches are reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_caches.gcp import GcpNetwork, Memorystore
from pulumi_caches.gcp.memorystore import MAPPING
from pulumi_caches.gcp.sizes import NODE_TYPES, node_type_for
from unit import mocks
from unit.memorystore_answers import ANSWERS, AUTHORITY

CHECKOUT = Path(__file__).parents[2]
GIVEN: dict[str, Any] = {"region": "europe-west1", "gcp_network": "projects/shop/global/networks/main"}


def made(answer: str, **args: Any) -> tuple[mocks.Registered, dict[str, Any]]:
    """What was registered for a Memorystore, and its connection."""
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = Memorystore("cache", {**GIVEN, **args})  # type: ignore[typeddict-item] # the arguments of a case
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    registered = mocks.run(program, answers={"cache": ANSWERS[answer]})
    return registered, found[0]


def asked(registered: mocks.Registered, *, kind: str) -> Any:
    [found] = [mocks.plain(each.inputs) for each in registered.resources if each.typ == kind]
    return found


def test_by_default_two_nodes_in_two_zones_speak_tls_and_take_logins_of_iam() -> None:
    registered, connection = made("valkey")
    assert asked(registered, kind="gcp:memorystore/instance:Instance") == {
        "instanceId": "cache",
        "location": "europe-west1",
        "mode": "CLUSTER_DISABLED",
        "nodeType": "CUSTOM_PICO",
        "shardCount": 1,
        "replicaCount": 1,
        "zoneDistributionConfig": {"mode": "MULTI_ZONE"},
        "authorizationMode": "IAM_AUTH",
        "transitEncryptionMode": "SERVER_AUTHENTICATION",
        "engineConfigs": {"maxmemory-policy": "noeviction"},
        "persistenceConfig": {"mode": "AOF", "aofConfig": {"appendFsync": "EVERY_SEC"}},
        "automatedBackupConfig": {"retention": "604800s", "fixedFrequencySchedule": {"startTime": {"hours": 3}}},
        "maintenancePolicy": {"weeklyMaintenanceWindows": [{"day": "SUNDAY", "startTime": {"hours": 5}}]},
        "desiredAutoCreatedEndpoints": [{"network": "projects/shop/global/networks/main", "projectId": "shop"}],
        "labels": {},
        "deletionProtectionEnabled": True,
    }
    assert connection == {
        "engine": "valkey",
        "mode": "standalone",
        "host": "10.0.0.2",
        "port": 6379,
        "reader_host": "10.0.0.3",
        "reader_port": 6379,
        "tls": True,
        "ca_pem": f"{AUTHORITY}\n{AUTHORITY}\n",
        "auth": "iam",
        "cache_name": "cache",
        "provider": "gcp",
        "region": "europe-west1",
    }


def test_several_shards_are_a_cluster() -> None:
    registered, connection = made("valkey-cluster", shards=3, memory_gib=4, purpose="cache", engine_version="8.0")
    instance = asked(registered, kind="gcp:memorystore/instance:Instance")
    assert (instance["mode"], instance["nodeType"], instance["engineVersion"]) == ("CLUSTER", "STANDARD_SMALL", "VALKEY_8_0")
    assert "automatedBackupConfig" not in instance
    assert (connection["mode"], connection["host"], connection["purpose"]) == ("cluster", "10.0.0.4", "cache")


def test_a_redis_instance_leaves_a_fifth_free_and_has_a_password() -> None:
    registered, connection = made("redis", engine="redis", memory_gib=4, replicas_per_shard=2, engine_version="7.2")
    instance = asked(registered, kind="gcp:redis/instance:Instance")
    assert instance["memorySizeGb"] == 5
    assert (instance["tier"], instance["replicaCount"], instance["readReplicasMode"]) == ("STANDARD_HA", 2, "READ_REPLICAS_ENABLED")
    assert (instance["authEnabled"], instance["transitEncryptionMode"], instance["redisVersion"]) == (
        True,
        "SERVER_AUTHENTICATION",
        "REDIS_7_2",
    )
    assert instance["persistenceConfig"] == {"persistenceMode": "RDB", "rdbSnapshotPeriod": "ONE_HOUR"}
    assert (connection["host"], connection["port"], connection["reader_host"]) == ("10.0.0.5", 6378, "10.0.0.6")
    assert (connection["password"], connection["ca_pem"]) == ("its-password", f"{AUTHORITY}\n")
    assert "auth" not in connection


def test_a_redis_cluster_is_made_for_redis_with_shards() -> None:
    registered, connection = made("redis-cluster", engine="redis", shards=3)
    cluster = asked(registered, kind="gcp:redis/cluster:Cluster")
    assert (cluster["nodeType"], cluster["authorizationMode"]) == ("REDIS_STANDARD_SMALL", "AUTH_MODE_IAM_AUTH")
    assert cluster["transitEncryptionMode"] == "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION"
    assert cluster["pscConfigs"] == [{"network": "projects/shop/global/networks/main"}]
    assert (connection["engine"], connection["mode"], connection["auth"]) == ("redis", "cluster", "iam")


def test_memcached_has_nodes_no_logins_and_an_end() -> None:
    registered, connection = made("memcached", engine="memcached", shards=2, memory_gib=9, gcp_memcached_cpus=2)
    instance = asked(registered, kind="gcp:memcache/instance:Instance")
    assert (instance["nodeCount"], instance["nodeConfig"]) == (2, {"cpuCount": 2, "memorySizeMb": 10240})
    assert connection["nodes"] == ["10.0.0.7:11211", "10.0.0.8:11211"]
    assert (connection["mode"], connection["tls"], connection["auth"]) == ("sharded", False, "none")


@pytest.mark.parametrize(
    ("args", "config"),
    [
        ({"gcp_replication_role": "primary"}, {"instanceRole": "PRIMARY"}),
        (
            {"gcp_replication_role": "secondary", "gcp_primary": "projects/shop/locations/us-east1/instances/a"},
            {"instanceRole": "SECONDARY", "primaryInstance": {"instance": "projects/shop/locations/us-east1/instances/a"}},
        ),
        (
            {"gcp_replication_role": "primary", "gcp_secondaries": ["b"]},
            {"instanceRole": "PRIMARY", "secondaryInstances": [{"instance": "b"}]},
        ),
        ({"gcp_replication_role": "detached"}, {"instanceRole": "NONE"}),
    ],
)
def test_a_part_in_replication_across_regions(args: dict[str, Any], config: dict[str, Any]) -> None:
    registered, _ = made("valkey", **args)
    assert asked(registered, kind="gcp:memorystore/instance:Instance")["crossInstanceReplicationConfig"] == config


def test_with_subnetworks_the_policy_is_made_first() -> None:
    registered, _ = made("valkey", gcp_subnetworks=["projects/shop/regions/europe-west1/subnetworks/main"])
    policy = asked(registered, kind="gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy")
    assert (policy["serviceClass"], policy["name"], policy["location"]) == ("gcp-memorystore", "cache-connections", "europe-west1")
    names = [each.name for each in registered.resources]
    assert names.index("cache-connections") < names.index("cache", names.index("cache") + 1)


def test_a_network_has_no_way_in_from_outside() -> None:
    registered = mocks.run(lambda: GcpNetwork("shop", {"region": "europe-west1"}))
    assert asked(registered, kind="gcp:compute/network:Network") == {"name": "shop", "autoCreateSubnetworks": False}
    subnetwork = asked(registered, kind="gcp:compute/subnetwork:Subnetwork")
    assert (subnetwork["ipCidrRange"], subnetwork["privateIpGoogleAccess"]) == ("10.20.0.0/20", True)


@pytest.mark.parametrize("memory_gib", [0.1, 1, 1.5, 2.7, 4, 9, 15, 40, 80])
@pytest.mark.parametrize("valkey_only", [True, False])
def test_the_smallest_node_that_holds_it_is_chosen(memory_gib: float, valkey_only: bool) -> None:
    chosen = node_type_for(memory_gib, valkey_only=valkey_only)
    assert chosen
    assert chosen.memory_gib >= memory_gib
    smaller = [each for each in NODE_TYPES.values() if each.chosen and each.writable_gb < chosen.writable_gb]
    assert all(each.memory_gib < memory_gib or (each.valkey_only and not valkey_only) for each in smaller)


def test_the_page_says_what_google_calls_each_argument() -> None:
    page = (CHECKOUT / "docs" / "memorystore.md").read_text()
    for argument, names in MAPPING.items():
        assert f"| `{argument}` | {' | '.join(names)} |" in page


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"region": "us-central1"}, "about 44.97 USD a month"),
        ({"region": "us-central1", "engine": "redis", "memory_gib": 0.8}, "about 46.72 USD a month"),
        ({"region": "europe-west1"}, "not known"),
        ({"region": "us-central1", "engine": "memcached"}, "not known"),
    ],
)
def test_what_it_costs_is_said_where_it_is_known(args: dict[str, Any], words: str) -> None:
    said: list[str] = []
    answer = {"cache": ANSWERS[args.get("engine", "valkey")]}
    mocks.run(lambda: Memorystore("cache", {**GIVEN, **args}).monthly_cost.apply(said.append), answers=answer)  # type: ignore[typeddict-item]
    assert said[0].startswith(words)


@pytest.mark.parametrize(
    ("region", "said"), [("us-centrall1", ["did you mean 'us-central1'?"]), ("europe-west1", []), ("mars-north1", [""])]
)
def test_a_region_that_is_not_known_here_is_only_warned_of(region: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", warned.append)
    made("valkey", region=region)
    assert len(warned) == len(said)
    assert all(each in text and repr(region) in text for each, text in zip(said, warned, strict=True))
