"""What RedisOperatorCluster registers, and what it refuses."""

from __future__ import annotations

import json
from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime.rpc import is_rpc_secret
from pulumi_caches import ArgumentError
from pulumi_caches.kubernetes import RedisOperatorCluster, RedisOperatorClusterArgs
from pulumi_caches.kubernetes.custom_resource import cores, mebibytes
from unit import mocks
from unit.refusal import refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    # Closed sets and numbers
    ({"operator": "spotahome"}, "operator = 'spotahome': must be one of ot, valkey"),
    ({"mode": "sentinal"}, "mode = 'sentinal': must be one of cluster, sentinel; did you mean 'sentinel'?"),
    ({"shard": 3}, "shard: there is no such argument; did you mean 'shards'?"),
    ({"shards": 2}, "shards = 2: must be from 3 to 100"),
    ({"replicas": 6}, "replicas = 6: must be from 0 to 5"),
    ({"mode": "sentinel", "replicas": 0}, "replicas = 0: must be from 1 to 5"),
    ({"mode": "sentinel", "sentinels": 4}, "sentinels = 4: must be odd"),
    ({"sentinel_image": "redis", "mode": "sentinel"}, "sentinel_image = 'redis': needs an exact tag or a digest, such as quay.io/opstree/"),
    ({"image": "redis:latest"}, "image = 'redis:latest': needs an exact tag or a digest, such as quay.io/opstree/redis:"),
    ({"repl_backlog_mib": 900}, "repl_backlog_mib = 900: must be from 1 to 192"),
    # What a mode has no use for
    ({"mode": "sentinel", "shards": 3}, "shards = 3: needs mode cluster"),
    ({"sentinels": 3}, "sentinels = 3: needs mode sentinel"),
    ({"sentinel_image": "redis:7.0.15"}, "sentinel_image = 'redis:7.0.15': needs mode sentinel"),
    ({"databases": 4}, "databases = 4: a cluster has only database 0"),
    ({"min_replicas_to_write": 2}, "there are only 1 replicas: every write would be refused"),
    # What an operator can't do
    ({"engine": "valkey"}, "engine = 'valkey': operator ot runs redis only"),
    ({"operator": "valkey", "engine": "redis"}, "engine = 'redis': operator valkey runs valkey only"),
    ({"operator": "valkey", "mode": "sentinel"}, "mode = 'sentinel': operator valkey has no sentinels: choose cluster, or operator ot"),
    ({"operator": "valkey", "evictable": False}, "evictable = False: operator valkey always lets a drain evict one pod"),
    ({"persistence": "none"}, "persistence = 'none': a restarted primary would be empty"),
    ({"labels": {"role": "x"}}, "'role' is a label that the operator selects pods by"),
    ({"password_version": 2}, "password_version: there is no such argument"),
    ({"extra_config": ["cluster-announce-ip 10.0.0.1"]}, "cluster-announce-ip can't be set here: the operator sets it"),
    ({"extra_config": ["tls-port 6380"]}, "tls-port can't be set here: the operator sets it"),
    ({"extra_config": ["requirepass x"]}, "requirepass can't be set here"),
    (
        {"operator": "valkey", "extra_config": ["client-output-buffer-limit normal 0 0 0", "client-output-buffer-limit pubsub 0 0 0"]},
        "operator valkey takes one value for each directive",
    ),
    ({"operator": "valkey", "extra_config": ["loglevel"]}, "'loglevel': operator valkey takes one value for each directive"),
    # Groups of arguments are read as elsewhere
    ({"existing_secret_key": "k"}, "needs existing_secret_name"),
    ({"memory_gib": 8, "storage_gib": 4}, "holds less than maxmemory, 6144 MiB"),
    ({"dedicated_nodes": "caches"}, "must be KEY=VALUE"),
    ({"namespace": "My_Space"}, "namespace = 'My_Space': must be lower-case letters"),
]


@pytest.mark.parametrize(("args", "message"), REFUSED, ids=[str(args)[:60] for args, _ in REFUSED])
def test_is_refused_before_anything_is_registered(args: dict[str, Any], message: str) -> None:
    assert message in refused(RedisOperatorCluster, args)


def test_a_name_whose_derived_names_would_be_too_long_is_refused() -> None:
    with pytest.raises(ArgumentError, match="its name has 41 characters, at most 40 are possible"):
        RedisOperatorCluster("c" * 41, {})


