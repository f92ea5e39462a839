"""What is in front of an emulated cloud's servers passes on what it does not look at, as it is."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from clouds.emulator import servers
from clouds.emulator.resp import Requests
from clouds.emulator.servers import Place, User, address_of
from common.waiting import until
from hypothesis import given, settings
from hypothesis import strategies as st

MEBIBYTE = 1 << 20
# In a value, that is no login.
LOOKS_LIKE_ONE = b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$7\r\na-token\r\n"


def encoded(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


WORDS = st.binary(max_size=40) | st.sampled_from([b"AUTH", b"HELLO", b"app", b"\r\n", LOOKS_LIKE_ONE, b"A" * 100_000])
OTHERS = st.lists(WORDS, min_size=1, max_size=5).filter(lambda words: words[0].upper() not in (b"AUTH", b"HELLO"))
AS_IT_IS = OTHERS.map(lambda words: (encoded(*words), encoded(*words))) | st.sampled_from(
    [
        *((raw, raw) for raw in (b"PING\r\n", b"AUTH app a-token\r\n", b"\r\n", b"\n", b"*0\r\n", b"*-1\r\n")),
        *((encoded(*words), encoded(*words)) for words in ([b"AUTH", b"key"], [b"HELLO"], [b"HELLO", b"3"], [b"AUTH", b"x" * 100_000])),
    ]
)
LOGINS = st.tuples(WORDS, WORDS).map(lambda login: (login[0], login[1][:1000])).filter(lambda login: len(login[0]) < 1000)
EXCHANGED = st.one_of(
    LOGINS.map(lambda login: (encoded(b"auth", *login), encoded(b"auth", login[0], login[1][::-1]))),
    LOGINS.filter(lambda login: b"AUTH" not in login).map(
        lambda login: (
            encoded(b"HELLO", b"3", b"SETNAME", b"me", b"Auth", *login),
            encoded(b"HELLO", b"3", b"SETNAME", b"me", b"Auth", login[0], login[1][::-1]),
        )
    ),
)


@given(st.lists(AS_IT_IS | EXCHANGED, max_size=8), st.lists(st.integers(1, 200), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_of_what_a_client_sends_only_logins_are_changed_however_it_comes(commands: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    requests = Requests(lambda user, password: password[::-1])
    sent, passed = b"".join(before for before, _ in commands), b""
    for size in sizes:
        passed += requests.feed(sent[:size])
        sent = sent[size:]
    assert passed + requests.feed(sent) == b"".join(after for _, after in commands)


@pytest.mark.parametrize("junk", [b"*x\r\n", b"*1\r\n$x\r\nPING\r\n", b"*1\r\n$-5\r\n", b"*2\r\n$4\r\nAUTH\r\nx\r\n", b"x" * 70_000])
def test_what_is_no_command_is_left_to_the_server(junk: bytes) -> None:
    assert Requests(lambda *_: b"").feed(junk) == junk


@pytest.fixture(scope="module", params=[True, False], ids=["tls", "plain"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, list[int]]]:
    """A cluster, and its processes, of which the last is the gate."""
    folder = tmp_path_factory.mktemp("clouds") / "gcp"
    address = address_of(folder, "cache")
    made = Place(folder / address, address, 6379, request.param, "secret", engine="valkey", shards=2, replicas=1, resource_type="a:b:C")
    processes = servers.start(made, {})
    try:
        servers.set_users(made, "key", [User("tool", ">password ~* &* +@all")])
        yield made, processes
    finally:
        servers.stop(processes)


def client(place: Place, port: int = 6379, **options: Any) -> redis.Redis:
    trust: dict[str, Any] = {"ssl": True, "ssl_ca_certs": str(place.folder / "ca.crt")} if place.tls else {}
    return redis.Redis(place.address, port, password="key", **trust, **options)


def test_large_values_and_many_commands_pass_unharmed(place: tuple[Place, list[int]]) -> None:
    large = os.urandom(4 * MEBIBYTE) + LOOKS_LIKE_ONE * 1000 + os.urandom(4 * MEBIBYTE)
    # All in one shard.
    with client(place[0]) as opened:
        assert opened.set("{2}large", large)
        assert opened.get("{2}large") == large
        with opened.pipeline(transaction=False) as many:
            for number in range(3000):
                many.set(f"{{2}}{number}", LOOKS_LIKE_ONE + b"%d" % number)
                many.execute_command("AUTH", "tool", "password")
                many.get(f"{{2}}{number}")
            answers = many.execute()
        assert answers == [answer for number in range(3000) for answer in (True, True, LOOKS_LIKE_ONE + b"%d" % number)]
        assert opened.execute_command("ACL", "WHOAMI") == b"tool"


def test_a_cluster_leads_its_clients_through_the_gate(place: tuple[Place, list[int]]) -> None:
    known = set(place[0].ports)
    with client(place[0], protocol=2) as opened:
        # Replicas are there when they have what their masters have.
        assert until(lambda: {node[1] for slot in opened.execute_command("CLUSTER", "SLOTS") for node in slot[2:]} == known, 60)
        shards = opened.execute_command("CLUSTER", "SHARDS")
        nodes = [dict(zip(node[::2], node[1::2], strict=True)) for shard in shards for node in shard[3]]
        assert {node[b"tls-port" if place[0].tls else b"port"] for node in nodes} == known
        with pytest.raises(redis.exceptions.MovedError) as moved:
            opened.set("{1}key", "value")
        assert (moved.value.host, moved.value.port) == (place[0].address, place[0].ports[1])
        with client(place[0], moved.value.port) as other:
            assert other.set("{1}key", "value")
        assert opened.info("replication")["slave0"]["port"] in known


def test_what_a_client_does_not_read_stays_with_the_server(place: tuple[Place, list[int]]) -> None:
    gate, values = place[1][-1], 64
    with client(place[0]) as opened, connected(place[0]) as reader:
        opened.set("{2}value", b"v" * MEBIBYTE)
        reader.sendall(encoded(b"AUTH", b"key") + encoded(b"CLIENT", b"SETNAME", b"reader") + encoded(b"GET", b"{2}value") * values)
        kept: list[int] = []

        def stands() -> bool:
            kept.append(next((int(each["omem"]) for each in opened.client_list() if each["name"] == "reader"), 0))
            return kept[-1] > 0 and kept[-5:] == kept[-1:] * 5

        assert until(stands, 60, every=0.1)
        assert kept[-1] > values * MEBIBYTE // 2
        highest = int(Path(f"/proc/{gate}/status").read_text().partition("VmHWM:")[2].split()[0]) << 10
        assert highest < 100 * MEBIBYTE
        wanted = b"+OK\r\n" * 2 + b"$%d\r\n%b\r\n" % (MEBIBYTE, b"v" * MEBIBYTE) * values
        got = bytearray()
        while len(got) < len(wanted):
            got += reader.recv(MEBIBYTE)
        assert got == wanted


def connected(place: Place) -> socket.socket:
    opened = socket.create_connection((place.address, 6379))
    if not place.tls:
        return opened
    return ssl.create_default_context(cafile=place.folder / "ca.crt").wrap_socket(opened, server_hostname=place.address)
