"""Shards for the client's tests: Memcached processes that can be killed, hung and started again where they were."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from caches_runtime.client.memcached import MemcachedClient
from certificates import Certified
from common.waiting import until
from unit.warmup.servers import Memcached, memcached_process

BUDGET_SECONDS = 1.5


class Shards:
    """Processes by node."""

    def __init__(self, closing: ExitStack, count: int, **options: Any) -> None:
        self._closing, self._options = closing, options
        self.processes: dict[str, Memcached] = {}
        for _ in range(count):
            self._start("")
        first = next(iter(self.processes.values())).connection
        self.connection = {**first, "nodes": list(self.processes)}

    def client(self, nodes: list[str] | None = None, retry_seconds: float = 0, **options: Any) -> MemcachedClient:
        """A client, closed afterwards."""
        connection = self.connection if nodes is None else {**self.connection, "nodes": nodes}
        options = {"budget_seconds": BUDGET_SECONDS, **options}
        return self._closing.enter_context(MemcachedClient(connection, retry_seconds=retry_seconds, **options))

    def send(self, node: str, number: signal.Signals) -> None:
        """Sends the process of a node a signal; one that is stopped has stopped then, with all its threads."""
        process = self.processes[node].process
        process.send_signal(number)
        if number is signal.SIGSTOP:
            assert until(lambda: _has_stopped(process.pid), 10, every=0.001)

    def kill(self, node: str) -> None:
        """Kills it, and waits until it is gone."""
        self.send(node, signal.SIGKILL)
        self.processes[node].process.wait(10)

    def start_again(self, node: str) -> None:
        """Empty, at the same address."""
        self._start(node.rpartition(":")[0])

    def _start(self, host: str) -> None:
        started = self._closing.enter_context(memcached_process("-m", "64", host=host, **self._options))
        self.processes[started.connection["nodes"][0]] = started


def _has_stopped(process: int) -> bool:
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{process}/task").glob("*/stat")]
    return set(states) == {"T"}


@contextmanager
def shards(count: int, *, login: bool = False, certificate: Certified | None = None) -> Iterator[Shards]:
    """So many, ended afterwards."""
    with ExitStack() as closing:
        yield Shards(closing, count, login=login, certificate=certificate)