def test_every_problem_is_reported_at_once() -> None:
    assert refused(RedisOperatorCluster, {"operator": "valkey", "mode": "sentinel", "shards": 3, "engine": "redis"}).count("\n  * ") == 3


def make(preview: bool = False, answers: dict[str, dict[str, Any]] | None = None, **args: Any) -> mocks.Registered:
    given = cast(RedisOperatorClusterArgs, {"namespace": "shop", **args})
    return mocks.run(lambda: RedisOperatorCluster("cache", given) and None, preview=preview, answers=answers)


def connection(**args: Any) -> dict[str, Any]:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = RedisOperatorCluster("cache", cast(RedisOperatorClusterArgs, {"namespace": "shop", **args}))
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    mocks.run(program)
    connection = dict(found[0])
    connection.pop("password", None)
    return connection


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("args", "kinds"),
    [
        ({}, ["ConfigMap", "RedisCluster"]),
        ({"mode": "sentinel"}, ["ConfigMap", "RedisReplication", "RedisSentinel"]),
        ({"operator": "valkey"}, ["ValkeyCluster"]),
    ],
)
def test_makes_what_the_operator_takes(preview: bool, args: dict[str, Any], kinds: list[str]) -> None:
    registered = make(preview, **args)
    made = [resource.typ.rpartition(":")[2] for resource in registered.resources if resource.typ.startswith("kubernetes:")]
    assert sorted(made) == sorted(["Secret", *kinds])


def test_the_sentinels_are_made_after_the_servers_and_those_after_their_configuration() -> None:
    made = [resource.typ.rpartition(":")[2] for resource in make(mode="sentinel").resources]
    assert made.index("ConfigMap") < made.index("RedisReplication") < made.index("RedisSentinel")


def test_the_generated_password_is_only_in_the_secret() -> None:
    registered = make(mode="sentinel")
    password = registered.only("Secret")["stringData"]["password"]
    for kind in ("RedisReplication", "RedisSentinel", "ConfigMap"):
        assert password not in json.dumps(registered.only(kind))
    [secret] = [resource for resource in registered.resources if resource.name == "cache-auth"]
    assert is_rpc_secret(secret.inputs["stringData"])
    assert registered.only("RedisSentinel")["spec"]["kubernetesConfig"]["redisSecret"] == {"name": "cache-auth", "key": "password"}


def test_an_existing_secret_is_referred_to_and_none_is_made() -> None:
    registered = make(existing_secret_name="mine", existing_secret_key="pw", existing_secret_read=False)
    assert registered.named("Secret") == {}
    assert registered.only("RedisCluster")["spec"]["kubernetesConfig"]["redisSecret"] == {"name": "mine", "key": "pw"}


def test_waits_for_what_the_operator_says_unless_told_not_to() -> None:
    annotation = "pulumi.com/waitFor"
    waiting = make().only("RedisCluster")
    assert waiting["metadata"]["annotations"] == {annotation: "jsonpath={.status.state}=Ready"}
    # The operator would copy it to the pods, and restart them for it.
    assert waiting["spec"]["kubernetesConfig"]["ignoreAnnotations"] == [annotation]
    assert "annotations" not in make(await_ready=False).only("RedisCluster")["metadata"]
    assert make(operator="valkey").only("ValkeyCluster")["metadata"]["annotations"] == {annotation: "condition=Ready"}


def test_changed_configuration_reaches_the_servers_by_another_name() -> None:
    def names(**args: Any) -> tuple[str, str]:
        registered = make(**args)
        leader = registered.only("RedisCluster")["spec"]["redisLeader"]
        return registered.only("ConfigMap")["metadata"]["name"], leader["redisConfig"]["additionalRedisConfig"]

    before, after = names(hz=10), names(hz=20)
    assert before[0] == before[1] != after[0] == after[1]


@pytest.mark.parametrize(("given", "spelled"), [(0.25, "250m"), (1, "1"), (2.5, "2500m"), (16, "16"), (0.07, "70m"), (0.0123, "13m")])
def test_cpu_is_spelled_as_kubernetes_does(given: float, spelled: str) -> None:
    assert cores(given) == spelled


@pytest.mark.parametrize(("given", "spelled"), [(64, "64Mi"), (1024, "1Gi"), (1536, "1536Mi"), (3072, "3Gi"), (16384 * 1024, "16Ti")])
def test_memory_is_spelled_as_kubernetes_does(given: int, spelled: str) -> None:
    assert mebibytes(given) == spelled


