"""Calls of groups and clusters whose masters hang and die under load, with real processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from caches_runtime.client import BudgetSpentError, UncertainError, connect
from caches_runtime.ops.cluster_state import Place
from certificates import certify
from common.waiting import until
from unit.client.both import Connects, fails_in
from unit.client.processes import GROUP, Processes, processes
from unit.cluster_nodes import Nodes, cluster_nodes
from unit.test_cluster_repair import made, rights

SERVERS = (1, 2, 3)
SENTINELS = (11, 12, 13)
BUDGET = 0.5
# Of a machine that does much else. A wait without a bound has no end.
SLACK = 2.0
LOST = (BudgetSpentError, UncertainError)


@pytest.fixture(params=["plain", "tls"])
def group(request: pytest.FixtureRequest) -> Iterator[Processes]:
    certificate = certify("DNS:a.group") if request.param == "tls" else None
    with processes("valkey" if certificate else "redis", certificate) as running:
        begin(running)
        yield running


def begin(running: Processes) -> None:
    """A master, two replicas and three sentinels who know each other."""
    running.serve(1)
    for number in SERVERS[1:]:
        running.serve(number, f"replicaof {running.host(1)} 6379")
    for number in SENTINELS:
        running.watch(number, 1)
    for number in SENTINELS:
        assert until(lambda number=number: _knows_all(running, number), 20, every=0.1)  # type: ignore[misc]


def _knows_all(running: Processes, sentinel: int) -> bool:
    told = running.ask(sentinel, "SENTINEL", "MASTERS")
    known = dict(zip(told[0][::2], told[0][1::2], strict=True))
    return (known["num-slaves"], known["num-other-sentinels"]) == ("2", "2")


def exported(running: Processes) -> dict[str, Any]:
    sentinels = [f"{running.host(number)}:6379" for number in SENTINELS]
    return running.connection(1, mode="sentinel", sentinels=sentinels, master_name=GROUP)


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP])
def test_counting_goes_on_at_the_new_master_and_nothing_is_counted_twice(
    group: Processes, connects: Connects, kind: signal.Signals
) -> None:
    cache = connects(exported(group), budget=1, decode_responses=True)
    assert cache.execute_command("INCR", "number") == 1
    cache.execute_command("WAIT", 2, 900)
    group.signal(1, kind)
    counted, uncertain = 1, 0

    def count() -> bool:
        nonlocal counted, uncertain
        began = time.monotonic()
        try:
            cache.execute_command("INCR", "number")
            counted += 1
            return True
        except UncertainError:
            uncertain += 1
        except BudgetSpentError:
            pass
        finally:
            assert time.monotonic() - began < 1 + SLACK
        return False

    assert until(count, 30, every=0)
    for _ in range(50):
        count()
    assert counted <= int(cache.get("number")) <= counted + uncertain
    assert int(cache.get("number")) > 50


def test_hung_sentinels_leave_the_last_one_time(group: Processes, connects: Connects) -> None:
    for number in SENTINELS[:2]:
        group.signal(number, signal.SIGSTOP)
    assert connects(exported(group), budget=3).incr("number") == 1


def test_replicas_are_read_where_that_is_asked_for(group: Processes, connects: Connects) -> None:
    assert connects(exported(group), reader=True).info("replication")["role"] == "slave"
    assert connects(exported(group)).info("replication")["role"] == "master"


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    certificate = certify("DNS:a.cluster") if request.param else None
    with cluster_nodes("valkey" if certificate else "redis", rights(), certificate) as running:
        made(running)
        yield running


def of_cluster(nodes: Nodes) -> dict[str, Any]:
    addresses = [f"{nodes.hosts.of(Place(shard, 0))}:6379" for shard in range(3)]
    given = {"engine": nodes.programs.engine, "mode": "cluster", "host": nodes.hosts.of(Place(0, 0)), "port": 6379.0, "nodes": addresses}
    given |= {"auth": "none", "tls": nodes.ca_file is not None}
    return {**given, "caPem": nodes.ca_file.read_text()} if nodes.ca_file else given


def test_a_clusters_shards_are_all_reached_and_pipelined(nodes: Nodes, connects: Connects) -> None:
    cache = connects(of_cluster(nodes), decode_responses=True)
    assert [cache.get(f"key{number}") for number in range(100)] == list(map(str, range(100)))
    assert cache.together(*(("INCR", f"new{number}") for number in range(20))) == [1] * 20
    assert connects(of_cluster(nodes), reader=True, decode_responses=True).get("key7") == "7"


@pytest.mark.parametrize("nodes", [False], ids=["plain"], indirect=True)
def test_a_slot_that_moves_to_a_shard_that_is_new_is_followed(nodes: Nodes, connects: Connects) -> None:
    cache = connects(of_cluster(nodes), decode_responses=True)
    assert cache.get("key1") == "1"
    new = Place(3, 0)
    nodes.start(new)
    nodes.ask(Place(0, 0), "CLUSTER", "MEET", nodes.hosts.of(new), "6379")
    with nodes.clients() as client:
        slot, serves = str(client.keyslot("key1")), client.get_node_from_key("key1").host
    [owner] = [place for place in (Place(shard, 0) for shard in range(3)) if nodes.hosts.of(place) == serves]
    own_id, new_id = nodes.ask(owner, "CLUSTER", "MYID"), nodes.ask(new, "CLUSTER", "MYID")
    assert until(lambda: new_id in nodes.ask(owner, "CLUSTER", "NODES") and own_id in nodes.ask(new, "CLUSTER", "NODES"), 20, every=0.1)
    assert until(lambda: "cluster_state:ok" in nodes.ask(new, "CLUSTER", "INFO"), 20, every=0.1)
    nodes.ask(new, "CLUSTER", "SETSLOT", slot, "IMPORTING", own_id)
    nodes.ask(owner, "CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
    # What the owner has not is asked of a node that the client has never heard of.
    cache.set("{key1}new", "there")
    assert cache.get("{key1}new") == "there"
    assert cache.get("key1") == "1"


def test_a_wrong_password_of_a_cluster_is_told_at_once(nodes: Nodes, connects: Connects) -> None:
    with pytest.raises(redis.AuthenticationError):
        connects({**of_cluster(nodes), "username": "system", "password": "the-wrong-one", "auth": None}).get("key1")


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP])
def test_a_shard_that_loses_its_master_serves_on_within_the_budget_of_each_call(
    nodes: Nodes, connects: Connects, kind: signal.Signals
) -> None:
    cache = connects(of_cluster(nodes), budget=1, decode_responses=True)
    with nodes.clients() as client:
        serves = client.get_node_from_key("key1").host
    [lost] = [place for place in (Place(shard, 0) for shard in range(3)) if nodes.hosts.of(place) == serves]
    nodes.signal(lost, kind)

    def read() -> bool:
        began = time.monotonic()
        try:
            return bool(cache.get("key1") == "1")
        except LOST:
            return False
        finally:
            assert time.monotonic() - began < 1 + SLACK

    assert until(read, 40, every=0)


def test_a_thread_that_waits_for_another_to_learn_the_topology_keeps_to_its_budget(nodes: Nodes) -> None:
    cache = connect(of_cluster(nodes), budget=BUDGET)
    assert isinstance(cache, redis.RedisCluster)
    for place in (Place(shard, ordinal) for shard in range(3) for ordinal in range(2)):
        nodes.signal(place, signal.SIGSTOP)
    # As one does whose call has begun later.
    with ThreadPoolExecutor(1) as calling, cache.nodes_manager._initialization_lock:
        assert calling.submit(fails_in, BudgetSpentError, lambda: cache.get("key1")).result(30) < BUDGET + SLACK
