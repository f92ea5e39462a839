"""What ElastiCache asks AWS for, and how it says its caches are reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from clouds.emulator import aws_models
from pulumi_caches.aws import AwsNetwork, ElastiCache, ElastiCacheArgs
from pulumi_caches.aws.elasticache import MAPPING
from pulumi_caches.aws.options import MEMCACHED, REDIS, VALKEY
from pulumi_caches.aws.sizes import node_type_for, node_types, regions, usable_gib
from pulumi_caches.managed import ManagedArgs
from unit import mocks

import stacks

CHECKOUT = Path(__file__).parents[2]
GIVEN: dict[str, Any] = {"region": "us-east-1", "aws_subnet_ids": ["subnet-1", "subnet-2"]}
ANSWER = {
    "primaryEndpointAddress": "cache.aws.example",
    "readerEndpointAddress": "cache-ro.aws.example",
    "configurationEndpointAddress": "cluster.aws.example",
    "endpoints": [{"address": "serverless.aws.example", "port": 6379}],
    "cacheNodes": [{"address": "one.aws.example", "port": 11211}, {"address": "two.aws.example", "port": 11211}],
}


def made(answers: dict[str, Any] | None = None, **args: Any) -> tuple[mocks.Registered, dict[str, Any]]:
    """What was registered for an ElastiCache, and its connection; `answers` are of what is only read."""
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = ElastiCache("cache", {**GIVEN, **args})  # type: ignore[typeddict-item] # the arguments of a case
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    registered = mocks.run(program, answers={"cache": ANSWER, **(answers or {})})
    return registered, found[0]


def test_by_default_two_nodes_in_two_zones_speak_tls_and_take_logins_of_iam() -> None:
    registered, connection = made()
    group = registered.only("ReplicationGroup")
    assert (group["engine"], group["engineVersion"], group["nodeType"]) == ("valkey", "9.1", "cache.t4g.small")
    assert (group["numCacheClusters"], group["automaticFailoverEnabled"], group["multiAzEnabled"]) == (2, True, True)
    assert (group["transitEncryptionEnabled"], group["transitEncryptionMode"], group["atRestEncryptionEnabled"]) == (True, "required", True)
    assert (group["snapshotRetentionLimit"], group["snapshotWindow"], group["finalSnapshotIdentifier"]) == (7, "03:00-04:00", "cache-final")
    assert group["maintenanceWindow"] == "sun:05:00-sun:06:00"
    assert {each["logType"] for each in group["logDeliveryConfigurations"]} == {"slow-log", "engine-log"}
    user = registered.only("User")
    assert user["userId"] == user["userName"] == "cache"
    assert user["authenticationMode"] == {"type": "iam"}
    assert len(registered.named("MetricAlarm")) == 6
    assert connection == {
        "engine": "valkey",
        "mode": "standalone",
        "host": "cache.aws.example",
        "port": 6379,
        "reader_host": "cache-ro.aws.example",
        "reader_port": 6379,
        "tls": True,
        "auth": "iam",
        "cache_name": "cache",
        "username": "cache",
        "provider": "aws",
        "region": "us-east-1",
    }


def test_several_shards_are_a_cluster_with_settings_of_one() -> None:
    registered, connection = made(shards=3, aws_durability="sync")
    group = registered.only("ReplicationGroup")
    assert (group["numNodeGroups"], group["replicasPerNodeGroup"], group["clusterMode"], group["durability"]) == (3, 1, "enabled", "sync")
    settings = registered.only("ParameterGroup")
    assert settings["family"] == "valkey9"
    assert {"name": "cluster-enabled", "value": "yes"} in settings["parameters"]
    assert (connection["mode"], connection["host"]) == ("cluster", "cluster.aws.example")


def test_a_group_for_redis_has_a_default_user_who_may_nothing() -> None:
    registered, connection = made(engine="redis", auth="password")
    users = registered.named("User")
    assert users["cache-default"]["accessString"] == "off ~* -@all"
    assert users["cache"]["authenticationMode"]["passwords"] == [connection["password"]]


def test_while_a_password_is_rotated_the_old_one_is_valid_too() -> None:
    registered, connection = made(auth="password", password_version=3)
    assert set(registered.named("Stash")) == {"cache-password-2", "cache-password-3"}
    [_, newest] = registered.only("User")["authenticationMode"]["passwords"]
    assert connection["password"] == newest


VERSIONS = "aws:secretsmanager/getSecretVersions:getSecretVersions"
VERSION = "aws:secretsmanager/getSecretVersion:getSecretVersion"


def of_secrets_manager(text: str, *stages: str) -> dict[str, Any]:
    """What Secrets Manager answers of a secret whose versions all have one text."""
    versions = [{"versionId": stage, "versionStages": [stage], "createdTime": "", "lastAccessedDate": ""} for stage in stages]
    return {VERSIONS: {"versions": versions}, VERSION: {"secretString": text}}


@pytest.mark.parametrize("text", ["a-password-of-the-shop", '{"username": "shop", "password": "a-password-of-the-shop"}'])
def test_a_password_of_secrets_manager_is_read_alone_or_from_json(text: str) -> None:
    answers = of_secrets_manager(text, "AWSCURRENT", "AWSPREVIOUS")
    registered, connection = made(answers, auth="password", aws_password_secret="shop/carts")
    assert connection["password"] == "a-password-of-the-shop"
    # Given twice, AWS would refuse it.
    assert registered.only("User")["authenticationMode"]["passwords"] == ["a-password-of-the-shop"]
    assert registered.named("Stash") == {}


@pytest.mark.parametrize(
    ("answers", "lengths"),
    [
        (of_secrets_manager("short", "AWSCURRENT"), "its versions have 5"),
        (of_secrets_manager("p" * 129, "AWSCURRENT"), "its versions have 129"),
        (of_secrets_manager('{"pass": "a-password-of-the-shop"}', "AWSCURRENT"), "its versions have 0"),
        (of_secrets_manager("a-password-of-the-shop"), "its versions have none"),
    ],
)
def test_a_secret_that_has_no_password_is_refused_without_its_text(answers: dict[str, Any], lengths: str) -> None:
    with pytest.raises(Exception, match="aws_password_secret: must be a password of 16 to 128 characters") as raised:
        made(answers, auth="password", aws_password_secret="shop/carts")
    assert lengths in str(raised.value)
    assert "a-password" not in str(raised.value)


def test_secrets_manager_keeps_the_connection_when_it_is_asked_to() -> None:
    registered, connection = made(auth="password", aws_connection_secret=True)
    assert registered.only("Secret")["name"] == "cache-connection"
    assert json.loads(registered.only("SecretVersion")["secretString"]) == connection
    assert made(auth="password")[0].named("Secret") == {}


def test_a_serverless_cache_has_a_limit_instead_of_nodes() -> None:
    registered, connection = made(aws_serverless=True, memory_gib=4.5)
    assert registered.only("ServerlessCache")["cacheUsageLimits"] == {"dataStorage": {"maximum": 5, "unit": "GB"}}
    assert (connection["mode"], connection["host"], connection["serverless"]) == ("cluster", "serverless.aws.example", True)


def test_memcached_has_nodes_and_no_logins() -> None:
    registered, connection = made(engine="memcached", shards=2)
    cluster = registered.only("Cluster")
    assert (cluster["numCacheNodes"], cluster["azMode"], cluster["transitEncryptionEnabled"]) == (2, "cross-az", True)
    assert connection["nodes"] == ["one.aws.example:11211", "two.aws.example:11211"]
    assert (connection["mode"], connection["auth"]) == ("sharded", "none")


def test_a_secondary_has_nothing_of_its_own_that_is_its_primarys() -> None:
    registered, _ = made(aws_primary="global-1")
    group = registered.only("ReplicationGroup")
    assert group["globalReplicationGroupId"] == "global-1"
    assert not {"nodeType", "engine", "engineVersion", "numNodeGroups", "parameterGroupName"} & group.keys()


def test_a_global_datastore_has_its_members_size_and_version() -> None:
    registered, _ = made(aws_global_datastore=True, aws_node_type="cache.m7g.large", engine_version="8.1", shards=3)
    datastore = registered.only("GlobalReplicationGroup")
    assert {key: datastore[key] for key in ("cacheNodeType", "engine", "engineVersion", "numNodeGroups")} == {
        **{"cacheNodeType": "cache.m7g.large", "engine": "valkey", "engineVersion": "8.1", "numNodeGroups": 3}
    }
    ignored = {request.name: list(request.ignoreChanges) for request in registered.requests if request.ignoreChanges}
    assert ignored == {
        "cache": ["nodeType", "engineVersion", "numNodeGroups", "parameterGroupName"],
        "cache-global": ["primaryReplicationGroupId"],
    }


def test_a_network_has_subnets_in_zones_and_lets_in_its_own_addresses_only() -> None:
    answers = {"aws:index/getAvailabilityZones:getAvailabilityZones": {"names": ["us-east-1a", "us-east-1c"]}}
    registered = mocks.run(lambda: AwsNetwork("shop", {"region": "us-east-1"}), answers=answers)
    assert [each["availabilityZone"] for each in registered.named("Subnet").values()] == ["us-east-1a", "us-east-1c"]
    group = registered.only("SecurityGroup")
    assert {cidr for rule in group["ingress"] for cidr in rule["cidrBlocks"]} == {"10.30.0.0/16"}
    assert "egress" not in group


@pytest.mark.parametrize(
    ("memory_gib", "burstable", "chosen"),
    [(0.3, True, "cache.t4g.micro"), (1, True, "cache.t4g.small"), (2, False, "cache.m7g.large"), (9, True, "cache.m7g.xlarge")],
)
def test_the_smallest_node_with_a_quarter_left_free_is_chosen(memory_gib: float, burstable: bool, chosen: str) -> None:
    assert node_type_for(memory_gib, "us-east-1", burstable=burstable) == chosen
    assert (usable_gib(chosen) or 0) >= memory_gib


@pytest.mark.parametrize("region", list(regions()))
def test_a_region_has_the_nodes_that_the_api_says(region: str) -> None:
    old = ("cache.m4.", "cache.r4.", "cache.t2.")
    assert sorted(node_types(region)) == sorted(each for each in aws_models.node_types(region) if not each.startswith(old))


def test_versions_are_some_that_the_api_has() -> None:
    for service, engine in ((VALKEY, "valkey"), (REDIS, "redis"), (MEMCACHED, "memcached")):
        assert set(service.versions) <= set(aws_models.versions(engine))


def test_the_page_has_every_argument_and_what_aws_calls_it() -> None:
    page = (CHECKOUT / "docs" / "elasticache.md").read_text()
    for key, names in MAPPING.items():
        assert f"| `{key}` | {' | '.join(names)} |" in page
    for key in {**ManagedArgs.__annotations__, **ElastiCacheArgs.__annotations__}:
        assert f"`{key}`" in page, key


def test_the_stack_that_comes_with_the_project_makes_what_its_page_says() -> None:
    config = {
        key.removeprefix("caches:"): value for key, value in yaml.safe_load((CHECKOUT / "Pulumi.aws.yaml").read_text())["config"].items()
    }
    zones = {"aws:index/getAvailabilityZones:getAvailabilityZones": {"names": ["us-east-1a", "us-east-1b"]}}
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    registered = mocks.run(lambda: stacks.deploy("aws"), config=given, answers=zones)
    groups = registered.named("ReplicationGroup")
    assert {name: group["nodeType"] for name, group in groups.items()} == {"sessions": "cache.t4g.small", "catalogue": "cache.t4g.medium"}
    assert groups["sessions"]["securityGroupIds"] == ["caches-caches-id"]


def test_a_stack_names_a_primary_that_there_is() -> None:
    wanted = {"copy": {**GIVEN, "aws_primary": "cach"}, "cache": {**GIVEN, "aws_global_datastore": True}}
    with pytest.raises(pulumi.RunError, match="aws_primary = 'cach': there is no such cache; did you mean 'cache'"):
        mocks.run(lambda: stacks.deploy("aws"), config={"topology": "aws", "elasticache": json.dumps(wanted)})
