"""What an agent tells over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
from caches_runtime.ops.sentinel.members import Member, ServerState
from caches_runtime.ops.sentinel.status import Silence, Status, restored_of, silence_of
from caches_runtime.ops.sentinel.succession import Progress
from unit.sentinel.loop import run

RESTORED = Progress(7, 4711)
SILENCE = Silence("10.0.0.1", 1.5)
HERE = Member(0, "127.0.0.1", "password", "cache")


def state(role: str) -> ServerState:
    return ServerState(role, 0, "", True, True, False, False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def status(port: int) -> Status:
    status = Status(lambda: RESTORED, lambda: SILENCE)
    status.serve(port)
    return status


def asked(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def answers(port: int) -> dict[str, int]:
    return {path: asked(port, path) for path in ("/master", "/replica")}


def test_before_the_group_agrees_it_is_neither_master_nor_replica(status: Status, port: int) -> None:
    assert answers(port) == {"/master": 503, "/replica": 503}
    for role in ("master", "slave"):
        status.update(state(role), serving=False)
        assert answers(port) == {"/master": 503, "/replica": 503}


def test_a_role_is_told_as_long_as_it_lasts(status: Status, port: int) -> None:
    status.update(state("master"), serving=True)
    assert answers(port) == {"/master": 200, "/replica": 503}
    status.update(state("slave"), serving=True)
    assert answers(port) == {"/master": 503, "/replica": 200}
    status.update(state("slave"), serving=False)
    assert answers(port) == {"/master": 503, "/replica": 503}


@pytest.mark.parametrize("path", ["/", "", "/masters", "/Master", "/restored/"])
def test_nothing_else_is_told(status: Status, port: int, path: str) -> None:
    assert asked(port, path) == 503


def test_others_learn_how_new_the_data_was_that_the_server_found(status: Status, port: int) -> None:
    assert run(restored_of(HERE, port)) == RESTORED
    status.update(state("master"), serving=True)
    assert run(restored_of(HERE, port)) == RESTORED


def test_others_learn_how_long_the_master_was_not_heard(status: Status, port: int) -> None:
    assert run(silence_of(HERE, port)) == SILENCE


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """A port where every question is answered so, and cut off then."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as client:
                client.recv(1024)
                client.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.0 503 Service Unavailable\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b'HTTP/1.0 200 OK\r\n\r\n{"epoch": 7',
        b"HTTP/1.0 200 OK\r\n\r\n[]",
        b'HTTP/1.0 200 OK\r\n\r\n{"epoch": "x", "offset": 1}',
        b'HTTP/1.0 200 OK\r\n\r\n{"epoch": 7}',
    ],
)
def test_an_agent_that_is_cut_off_or_broken_counts_as_one_that_does_not_answer(reply: bytes) -> None:
    for question in (restored_of, silence_of):
        with answering(reply) as port, pytest.raises(ConnectionError):
            run(question(HERE, port))


def test_where_no_agent_listens_there_is_no_answer() -> None:
    with pytest.raises(ConnectionRefusedError):
        run(restored_of(HERE, free_port()))


def test_an_agent_that_hangs_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging, pytest.raises(TimeoutError):
        run(restored_of(HERE, int(hanging.getsockname()[1])))
