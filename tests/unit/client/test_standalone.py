"""Calls of one server, with real Redis and Valkey processes that hang, die, come back and rotate their password."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from caches_runtime.client import BudgetSpentError, UncertainError
from caches_runtime.client.calls import REPEATABLE
from certificates import certify
from common.waiting import until
from prometheus_client import REGISTRY
from unit.client.both import Connects, fails_in
from unit.client.processes import PASSWORD, Processes, processes

BUDGET = 0.5
# Of a machine that does much else. A wait without a bound has no end.
SLACK = 2.0


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Processes]:
    with processes(request.param) as made:
        made.serve(1)
        yield made


def test_a_hung_server_holds_no_call_longer_than_its_budget(server: Processes, connects: Connects) -> None:
    cache = connects(server.connection(1), budget=BUDGET)
    cache.set("key", "value")
    new = connects(server.connection(1), budget=BUDGET)
    server.signal(1, signal.SIGSTOP)
    assert fails_in(BudgetSpentError, lambda: cache.get("key")) < BUDGET + SLACK
    # Its greeting has no answer: nothing else was sent.
    assert fails_in(BudgetSpentError, lambda: new.incr("number")) < BUDGET + SLACK
    server.signal(1, signal.SIGCONT)
    assert cache.get("key") == b"value"
    assert new.incr("number") == 1


@pytest.mark.parametrize("repeat", [(), ("incrby",)])
def test_a_command_without_an_answer_is_repeated_only_when_that_is_asked_for(
    server: Processes, connects: Connects, repeat: tuple[str]
) -> None:
    cache = connects(server.connection(1), budget=10, repeat=repeat)
    cache.incr("number")
    # It hangs while the command is sent, and dies with that unanswered. What replaces it has no data.
    server.signal(1, signal.SIGSTOP)
    with ThreadPoolExecutor() as calling:
        counted = calling.submit(cache.incr, "number")
        assert until(lambda: _unread(server.host(1)) > 0, 5, every=0.01)
        server.signal(1, signal.SIGKILL)
        server.serve(1)
        if repeat:
            assert counted.result() == 1
        else:
            with pytest.raises(UncertainError, match=r"INCRBY was sent .* `repeat`"):
                counted.result()
    assert server.ask(1, "GET", "number") == ("1" if repeat else None)


def _unread(host: str) -> int:
    """Bytes that wait for the server, as the kernel's table has them."""
    address = socket.inet_aton(host)[::-1].hex().upper()
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if row[1] == f"{address}:18EB" and row[3] == "01")


def test_a_server_that_drips_its_answer_holds_no_call_longer_than_its_budget(connects: Connects) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def drip() -> None:
            client, _ = listening.accept()
            with client:
                while not over.wait(0.05):
                    client.send(b"+")

        thread = threading.Thread(target=drip)
        thread.start()
        given = {"engine": "redis", "mode": "standalone", "host": "127.0.0.1", "port": listening.getsockname()[1], "auth": "none"}
        try:
            assert fails_in(BudgetSpentError, lambda: connects(given, budget=BUDGET).get("key")) < BUDGET + SLACK
        finally:
            over.set()
            thread.join()


def test_a_server_that_is_killed_and_started_again_is_used_again(server: Processes, connects: Connects) -> None:
    cache = connects(server.connection(1), budget=10)
    cache.set("key", "value")
    server.signal(1, signal.SIGKILL)
    with ThreadPoolExecutor() as calling:
        counted = calling.submit(cache.incr, "number")
        server.serve(1)
        assert counted.result() == 1  # nothing was sent before: it waited


def test_a_refused_port_is_tried_until_the_budget_is_spent(server: Processes, connects: Connects) -> None:
    server.signal(1, signal.SIGKILL)
    cache = connects(server.connection(1), budget=BUDGET, name="sessions")
    with pytest.raises(
        BudgetSpentError,
        match=r"INCRBY had no success at sessions, attempts: \d+, with 0\.5 s to spend; the last: \w+Error",
    ) as caught:
        cache.incr("number")
    assert PASSWORD not in repr(caught.value)


@pytest.mark.parametrize("mounted", [True, False])
def test_a_password_rotates_while_a_client_runs(server: Processes, connects: Connects, tmp_path: Path, mounted: bool) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    cache = connects(server.connection(1, password=None), credentials=file if mounted else lambda: file.read_text().strip())
    assert cache.incr("number") == 1
    server.ask(1, "CONFIG", "SET", "requirepass", "the-new-password")
    file.write_text("the-new-password")
    with server.client(1, "the-new-password") as other:
        other.client_kill_filter(_type="normal", skipme=True)
    assert cache.incr("number") == 2


