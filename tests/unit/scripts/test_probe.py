"""probe.sh: when a server is alive and ready, and how it learns rotated passwords."""

from __future__ import annotations

import threading
import time
from signal import SIGKILL, SIGSTOP

import redis
from common.waiting import until
from unit.scripts.waiting import PASSES, await_probe
from unit.servers import PASSWORD, SYSTEM_PASSWORD, Makes, Pod, call, send


def test_a_healthy_primary_is_alive_and_ready(pod: Pod) -> None:
    pod.serve()
    assert (pod.probe("alive"), pod.probe("ready")) == (PASSES, PASSES)


def test_a_healthy_replica_is_alive_and_ready(pair: tuple[Pod, Pod]) -> None:
    _, replica = pair
    assert (replica.probe("alive"), replica.probe("ready")) == (PASSES, PASSES)


def test_where_nothing_listens_it_is_neither_alive_nor_ready(pod: Pod) -> None:
    pod.serve().end()
    for kind in ("alive", "ready"):
        assert "Connection refused" in pod.probe(kind)


def test_a_stopped_server_is_not_alive_and_the_probe_does_not_hang(pod: Pod) -> None:
    pod.serve().process.send_signal(SIGSTOP)
    began = time.monotonic()
    assert pod.probe("alive") != PASSES
    # Below the 10 s that a kubelet gives it.
    assert time.monotonic() - began < 6


def test_while_data_is_loaded_it_is_alive_but_not_ready(pod: Pod) -> None:
    pod.serve(persistence="rdb")
    pod.connect().mset({f"key {number}": "x" * 100 for number in range(5000)})
    pod.server.end()
    # 10 s for all of it, with a look at the clients every few keys.
    pod.serve(persistence="rdb", extra_config=["key-load-delay 2000", "loading-process-events-interval-bytes 1024"])
    assert pod.probe("alive") == PASSES
    assert "loading" in pod.probe("ready")
    pod.connect().config_set("key-load-delay", 0)
    await_probe(pod, "ready", passes=True)


def test_while_a_script_blocks_the_server_it_is_alive_but_not_ready(pod: Pod) -> None:
    pod.serve(extra_config=["busy-reply-threshold 10"])
    send(pod.connect(), "EVAL", "while true do end", "0")
    other = pod.connect()

    def busy() -> bool:
        try:
            return not other.ping()
        except redis.ResponseError as refused:
            return "BUSY" in str(refused)

    assert until(busy, 5, every=0.01)
    assert pod.probe("alive") == PASSES
    assert "BUSY" in pod.probe("ready")
    other.script_kill()
    await_probe(pod, "ready", passes=True)


def test_with_all_connections_taken_it_is_alive(pod: Pod) -> None:
    pod.serve(max_clients=3)

    def full() -> bool:
        try:
            return not pod.connect().ping()
        except redis.ConnectionError as refused:
            return "max number of clients" in str(refused)

    assert until(full, 5, every=0.01)
    # More than once: how much of the refusal a client reads is a matter of luck.
    assert [pod.probe("alive") for _ in range(20)] == [PASSES] * 20


def test_a_server_that_knows_another_system_password_is_alive(pod: Pod) -> None:
    pod.serve()
    pod.credentials(system="another")
    assert pod.probe("alive") == PASSES
    assert pod.probe("ready") != PASSES


def test_a_replica_that_never_had_the_data_is_not_ready(make: Makes) -> None:
    _, replica = make("primary", "replica")
    replica.serve("replica")
    assert "has not copied" in replica.probe("ready")
    assert replica.probe("alive") == PASSES


def test_a_replica_that_lost_its_primary_is_ready_for_a_limited_time(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    primary.server.end(SIGKILL)
    replica.await_info("master_link_status", "down")
    assert replica.probe("ready", MAX_STALE_SECONDS="1") == PASSES
    assert "lost the primary" in await_probe(replica, "ready", passes=False, MAX_STALE_SECONDS="1")
    assert replica.probe("ready", MAX_STALE_SECONDS="60") == PASSES
    assert replica.probe("alive") == PASSES
    primary.serve()
    await_probe(replica, "ready", passes=True, MAX_STALE_SECONDS="1")


def test_a_server_in_another_role_is_not_ready(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    call(replica.connect(), "REPLICAOF", "NO", "ONE")
    assert "is a primary and should be a replica" in replica.probe("ready")
    call(primary.connect(), "REPLICAOF", replica.name, "6379")
    assert "is a replica and should be the primary" in primary.probe("ready")


def test_without_a_password_it_is_not_ready_and_keeps_the_ones_it_has(pod: Pod) -> None:
    pod.serve()
    for empty in ("", "\n", None):
        pod.credentials(password=empty)
        assert "/credentials/password" in pod.probe("ready")
        assert [pod.accepts(password) for password in (PASSWORD, "", None)] == [True, False, False]


# It applies rotated passwords


class Writer:
    """A client that writes all the time, on one connection."""

    def __init__(self, pod: Pod) -> None:
        self._client = pod.connect()
        self._ended = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._write)
        self.written = 0

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def goes_on(self) -> bool:
        """Whether it wrote something after this was called."""
        before = self.written
        return until(lambda: self.written > before + 1 or self._problem is not None, 5, every=0.001) and self._problem is None

    def _write(self) -> None:
        try:
            while not self._ended.is_set():
                self._client.set("number", self.written)
                self.written += 1
        except redis.RedisError as problem:
            self._problem = problem


def test_passwords_rotate_without_disturbing_anybody(pair: tuple[Pod, Pod]) -> None:
    primary, replica = pair
    full_copies = primary.info("sync_full")
    with Writer(primary) as writer:
        assert writer.goes_on()

        for pod in pair:
            pod.credentials(password="new", previous=PASSWORD)
            assert pod.probe("ready") == PASSES
            assert [pod.accepts(password) for password in ("new", PASSWORD, "wrong", None)] == [True, True, False, False]
        assert writer.goes_on()

        for pod in pair:
            pod.credentials(previous=None)
            assert pod.probe("ready") == PASSES
            assert [pod.accepts(password) for password in ("new", PASSWORD, "wrong", None)] == [True, False, False, False]
            assert pod.accepts(SYSTEM_PASSWORD, "system")
        assert writer.goes_on()

    assert replica.info("master_link_status", "new") == "up"
    assert primary.info("sync_full", "new") == full_copies


def test_a_restarted_server_knows_the_rotated_passwords(pod: Pod) -> None:
    pod.serve()
    pod.credentials(password="new", previous=PASSWORD)
    assert pod.probe("ready") == PASSES
    pod.server.end()
    pod.serve()
    assert [pod.accepts(password) for password in ("new", PASSWORD, None)] == [True, True, False]
    pod.credentials(previous=None)
    assert pod.probe("ready") == PASSES
    assert [pod.accepts(password) for password in ("new", PASSWORD)] == [True, False]


def test_passwords_that_could_not_be_applied_are_tried_again(pod: Pod) -> None:
    pod.serve().end()
    pod.credentials(password="new")
    for _ in range(2):
        assert "passwords could not be changed" in pod.probe("ready")
