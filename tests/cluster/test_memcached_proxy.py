"""MemcachedShards behind proxies on the real cluster, with items that outlive a restart, while servers restart, go and are added."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cluster.deployed import eventually
from cluster.test_memcached_shards import Shards, call

pytestmark = pytest.mark.cluster

ARGS: dict[str, Any] = {"auth": "none", "proxy": True, "warm_restart": True, "memory_gib": 0.125}
KEYS = [f"user:{number}:profile" for number in range(2000)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """Four shards and their proxies, shared by the tests in the order in which they are here."""
    with Shards(tmp_path_factory.mktemp("proxied"), "proxied").deployed(shards=4, **ARGS) as shards:
        yield shards


def through_proxy(shards: Shards, *commands: str) -> Any:
    connection = shards.connection()
    return call(connection, f"{connection['host']}:{connection['port']}", *commands)


def write(shards: Shards, keys: list[str]) -> set[str]:
    """What the proxy says to writing each key, with its own name as its value."""
    return set(through_proxy(shards, *(f"set {key} 0 0 {len(key)}\r\n{key}" for key in keys)))


def found(shards: Shards) -> set[str]:
    values = through_proxy(shards, *(f"get {key}" for key in KEYS))
    return {key for key, value in zip(KEYS, values, strict=True) if value == key}


def items(shards: Shards) -> list[int]:
    connection = shards.connection()
    return [int(call(connection, node, "stats")[0]["curr_items"]) for node in connection["nodes"]]


def test_one_address_leads_to_every_shard(shards: Shards) -> None:
    connection = shards.connection()
    assert (connection["mode"], connection["host"]) == ("standalone", "cache-proxy.proxied.svc")
    shards.preview("--expect-no-changes")
    assert write(shards, KEYS) == {"STORED"}
    assert found(shards) == set(KEYS)
    counts = items(shards)
    assert sum(counts) == len(KEYS)
    assert min(counts) > len(KEYS) / 4 * 0.8


def test_a_server_that_is_restarted_in_its_pod_keeps_its_items(shards: Shards) -> None:
    pods = shards.pods()
    shards.kubectl("exec", "cache-1", "--", "sh", "-c", "kill 1")

    def restarted() -> bool:
        [status] = shards.get("pod", "cache-1")["status"]["containerStatuses"]
        return bool(status["restartCount"] == 1 and status["ready"])

    eventually(restarted, "its container runs again")
    assert shards.pods() == pods
    eventually(lambda: found(shards) == set(KEYS), "every key is found", 20)


def test_a_deleted_shard_costs_its_own_keys_only_and_the_proxies_find_the_new_pod(shards: Shards) -> None:
    lost = items(shards)[2]
    shards.kubectl("delete", "pod", "cache-2")
    shards.await_ready()
    eventually(lambda: write(shards, KEYS[:50]) == {"STORED"}, "every shard is reached")
    eventually(lambda: len(found(shards)) >= len(KEYS) - lost, "the others' keys are found")
    eventually(lambda: write(shards, KEYS) == {"STORED"}, "every key can be written")


def test_a_fifth_shard_takes_its_part_of_the_keys_and_nothing_else_moves(shards: Shards) -> None:
    pods = shards.pods()
    servers = {name: uid for name, uid in pods.items() if "proxy" not in name}
    assert found(shards) == set(KEYS)
    shards.arguments(shards=5, **ARGS)
    shards.up()
    assert servers.items() <= shards.pods().items(), "no shard restarted"
    eventually(lambda: pods.keys() & shards.pods().keys() == servers.keys(), "the proxies with the list before are gone")
    moved = set(KEYS) - found(shards)
    print(f"{len(moved) / len(KEYS):.2%} of the keys moved")
    assert 0.17 <= len(moved) / len(KEYS) <= 0.21
    assert write(shards, sorted(moved)) == {"STORED"}
    assert items(shards)[4] == len(moved), "none moved between the others"
    # Whichever proxy a connection gets.
    assert all(found(shards) == set(KEYS) for _ in range(5))