def test_a_login_that_is_refused_is_tried_once_more_with_what_is_the_password_then(server: Processes, connects: Connects) -> None:
    passwords = iter(["an-old-one", PASSWORD])
    assert connects(server.connection(1, password=None), credentials=lambda: next(passwords)).incr("number") == 1


def test_a_wrong_password_is_told_at_once_and_not_repeated(server: Processes, connects: Connects) -> None:
    with pytest.raises(redis.AuthenticationError) as caught:
        connects(server.connection(1, password="the-wrong-one")).get("key")
    assert "the-wrong-one" not in str(caught.value)


def test_a_pipeline_keeps_to_the_budget_and_is_not_repeated(server: Processes, connects: Connects) -> None:
    cache = connects(server.connection(1), budget=BUDGET)
    assert cache.together(("SET", "key", "value"), ("GET", "key"))[-1] == b"value"
    server.signal(1, signal.SIGSTOP)
    assert fails_in(UncertainError, lambda: cache.together(("INCR", "number"), ("INCR", "number"))) < BUDGET + SLACK
    server.signal(1, signal.SIGCONT)
    assert until(lambda: server.ask(1, "GET", "number") == "2", 5)
    server.signal(1, signal.SIGKILL)
    with pytest.raises(BudgetSpentError, match="PIPELINE had no success"):
        cache.together(("INCR", "number"))


def test_what_is_repeated_unasked_only_reads(server: Processes) -> None:
    known = {name.upper(): each["flags"] for name, each in server.ask(1, "COMMAND").items() if name.upper() in REPEATABLE}
    assert len(known) > 50
    assert [name for name, flags in known.items() if "write" in flags] == []


def test_an_error_of_the_server_comes_as_it_is(server: Processes, connects: Connects) -> None:
    cache = connects(server.connection(1))
    cache.set("key", "value")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        cache.lpush("key", "value")


def test_reads_go_to_the_reader_endpoint(server: Processes, connects: Connects) -> None:
    server.serve(2, f"replicaof {server.host(1)} 6379")
    reader = connects(server.connection(1, reader_host=server.host(2), reader_port=6379), reader=True)
    assert reader.info("replication")["role"] == "slave"
    assert connects(server.connection(1)).info("replication")["role"] == "master"


def test_calls_are_counted_by_command_and_outcome(server: Processes, connects: Connects) -> None:
    def count(outcome: str) -> float:
        labels = {"cache": "counted", "command": "GET", "outcome": outcome}
        return REGISTRY.get_sample_value("caches_client_call_seconds_count", labels) or 0.0

    before = count("ok"), count("error")
    cache = connects(server.connection(1), name="counted", budget=BUDGET)
    cache.get("key")
    server.signal(1, signal.SIGKILL)
    with pytest.raises(BudgetSpentError):
        cache.get("key")
    assert (count("ok"), count("error")) == (before[0] + 1, before[1] + 1)


def test_tls_is_trusted_by_the_connections_authority_and_by_no_other(connects: Connects) -> None:
    with processes("redis", certify("DNS:some.name")) as server:
        server.serve(1)
        assert connects(server.connection(1)).incr("number") == 1
        with pytest.raises(redis.ConnectionError, match=r"(?i)certificate"):
            connects({**server.connection(1), "ca_pem": certify("DNS:other").authority_pem}, budget=BUDGET).get("key")
        with pytest.raises(redis.ConnectionError, match=r"(?i)certificate"):
            connects({**server.connection(1), "ca_pem": ""}, budget=BUDGET).get("key")


@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_a_server_with_tls_and_no_login_is_connected_to_once(connects: Connects, engine: str) -> None:
    """The tickets of TLS are no answer to nobody, for which redis-py connects again and again."""
    with processes(engine, certify("DNS:a.cache")) as server:
        server.serve(1)
        server.ask(1, "ACL", "SETUSER", "default", "nopass")
        given = {**server.connection(1), "password": None, "auth": "none"}
        first = connects(given)
        before = first.info("stats")["total_connections_received"]
        assert all(connects(given).set("key", "value") for _ in range(20))
        assert first.info("stats")["total_connections_received"] == before + 20
