"""A network that delivers late: passes connections on to a server, and can hold back what comes on those that are open."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Listens on a port of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.node = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._requests: list[threading.Event] = []
        self._answers: list[threading.Event] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """From now on, what clients send on connections that are open waits; new ones pass."""
        for gate in self._requests:
            gate.clear()

    def hold_answers(self) -> None:
        """The same for what the server sends."""
        for gate in self._answers:
            gate.clear()

    def release(self) -> None:
        """Delivers it."""
        for gate in self._requests + self._answers:
            gate.set()

    def close(self) -> None:
        """Takes no more connections."""
        self.release()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for source, target, gates in ((client, server, self._requests), (server, client, self._answers)):
                    gate = threading.Event()
                    gate.set()
                    gates.append(gate)
                    threading.Thread(target=_pass_on, args=(source, target, gate), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, gate: threading.Event) -> None:
    with suppress(OSError):
        while received := source.recv(65536):
            gate.wait()
            target.sendall(received)
        gate.wait()
        target.shutdown(socket.SHUT_WR)


@contextmanager
def relay(node: str) -> Iterator[Relay]:
    """One before that node, ended afterwards."""
    host, _, port = node.rpartition(":")
    started = Relay(host, int(port))
    try:
        yield started
    finally:
        started.close()
