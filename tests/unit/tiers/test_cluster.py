"""The same promise on a cluster, whose masters die and whose slots move, with real processes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from caches_runtime.ops.cluster_state import Place, Wanted
from common.waiting import until
from redis.backoff import NoBackoff
from redis.retry import Retry
from unit.client.test_topologies import of_cluster
from unit.cluster_nodes import Nodes, cluster_nodes
from unit.test_cluster_repair import made, rights
from unit.tiers.tiers import TIMEOUT_SECONDS, Tiers, Writes, tiers

KEYS = [b"checked%d" % number for number in range(6)]


@pytest.fixture
def nodes(engine: str) -> Iterator[Nodes]:
    with cluster_nodes(engine, rights()) as running:
        made(running)
        yield running


@contextmanager
def checked(reader: Tiers, write: Callable[[bytes, int], Any]) -> Iterator[None]:
    """Every read meanwhile; afterwards every key is read from memory again, wherever it is."""
    writes, over = Writes(write, KEYS), threading.Event()
    with ThreadPoolExecutor() as beside:
        checking = beside.submit(writes.keep_checking, reader, over)
        try:
            yield
        finally:
            over.set()
        assert checking.result() >= 200

    def held() -> bool:
        read = {reader.get(key) for key in KEYS}
        return read == {b"%d" % writes.last} and reader.link.up and len(reader.memory.get_many(KEYS)) == len(KEYS)

    assert until(held, 60, every=0.01), reader.link.problem


@pytest.mark.parametrize("engine", ["valkey", pytest.param("redis", marks=pytest.mark.long)])
def test_nothing_older_is_read_while_slots_move_to_a_new_shard(nodes: Nodes) -> None:
    with tiers(of_cluster(nodes), timeout=TIMEOUT_SECONDS) as reader, tiers(of_cluster(nodes)) as writer:
        assert until(lambda: reader.link.up, 30, every=0.01), reader.link.problem
        with checked(reader, writer.client.set):
            nodes.start(*(place for place in Wanted(4, 1).places() if place not in Wanted(3, 1)))
            nodes.repair(4, 1)
        assert len(reader.link._masters.listeners) == 4


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("redis", signal.SIGKILL),
        ("valkey", signal.SIGSTOP),
        pytest.param("redis", signal.SIGSTOP, marks=pytest.mark.long),
        pytest.param("valkey", signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_nothing_older_is_read_when_a_master_is_lost_and_others_are_read_from_memory_meanwhile(nodes: Nodes, kind: signal.Signals) -> None:
    with tiers(of_cluster(nodes), timeout=TIMEOUT_SECONDS, budget=0.3) as reader, nodes.clients() as client:
        assert until(lambda: reader.link.up, 30, every=0.01), reader.link.problem
        lost = client.get_node_from_key("checked0").host
        other = next(key for key in KEYS if client.get_node_from_key(key.decode()).host != lost)
        with checked(reader, Replicated(client).set):
            nodes.signal(next(place for place in Wanted(3, 1).places() if nodes.hosts.of(place) == lost), kind)
            assert until(lambda: not reader.link.covers([b"checked0"]), 30, every=0.001)
            assert until(lambda: bool(reader.link.covers([other])), 30, every=0.001)
            assert until(lambda: reader.link.up, 60, every=0.01), reader.link.problem


class Replicated:
    """Writes that a failover does not lose: acknowledged when a replica has them, where the master has one."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self._nodes: dict[str, redis.Redis] = {}
        self._with_replica = {node.host for node in cluster.get_primaries()}

    def set(self, key: bytes, number: int) -> bool:
        host = self._cluster.get_node_from_key(key.decode()).host
        node = self._nodes.setdefault(host, redis.Redis(host, protocol=2, socket_timeout=0.3, retry=Retry(NoBackoff(), 0)))
        try:
            if host not in self._with_replica:
                return bool(node.set(key, number))
            together: Any = node.pipeline(transaction=False)
            return bool(together.set(key, number).wait(1, 200).execute()[1])
        except redis.RedisError:
            self._cluster.nodes_manager.initialize()
            raise


@pytest.mark.parametrize("engine", ["redis", pytest.param("valkey", marks=pytest.mark.long)])
def test_a_slot_that_is_moving_is_not_read_from_memory_until_it_has_arrived(nodes: Nodes) -> None:
    key = KEYS[0]
    with tiers(of_cluster(nodes)) as reader, nodes.clients() as client:
        reader.set(b"old", key)
        assert until(lambda: reader.get(key) == b"old" and bool(reader.memory.get_many([key])), 30, every=0.001)
        slot = str(client.keyslot(key.decode()))
        places = {nodes.hosts.of(place): place for place in Wanted(3, 1).places()}
        source = places[client.get_node_from_key(key.decode()).host]
        target = next(place for place in (Place(shard, 0) for shard in range(3)) if place != source)
        source_id, target_id = (nodes.ask(place, "CLUSTER", "MYID") for place in (source, target))
        nodes.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        nodes.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        assert until(lambda: not reader.link.covers([key]), 30, every=0.001)
        assert reader.memory.get_many([key]) == {}
        assert reader.link.covers([b"elsewhere%d" % number for number in range(9)])
        assert reader.get(key) == b"old"
        nodes.ask(source, "MIGRATE", nodes.hosts.of(target), "6379", key.decode(), "0", "5000", "AUTH2", "system", "the-system-password")
        client.set(key.decode(), "new")
        assert reader.get(key) == b"new"
        for place in (target, source):
            nodes.ask(place, "CLUSTER", "SETSLOT", slot, "NODE", target_id)
        assert until(lambda: bool(reader.link.covers([key])), 30, every=0.001)
        assert until(lambda: reader.get(key) == b"new" and bool(reader.memory.get_many([key])), 30, every=0.001)
        client.set(key.decode(), "newest")
        assert until(lambda: reader.get(key) == b"newest", 30, every=0.001)
