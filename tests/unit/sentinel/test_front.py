"""The front with a real HAProxy and real servers: it leads to the one master, and breaks what leads elsewhere."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGUSR1, Signals

import pytest
from common.waiting import until
from unit.sentinel.front import GET, Told, fronted, fronted_group, told
from unit.sentinel.group import group
from unit.servers import find_programs

NAMES = ["cache-0", "cache-1", "cache-2"]


@pytest.fixture(scope="module")
def servers() -> Iterator[Told]:
    with told(find_programs("redis")) as made:
        yield made


def leads(servers: Told, write: set[str], read: set[str]) -> bool:
    """Whether clients reach exactly these servers, or none."""

    def reached(port: int) -> set[str]:
        return {said for _ in range(6) if (said := servers.front.call("get", "name", port=port)) in NAMES}

    return (reached(6379), reached(6380)) == (write, read)


@pytest.mark.parametrize("addresses", ["10.0.0.9", "fd00::9", "10.0.0.9,fd00::9"])
def test_the_configuration_is_one_that_haproxy_has_nothing_to_say_about(addresses: str) -> None:
    with fronted(find_programs("redis")) as (front, _):
        assert front.check(addresses) == ""


@pytest.mark.parametrize(
    ("roles", "write", "read"),
    [
        (("master", "slave", "slave"), {"cache-0"}, {"cache-1", "cache-2"}),
        (("slave", "slave", "master"), {"cache-2"}, {"cache-0", "cache-1"}),
        (("slave", "", "master"), {"cache-2"}, {"cache-0"}),
        (("", "master", ""), {"cache-1"}, {"cache-1"}),
        (("", "slave", "slave"), set(), {"cache-1", "cache-2"}),
        (("master", "master", "slave"), set(), {"cache-2"}),
        (("master", "master", ""), set(), {"cache-0", "cache-1"}),
        (("", "", ""), set(), set()),
    ],
)
def test_it_leads_to_the_one_master_and_to_the_replicas_and_nowhere_when_there_are_two(
    roles: tuple[str, ...], write: set[str], read: set[str], servers: Told
) -> None:
    servers.say(*roles)
    assert until(lambda: leads(servers, write, read), 15, every=0.05), servers.front.process.output


def test_it_is_ready_while_it_sees_any_member_and_says_what_it_has_done(servers: Told) -> None:
    for roles, ready in ((("", "slave", ""), True), (("", "", ""), False), (("", "master", ""), True)):
        servers.say(*roles)
        assert until(lambda ready=ready: (servers.front.get("/ready") is not None) is ready, 10, every=0.05)  # type: ignore[misc]
        assert servers.front.get("/alive") is not None
    assert 'haproxy_server_status{proxy="masters",server="cache-1",state="UP"} 1' in (servers.front.get("/metrics") or "")
    assert servers.front.get("/") is None


def test_connections_to_a_server_that_is_the_master_no_more_are_ended(servers: Told) -> None:
    """Also when that server hangs and says nothing itself."""
    servers.say("master", "slave", "slave")
    assert until(lambda: leads(servers, {"cache-0"}, {"cache-1", "cache-2"}), 10, every=0.05)
    waiting = servers.front.wait()
    assert until(lambda: servers.members[0].info("blocked_clients") == "1", 10, every=0.05)
    hung = servers.members[0].server.process
    hung.send_signal(SIGSTOP)
    try:
        servers.say("", "master", "slave")
        began = time.monotonic()
        assert until(lambda: servers.front.call("get", "name") == "cache-1", 10, every=0.05)
        assert until(lambda: waiting.process.poll() is not None, 5, every=0.01), "the connection to the hung server is still there"
        assert time.monotonic() - began < 3
    finally:
        hung.send_signal(SIGCONT)


def test_one_that_is_told_to_leave_keeps_its_connections_until_they_end(servers: Told) -> None:
    servers.say("master", "slave", "slave")
    assert until(lambda: leads(servers, {"cache-0"}, {"cache-1", "cache-2"}), 10, every=0.05)
    waiting = servers.front.wait()
    assert until(lambda: servers.members[0].info("blocked_clients") == "1", 10, every=0.05)
    leaving = servers.front.process
    leaving.process.send_signal(SIGUSR1)
    assert until(lambda: servers.front.call("ping") != "PONG", 10, every=0.05), "it still takes connections"
    assert (waiting.process.poll(), leaving.process.poll()) == (None, None)
    servers.members[0].connect().lpush("never", "now")
    assert waiting.wait() == 0
    assert "now" in waiting.output
    assert leaving.wait() == 0
    servers.front.start()


@pytest.mark.parametrize("number", [SIGKILL, SIGSTOP])
def test_an_agent_takes_back_that_its_server_is_the_master_when_that_ends_or_hangs(number: Signals) -> None:
    """Nobody restarts it here: what ends what the agent says is not the server's next start."""
    with group(find_programs("redis")) as members:
        master = members.serve()

        def says_master() -> bool:
            words = master.beside(sys.executable, "-c", GET, "http://127.0.0.1:8080/master")
            return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode == 0

        assert until(says_master, 10, every=0.05)
        master.server.process.send_signal(number)
        assert until(lambda: not says_master(), 10, every=0.05), members.logs()


@pytest.mark.parametrize("network", ["10.0.0.", "fd00::"])
def test_with_a_killed_master_clients_of_the_front_go_on_without_a_loss(network: str) -> None:
    """Over IPv6 too: the members know each other by addresses, and all of them must spell them the same."""
    with fronted_group(find_programs("redis"), network) as (front, group):
        master = group.serve()
        front.start()
        assert until(lambda: front.call("set", "before", "1") == "OK", 15, every=0.05), front.process.output
        assert front.call("wait", "2", "5000") == "2"
        master.server.end(SIGKILL)
        assert until(lambda: front.call("set", "after", "2") == "OK", 15, every=0.05), group.logs()
        new = group.shown()
        assert new is not None
        assert new is not master
        group.start_server(master)
        assert group.await_settled() is new
        assert until(lambda: [front.read("mget", "before", "after") for _ in range(2)] == ["1\n2", "1\n2"], 15, every=0.05)
