"""Observers tell what changes, and whenever they may have missed something, with real processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from caches_runtime.client import ConnectionRefusedError, connect
from caches_runtime.observers import (
    Change,
    InvalidatesPattern,
    KeyspaceObserver,
    NotInvalidatedError,
    Observer,
    PubSubObserver,
    message,
)
from caches_runtime.ops.cluster_state import Place, Wanted
from caches_runtime.patterns import LoadingCache, Namespace, Strategy
from caches_runtime.patterns.driving import run
from caches_runtime.tiers import AgeLimit, Memory, TieredCache
from common.waiting import until
from unit.client.processes import Processes, processes
from unit.client.relay import relay
from unit.client.test_topologies import begin, exported, of_cluster
from unit.cluster_nodes import Nodes, cluster_nodes
from unit.observers.recording import EVERYTHING, Recording
from unit.test_cluster_repair import made, rights

CHANNEL = "changes"
NOTIFY = "notify-keyspace-events KA\n"
TIMEOUT_SECONDS = 0.5


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Processes]:
    with processes(request.param) as running:
        running.serve(1, NOTIFY)
        yield running


def by_channel(connection: dict[str, Any], target: Any, **options: Any) -> Observer:
    return PubSubObserver(connection, CHANNEL, target, timeout=TIMEOUT_SECONDS, **options)


def by_keyspace(connection: dict[str, Any], target: Any, **options: Any) -> Observer:
    return KeyspaceObserver(connection, target, timeout=TIMEOUT_SECONDS, **options)


Observes = Callable[..., Observer]
BOTH = pytest.mark.parametrize("observes", [by_channel, by_keyspace])


@pytest.mark.parametrize(
    "change",
    [Change(keys=("a", "b")), Change(prefixes=("shop:",), tags=("red",)), EVERYTHING],
)
def test_what_is_published_is_told(server: Processes, change: Change) -> None:
    told = Recording()
    with closing(by_channel(server.connection(1), told)), connect(server.connection(1)) as client:
        assert told.begun()
        assert told.hears(change, lambda: client.publish(CHANNEL, message(change)))


@pytest.mark.parametrize("text", [b"", b"key", b"{}", b'{"keys": [1]}', b'{"keys": ["a"], "more": ["b"]}'])
def test_a_message_that_is_not_understood_means_that_anything_may_have_changed(server: Processes, text: bytes) -> None:
    told = Recording()
    with closing(by_channel(server.connection(1), told)), connect(server.connection(1)) as client:
        assert told.begun()
        assert told.hears(EVERYTHING, lambda: client.publish(CHANNEL, text))


@pytest.mark.parametrize("command", [("SET", "new"), ("DEL",), ("APPEND", "x"), ("PEXPIRE", "1")])
def test_the_server_says_each_key_that_changes(server: Processes, command: tuple[str, ...]) -> None:
    told, (name, *words) = Recording(), command
    server.ask(1, "SET", "a[b]*:key", "old")
    with closing(by_keyspace(server.connection(1), told, prefix="a[b]*:")):
        assert told.begun()
        assert told.hears(Change(keys=(b"a[b]*:key",)), lambda: server.ask(1, name, "a[b]*:key", *words))
        server.ask(1, "SET", "ab:other", "new")
        assert told.hears(Change(keys=(b"a[b]*:last",)), lambda: server.ask(1, "SET", "a[b]*:last", "new"))
        assert Change(keys=(b"ab:other",)) not in told.changes


@BOTH
def test_after_every_gap_anything_may_have_changed(server: Processes, observes: Observes) -> None:
    told = Recording()
    with relay(f"{server.host(1)}:6379") as network:
        host, _, port = network.node.rpartition(":")
        with closing(observes(server.connection(1, host=host, port=int(port)), told)) as observer:
            assert told.begun()
            assert told.hears(EVERYTHING, network.hold_answers), "a connection that hangs"
            assert told.hears(EVERYTHING, lambda: server.ask(1, "CLIENT", "KILL", "TYPE", "pubsub")), "one that is closed"
            server.signal(1, signal.SIGKILL)
            assert until(lambda: not observer.up, 30, every=0.002)
            assert told.hears(EVERYTHING, lambda: server.serve(1, NOTIFY)), "a server that was restarted"
            assert until(lambda: observer.up, 30, every=0.002)


def test_a_target_that_fails_is_told_that_anything_may_have_changed_until_it_does_not(
    server: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    told = Recording()
    with closing(by_keyspace(server.connection(1), told)) as observer:
        assert told.begun()
        told.fails = True
        server.ask(1, "SET", "the-secret-key", "new")
        assert until(lambda: "Recording could not invalidate: RuntimeError" in observer.problem, 30, every=0.002)
        assert not observer.up
        assert told.hears(EVERYTHING, lambda: setattr(told, "fails", False))
        assert until(lambda: observer.up, 30, every=0.002)
    assert "the-secret-key" not in caplog.text


@pytest.mark.parametrize("setting", ["", "KEx", "Egx$e"])
@pytest.mark.parametrize("refused", [False, True])
def test_notifications_that_are_off_are_found_out_and_it_says_what_to_set(server: Processes, setting: str, refused: bool) -> None:
    server.ask(1, "CONFIG", "SET", "notify-keyspace-events", setting)
    server.ask(1, "ACL", "SETUSER", "app", "on", ">secret-of-app", "~shop:*", "&*", "+@all", *(["-config"] if refused else []))
    connection = server.connection(1, username="app", password="secret-of-app")
    told = Recording()
    with closing(by_keyspace(connection, told, prefix="shop:")) as observer:
        assert until(lambda: "notify-keyspace-events" in observer.problem and "'KA'" in observer.problem, 30, every=0.002)
        assert not observer.up
        assert told.changes == []
        server.ask(1, "CONFIG", "SET", "notify-keyspace-events", "KA")
        assert told.begun()
        assert told.hears(Change(keys=(b"shop:key",)), lambda: server.ask(1, "SET", "shop:key", "new"))
        assert server.ask(1, "KEYS", "*probe*") == []


def test_without_the_right_to_find_out_it_says_which_rights(server: Processes) -> None:
    server.ask(1, "ACL", "SETUSER", "app", "on", ">secret-of-app", "~*", "&*", "+@all", "-config", "-set")
    with closing(by_keyspace(server.connection(1, username="app", password="secret-of-app"), Recording())) as observer:
        assert until(lambda: "permit +config|get, or +set and +del" in observer.problem, 30, every=0.002)


@pytest.mark.parametrize("observes", [by_keyspace, pytest.param(by_channel, marks=pytest.mark.long)])
def test_they_follow_a_group_to_its_new_master(observes: Observes) -> None:
    told = Recording()
    with processes("redis") as group:
        begin(group)
        for number in (1, 2, 3):
            group.ask(number, "CONFIG", "SET", "notify-keyspace-events", "KA")
        with closing(observes(exported(group), told)), connect(exported(group), repeat=["SET"]) as client:
            assert told.begun()
            assert told.hears(EVERYTHING, lambda: group.signal(1, signal.SIGKILL))
            if observes is by_keyspace:
                assert told.hears(Change(keys=(b"key",)), lambda: client.set("key", "new"))
            else:
                assert told.hears(Change(keys=("key",)), lambda: client.publish(CHANNEL, message(Change(keys=("key",)))))


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with cluster_nodes("valkey", rights()) as running:
        made(running)
        allow_notifications(running, *Wanted(3, 1).places())
        yield running


def allow_notifications(nodes: Nodes, *places: Place) -> None:
    for place in places:
        nodes.ask(place, "CONFIG", "SET", "notify-keyspace-events", "KA")


@pytest.mark.parametrize("refused", [False, True])
def test_each_master_of_a_cluster_is_heard_also_new_ones(nodes: Nodes, refused: bool) -> None:
    connection, told = of_cluster(nodes), Recording()
    if refused:
        for place in Wanted(3, 1).places():
            nodes.ask(place, "ACL", "SETUSER", "default", "-config")
    with closing(by_keyspace(connection, told)) as observer, connect(connection, budget=20, repeat=["SET"]) as client:
        assert until(lambda: observer.up, 30, every=0.002), observer.problem

        def every_key_is_heard() -> None:
            for number in range(30):
                key = f"key{number}"
                assert told.hears(Change(keys=(key.encode(),)), lambda key=key: client.set(key, "new"))  # type: ignore[misc]

        every_key_is_heard()
        if refused:
            return
        nodes.start(Place(3, 0), Place(3, 1))
        allow_notifications(nodes, Place(3, 0), Place(3, 1))
        assert told.hears(EVERYTHING, lambda: nodes.repair(4, 1))
        assert until(lambda: observer.up, 30, every=0.002), observer.problem
        every_key_is_heard()
        serves = client.get_node_from_key("key1").host
        lost = next(place for place in Wanted(4, 1).places() if nodes.hosts.of(place) == serves)
        assert told.hears(EVERYTHING, lambda: nodes.signal(lost, signal.SIGKILL))
        assert until(lambda: observer.up, 60, every=0.002), observer.problem
        every_key_is_heard()


def test_what_is_published_at_any_node_of_a_cluster_is_told(nodes: Nodes) -> None:
    told = Recording()
    with closing(by_channel(of_cluster(nodes), told)) as observer, nodes.node(Place(2, 1)) as replica:
        assert until(lambda: observer.up, 30, every=0.002), observer.problem
        change = Change(tags=("red",))
        assert told.hears(change, lambda: replica.publish(CHANNEL, message(change)), times=3)


def test_a_tiered_cache_forgets_what_it_is_told(server: Processes) -> None:
    with connect(server.connection(1)) as client:
        memory = Memory(seconds=600)
        cache = TieredCache(client, memory, AgeLimit())
        keys = [b"a:1", b"a:2", b"b:1"]
        for change, left in (
            (Change(keys=("a:1", b"other")), [b"a:2", b"b:1"]),
            (Change(prefixes=("a:",)), [b"b:1"]),
            (Change(tags=("red",)), []),
            (EVERYTHING, []),
        ):
            for key in keys:
                run(cache.set(key, b"value", 600))
            run(cache.get_many(keys))
            assert memory.get_many(keys).keys() == set(keys)
            cache.invalidated(change)
            assert sorted(memory.get_many(keys)) == left


def test_a_pattern_loads_anew_what_it_is_told(server: Processes) -> None:
    with connect(server.connection(1)) as client, LoadingCache(client, Namespace("shop", clearable=True)) as cache:
        target, loads = InvalidatesPattern(cache), 0

        def read(key: str) -> int:
            def load() -> int:
                nonlocal loads
                loads += 1
                return loads

            return int(cache.get_or_load(key, load, [f"tag-{key}"]))

        first, second = read("a"), read("b")
        target.invalidated(Change(keys=("a",)))
        assert read("a") > second > first
        assert read("b") == second
        for change in (Change(tags=("tag-b",)), Change(prefixes=("x",)), EVERYTHING):
            before = read("b")
            target.invalidated(change)
            assert read("b") > before
        server.signal(1, signal.SIGKILL)
        with pytest.raises(NotInvalidatedError, match="the cache is away"):
            target.invalidated(EVERYTHING)


def test_a_pattern_that_can_not_be_cleared_is_refused(server: Processes) -> None:
    with (
        connect(server.connection(1)) as client,
        LoadingCache(client, Namespace("shop"), Strategy()) as cache,
        pytest.raises(TypeError, match="clearable=True"),
    ):
        InvalidatesPattern(cache)


@pytest.mark.parametrize(
    ("given", "options", "problem"),
    [
        ({"mode": "sharded", "engine": "memcached"}, {}, "mode: 'sharded' has no invalidations here"),
        ({"mode": "standalone"}, {"timeout": -1}, "timeout = -1: it is more than 0 seconds"),
        ({"mode": "cluster"}, {"database": 1}, "database = 1: a cluster has only 0"),
    ],
)
def test_what_can_not_be_observed_is_refused(given: dict[str, Any], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=problem):
        KeyspaceObserver(given, Recording(), **options)


@pytest.mark.parametrize(
    ("named", "problem"),
    [({}, "names nothing"), ({"keys": "key"}, "it is a tuple of keys"), ({"tags": b"key"}, "it is a tuple of keys")],
)
def test_a_change_of_nothing_is_refused(named: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Change(**named)
    with pytest.raises(ValueError, match="is not UTF-8"):
        message(Change(keys=(b"\xff",)))
