"""Clients inside the cluster's network that write until standard input closes, then read back every acknowledged write.

`writers.py KIND…` with the connection as a line of JSON on standard input; each KIND is a client of its own: `service` (knows only
host and port), `anew` (the same, with a new connection for each write), `sentinel` (asks the sentinels), `cluster`. With `+wait` a
write counts as acknowledged when a replica has it too; with `@TAG` all keys have that hash tag, and so are in one shard.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
from collections import Counter
from typing import Any, cast

import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

EVERY_SECONDS = 0.002
# As a client should have them: what takes longer has failed.
TIMEOUTS: dict[str, Any] = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
REPORTED_GAP_SECONDS = 0.05
READ_BATCH = 500
FAILURES = (redis.RedisError, RedisClusterException, OSError)
RUN = secrets.token_hex(4)
# As a well-kept client of a cluster has it: a call that fails is tried again for some seconds.
TRIES = Retry(ConstantBackoff(0.05), 100)


class Writer:
    """One client: sets a key of its own for each write."""

    def __init__(self, kind: str, connection: dict[str, Any]) -> None:
        named, _, tag = kind.partition("@")
        self.kind, _, self._wait = named.partition("+")
        # Of this run only: a value of one before would pass for a write that was lost.
        self._prefix = f"{{{tag}}}:{named}:{RUN}:" if tag else f"{named}:{RUN}:"
        self._connection = connection
        self._client = self._connect()
        self._acknowledged: list[int] = []
        self._errors: Counter[str] = Counter()
        self._gaps: list[tuple[float, float]] = []
        self._silent_seconds = 0.0

    def write(self, stop: threading.Event) -> None:
        number, last = 0, time.time()
        while not stop.wait(EVERY_SECONDS):
            number += 1
            try:
                if not self._put(f"{self._prefix}{number}", number):
                    self._errors["no replica had it in time"] += 1
                    continue
            except FAILURES as error:
                self._errors[f"{type(error).__name__}: {error}"[:80]] += 1
                if isinstance(self._client, RedisCluster):
                    self._look_again()
                continue
            now = time.time()
            if now - last > REPORTED_GAP_SECONDS:
                self._gaps.append((last, now - last))
            last = now
            self._acknowledged.append(number)
            if self.kind == "anew":
                self._client.connection_pool.disconnect()
        self._silent_seconds = time.time() - last

    def _put(self, key: str, value: int) -> bool:
        """Whether the write counts as acknowledged."""
        if isinstance(self._client, RedisCluster):
            return self._put_in_cluster(self._client, key, value)
        self._client.set(key, value)
        return not self._wait or bool(self._client.wait(1, 500))

    def _put_in_cluster(self, client: RedisCluster, key: str, value: int) -> bool:
        if self._wait:
            # On one connection: on another one, a WAIT knows of no write.
            node = client.get_node_from_key(key)  # type: ignore[no-untyped-call]
            if node is None or node.redis_connection is None:
                raise redis.ConnectionError("a shard without a known master")
            with node.redis_connection.pipeline(transaction=False) as pipe:
                pipe.set(key, value)
                pipe.execute_command("WAIT", 1, 500)
                return bool(pipe.execute()[1])
        try:
            client.set(key, value)
        except AttributeError:
            # What redis-py 8.1 makes of being sent on (ASK) to a node that has joined since it last read who is there.
            client.nodes_manager.initialize()
            client.set(key, value)
        return True

    def _look_again(self) -> None:
        """Who is there. From the names that were published, since all addresses may have changed."""
        try:
            self._client = self._connect()
        except FAILURES as error:
            self._errors[f"{type(error).__name__}: {error}"[:80]] += 1

    def report(self) -> dict[str, Any]:
        lost = [number for number, value in zip(self._acknowledged, self._values(), strict=True) if value != str(number)]
        return {
            "written": len(self._acknowledged),
            "lost": len(lost),
            "errors": dict(self._errors),
            "longest_gap_seconds": max((length for _, length in self._gaps), default=0.0),
            "gaps": self._gaps,
            "silent_seconds": self._silent_seconds,
        }

    def _values(self) -> list[str | None]:
        keys = [f"{self._prefix}{number}" for number in self._acknowledged]
        values: list[str | None] = []
        for start in range(0, len(keys), READ_BATCH):
            values += self._read(keys[start : start + READ_BATCH])
        return values

    def _read(self, keys: list[str]) -> list[str | None]:
        deadline = time.monotonic() + 30
        while True:
            try:
                if isinstance(self._client, RedisCluster):
                    return cast("list[str | None]", self._client.mget_nonatomic(keys))
                return cast("list[str | None]", self._client.mget(keys))
            except FAILURES:
                if time.monotonic() > deadline:
                    raise
                if isinstance(self._client, RedisCluster):
                    self._look_again()

    def _connect(self) -> Any:
        # Sentinels and clusters name servers by address, which is in no certificate: they are known by the authority alone.
        by_name = self.kind in ("service", "anew")
        tls = {"ssl": True, "ssl_ca_data": self._connection["ca_pem"], "ssl_check_hostname": by_name} if self._connection["tls"] else {}
        common = {"password": self._connection["password"], "decode_responses": True, **TIMEOUTS, **tls}
        once = Retry(NoBackoff(), 0)
        if by_name:
            return redis.Redis(host=self._connection["host"], port=self._connection["port"], retry=once, **common)
        if self.kind == "sentinel":
            addresses = [(host, int(port)) for host, port in (name.rsplit(":", 1) for name in self._connection["sentinels"])]
            to_sentinels = {"password": common["password"], "socket_timeout": 0.2, "socket_connect_timeout": 0.2, "retry": once, **tls}
            sentinel = Sentinel(addresses, sentinel_kwargs=to_sentinels)  # type: ignore[no-untyped-call]
            return sentinel.master_for(self._connection["master_name"], retry=once, **common)  # type: ignore[no-untyped-call]
        addresses = [(host, int(port)) for host, port in (name.rsplit(":", 1) for name in self._connection["nodes"])]
        nodes = [ClusterNode(host, port) for host, port in addresses]  # type: ignore[no-untyped-call]
        return RedisCluster(startup_nodes=nodes, retry=once if self._wait else TRIES, **common)


def main() -> None:
    connection = json.loads(sys.stdin.readline())
    writers = [Writer(kind, connection) for kind in sys.argv[1:]]
    stop = threading.Event()
    threads = [threading.Thread(target=writer.write, args=[stop], daemon=True) for writer in writers]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({kind: writer.report() for kind, writer in zip(sys.argv[1:], writers, strict=True)}))


if __name__ == "__main__":
    main()
