"""No reader of a tiered cache gets what is older than its link's timeout, whatever happens to the link, with real processes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from caches_runtime.client import ConnectionRefusedError, connect_async
from caches_runtime.patterns.store import StoreError
from caches_runtime.tiers import InvalidationLink, Memory, TieredCache
from certificates import certify
from common.waiting import until
from prometheus_client import REGISTRY
from unit.client.processes import Processes, processes
from unit.client.relay import relay
from unit.client.test_topologies import begin, exported
from unit.sentinel import loop
from unit.tiers.tiers import KEY, TIMEOUT_SECONDS, Tiers, Writes, tiers

CHANNEL = "changes"
WAYS: dict[str, dict[str, Any]] = {"tracking": {}, "channel": {"channel": CHANNEL}}


def held(reader: Tiers, value: bytes) -> Callable[[], bool]:
    """Whether that is in the reader's memory."""

    def asked() -> bool:
        with suppress(StoreError):
            reader.get()
        return reader.link.up and reader.memory.get_many([KEY]) == {KEY: value}

    return asked


@pytest.mark.parametrize("way", WAYS)
def test_what_is_held_is_read_without_the_server_until_another_process_writes(server: Processes, way: str) -> None:
    connection = server.connection(1)
    with tiers(connection, **WAYS[way]) as reader, tiers(connection, **WAYS[way]) as writer:
        for number in range(20):
            value = b"%d" % number
            writer.set(value)
            assert until(held(reader, value), 30, every=0.001)

        def gets() -> int:
            return int(server.ask(1, "INFO", "commandstats")["cmdstat_get"]["calls"])

        def asks_nobody() -> bool:
            before = gets()
            assert {reader.get() for _ in range(100)} == {value}
            return gets() == before

        # News of the last write may come after it is held, and has one read ask.
        assert until(asks_nobody, 30)


def test_the_link_speaks_tls_where_the_cache_does() -> None:
    with processes("valkey", certify("DNS:a.cache")) as secure:
        secure.serve(1)
        with tiers(secure.connection(1)) as reader:
            for value in (b"old", b"new"):
                secure.ask(1, "SET", KEY.decode(), value.decode())
                assert until(held(reader, value), 30, every=0.001)


@pytest.mark.parametrize("command", [("SET", KEY, "new"), ("DEL", KEY), ("APPEND", KEY, "new"), ("FLUSHALL",), ("PEXPIRE", KEY, "1")])
def test_any_change_on_the_server_empties_the_memory(server: Processes, command: tuple[Any, ...]) -> None:
    with tiers(server.connection(1)) as reader:
        reader.set(b"old")
        assert until(held(reader, b"old"), 30, every=0.001)
        server.ask(1, *command)
        assert until(lambda: reader.memory.get_many([KEY]) == {}, 30, every=0.001)


def test_a_key_without_the_prefix_is_never_held(server: Processes) -> None:
    with tiers(server.connection(1), prefix="k") as reader:
        reader.set(b"mine")
        reader.set(b"other", b"other")
        assert until(held(reader, b"mine"), 30, every=0.001)
        assert reader.get(b"other") == b"other"
        assert reader.memory.get_many([b"other"]) == {}


def test_a_client_of_asyncio_shares_memory_and_link_with_threads(server: Processes) -> None:
    async def read(memory: Memory, link: InvalidationLink) -> dict[bytes, bytes]:
        client = connect_async(server.connection(1))
        try:
            return await TieredCache(client, memory, link).get_many([KEY])
        finally:
            await client.aclose()

    with tiers(server.connection(1)) as threads:
        threads.set(b"value")
        assert until(lambda: threads.link.up, 30, every=0.001)
        assert loop.run(read(threads.memory, threads.link)) == {KEY: b"value"}
        assert until(held(threads, b"value"), 30, every=0.001)


def test_a_link_that_hangs_without_a_word_is_believed_no_longer_than_its_timeout(server: Processes) -> None:
    with (
        relay(f"{server.host(1)}:6379") as network,
        tiers(server.connection(1), by(server, network.node), timeout=TIMEOUT_SECONDS) as reader,
    ):
        reader.set(b"old")
        assert until(held(reader, b"old"), 30, every=0.001)
        network.hold_answers()
        server.ask(1, "SET", KEY.decode(), "new")
        acknowledged = time.monotonic()
        assert reader.get() in (b"old", b"new")
        while True:
            began = time.monotonic()
            value = reader.get()
            assert value == b"new" or began < acknowledged + TIMEOUT_SECONDS
            if began > acknowledged + 2 * TIMEOUT_SECONDS:
                break
        assert until(held(reader, b"new"), 30, every=0.001), "by another connection"


def by(server: Processes, node: str) -> dict[str, Any]:
    host, _, port = node.rpartition(":")
    return server.connection(1, host=host, port=int(port))


