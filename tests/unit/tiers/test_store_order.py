"""What the link's promise rests on: a server says what has changed before it acknowledges the write, on another connection."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from unit.client.processes import PASSWORD, Processes, processes

WRITES = 2_000


@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_an_invalidation_is_there_when_the_answer_to_a_question_after_the_write_is(engine: str) -> None:
    with processes(engine) as server:
        server.serve(1)
        with server.client(1) as writer:
            heard: list[bytes] = []
            connection = listening(server)
            connection._parser.set_invalidation_push_handler(lambda push: heard.extend(push[1]))
            connection.send_command("CLIENT", "TRACKING", "ON", "BCAST")
            assert connection.read_response() == b"OK"
            for number in range(WRITES):
                writer.set(f"key{number}", "value")
                connection.send_command("ROLE")
                connection.read_response()
                assert heard == [b"key%d" % number]
                heard.clear()
            connection.disconnect()


def listening(server: Processes) -> Any:
    return redis.Redis(server.host(1), password=PASSWORD, protocol=3).connection_pool.get_connection()