def test_the_probe_allows_for_loading_the_data() -> None:
    def failures(memory_gib: float) -> int:
        return int(make(memory_gib=memory_gib).only("RedisCluster")["spec"]["redisLeader"]["livenessProbe"]["failureThreshold"])

    assert failures(0.0625) == 7
    # 49152 MiB at 20 MiB/s, in probes of 10 s, and what it takes to be sure.
    assert failures(64) == 6 + 246


def test_connection_of_a_cluster() -> None:
    assert connection(replicas=2) == {
        "engine": "redis",
        "mode": "cluster",
        "host": "cache-leader.shop.svc",
        "port": 6379,
        "nodes": [
            *(f"cache-leader-{ordinal}.cache-leader-headless.shop.svc:6379" for ordinal in range(3)),
            *(f"cache-follower-{ordinal}.cache-follower-headless.shop.svc:6379" for ordinal in range(6)),
        ],
        "tls": False,
        "provider": "kubernetes",
    }


def test_connection_with_sentinels() -> None:
    assert connection(mode="sentinel") == {
        "engine": "redis",
        "mode": "sentinel",
        "host": "cache-master.shop.svc",
        "port": 6379,
        "reader_host": "cache-replica.shop.svc",
        "reader_port": 6379,
        "nodes": [f"cache-{ordinal}.cache-headless.shop.svc:6379" for ordinal in range(3)],
        "sentinels": [f"cache-sentinel-{ordinal}.cache-sentinel-headless.shop.svc:26379" for ordinal in range(3)],
        "master_name": "mymaster",
        "tls": False,
        "provider": "kubernetes",
    }


def test_connection_of_the_valkey_operator() -> None:
    assert connection(operator="valkey") == {
        "engine": "valkey",
        "mode": "cluster",
        "host": "valkey-cache.shop.svc",
        "port": 6379,
        "tls": False,
        "provider": "kubernetes",
    }


def test_connection_has_the_existing_password_when_it_is_read() -> None:
    found: list[Any] = []

    def program() -> pulumi.Output[None]:
        cache = RedisOperatorCluster("cache", {"namespace": "shop", "existing_secret_name": "mine"})
        return pulumi.Output.unsecret(cache.connection).apply(found.append)

    mocks.run(program, answers={"cache-existing": {"data": {"password": "b3Vycw=="}, "metadata": {"resourceVersion": "1"}}})
    assert found[0]["password"] == "ours"


# Its definitions can't be had as a package, so no API server has seen this: it was compared by hand with api/v1alpha1 of version 0.5.0.
def test_structure_of_what_the_valkey_operator_gets() -> None:
    registered = make(
        operator="valkey",
        shards=4,
        memory_gib=2,
        storage_class="fast",
        storage_retained=False,
        image_pull_secrets=["registry"],
        node_spread="required",
        zone_spread="none",
        priority_class_name="caches",
        node_selector={"disk_type": "fast"},
        persistence="rdb",
        extra_config=["loglevel notice"],
    )
    resource = registered.only("ValkeyCluster")
    spec = resource["spec"]
    config = spec.pop("config")
    assert resource["apiVersion"] == "valkey.io/v1alpha1"
    assert spec == {
        "image": "docker.io/valkey/valkey:9.0.0",
        "imagePullSecrets": [{"name": "registry"}],
        "shards": 4,
        "replicas": 1,
        "resources": {"requests": {"cpu": "250m", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
        "scheduling": {
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"valkey.io/cluster": "cache"}}}
                    ]
                }
            },
            "nodeSelector": {"disk_type": "fast"},
            "priorityClassName": "caches",
        },
        "exporter": {"enabled": False},
        "persistence": {"size": "6Gi", "storageClassName": "fast", "reclaimPolicy": "Delete"},
        "users": [
            {
                "name": "default",
                "enabled": True,
                "passwordSecret": {"name": "cache-auth", "keys": ["password"]},
                "permissions": "~* &* +@all",
            }
        ],
        "containers": [
            {
                "name": "server",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "terminationGracePeriodSeconds": 61,
        "podDisruptionBudget": {"mode": "Cluster"},
        "podSecurityContext": {
            "runAsNonRoot": True,
            "runAsUser": 999,
            "runAsGroup": 999,
            "fsGroup": 999,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    assert config["maxmemory"] == "1536mb"
    assert config["loglevel"] == "notice"
    assert config["save"] == "3600 1 300 100 60 10000"
    assert not {"port", "bind", "protected-mode", "dir"} & config.keys()