def stop_for_a_while(server: Processes) -> None:
    server.signal(1, signal.SIGSTOP)
    threading.Event().wait(2 * TIMEOUT_SECONDS)  # the fault itself is that long
    server.signal(1, signal.SIGCONT)


def restart_empty(server: Processes) -> None:
    server.signal(1, signal.SIGKILL)
    server.serve(1)


def cut_off_all(server: Processes) -> None:
    server.ask(1, "CLIENT", "KILL", "TYPE", "normal")


@pytest.mark.parametrize("fault", [stop_for_a_while, restart_empty, cut_off_all])
def test_readers_get_nothing_that_is_older_than_the_timeout_over_a_fault(server: Processes, fault: Callable[[Processes], None]) -> None:
    with tiers(server.connection(1), timeout=TIMEOUT_SECONDS) as reader, ThreadPoolExecutor() as beside:
        writing = server.client(1)
        writes = Writes(writing.set)
        assert until(lambda: reader.link.up, 30, every=0.001)
        over = threading.Event()
        checked = beside.submit(writes.keep_checking, reader, over)
        try:
            fault(server)  # by this thread: a server ends with the one that started it
            assert until(lambda: reader.link.up, 30, every=0.001)
        finally:
            over.set()
        assert checked.result() >= 200
        assert until(held(reader, b"%d" % writes.last), 30, every=0.001)


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGSTOP])
def test_the_link_follows_a_group_to_its_new_master(kind: signal.Signals) -> None:
    with processes("redis") as group:
        begin(group)
        with tiers(exported(group), timeout=TIMEOUT_SECONDS) as reader:
            reader.set(b"old")
            assert until(held(reader, b"old"), 30, every=0.01)
            group.signal(1, kind)

            def written() -> bool:
                with suppress(StoreError):
                    reader.set(b"new")
                    return True
                return False

            assert until(written, 60, every=0.01)
            assert until(held(reader, b"new"), 60, every=0.01)
            [master] = [number for number in (2, 3) if group.ask(number, "ROLE")[0] == "master"]
            group.ask(master, "SET", KEY.decode(), "newer")
            assert until(held(reader, b"newer"), 30, every=0.01)


def test_without_the_right_to_track_every_read_asks_the_server_and_a_channel_needs_none(server: Processes) -> None:
    server.ask(1, "ACL", "SETUSER", "app", "on", ">secret-of-app", "~*", "&*", "+@all", "-client")
    connection = server.connection(1, username="app", password="secret-of-app")
    with tiers(connection) as reader, tiers(connection, channel=CHANNEL) as other:
        assert until(lambda: "no permissions" in reader.link.problem, 30, every=0.001)
        assert "secret-of-app" not in reader.link.problem
        for value in (b"one", b"two"):
            reader.set(value)
            assert reader.get() == value
        assert len(reader.memory) == 0
        other.set(b"three")
        assert until(held(other, b"three"), 30, every=0.001)


def test_metrics_count_reads_by_tier_and_what_became_of_the_link_and_logs_have_no_values(
    server: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    name = f"counted-{server.host(1)}"

    def counted(metric: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"caches_tier_{metric}", {"cache": name, **labels})

    with tiers(server.connection(1), name=name) as reader:
        assert until(lambda: reader.link.up, 30, every=0.001)
        assert reader.get() is None
        reader.set(b"the-value")
        assert until(held(reader, b"the-value"), 30, every=0.001)

        def reads_of_memory_are_counted() -> bool:
            before = counted("reads_total", found="memory") or 0
            assert [reader.get() for _ in range(3)] == [b"the-value"] * 3
            return counted("reads_total", found="memory") == before + 3

        # News of the own write may come after it is held, and has one read ask the server.
        assert until(reads_of_memory_are_counted, 30)
        assert counted("reads_total", found="server")
        assert counted("reads_total", found="nowhere") == 1
        assert counted("invalidations_total")
        assert until(lambda: (counted("link_up"), counted("memory_bytes")) == (1, len(KEY + b"the-value")), 30, every=0.001)
        server.signal(1, signal.SIGKILL)
        assert until(lambda: (counted("link_up"), bool(counted("link_losses_total"))) == (0, True), 30, every=0.001)
    assert name in caplog.text
    assert "the-value" not in caplog.text


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({"mode": "cluster"}, {"channel": CHANNEL}, "channel = 'changes': a cluster's nodes pass on late"),
        ({"mode": "cluster"}, {}, "engine: missing"),
        ({"mode": "sharded", "engine": "memcached"}, {}, "mode: 'sharded' has no invalidations here.* or AgeLimit"),
        ({"mode": "standalone", "engine": "memcached"}, {}, "has no invalidations here"),
        ({"mode": "standalone"}, {"timeout": 0}, "timeout = 0: it is more than 0 seconds"),
    ],
)
def test_what_can_have_no_link_is_refused(given: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConnectionRefusedError, match=message):
        InvalidationLink(given, Memory(), **options)
