"""Clients of a Redis Cluster inside the cluster's network: `cluster_client.py HOST ACTION` with the password on standard input.

`write TAG…` writes a new key with each of the hash tags again and again, a thread each, until standard input closes. It prints for
each tag how many writes were acknowledged, which failed, the longest time without an acknowledged one, and how many are missing
afterwards. `confirmed TAG` writes to the one node HOST, waiting each time until a replica has it, until the node no longer
answers; prints how many. `missing TAG COUNT` prints how many of that many keys are missing. `call COMMAND ARGUMENT…` prints the reply.
With the environment variable CA_PEM all speak TLS to nodes of that authority.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry

# As a well-kept application has it: a call that fails is tried again for some seconds.
TRIES = Retry(ConstantBackoff(0.05), 100)
OPTIONS: dict[str, Any] = {"decode_responses": True, "socket_timeout": 0.5, "socket_connect_timeout": 0.3}
if ca_pem := os.environ.get("CA_PEM"):
    OPTIONS |= {"ssl": True, "ssl_ca_data": ca_pem, "ssl_check_hostname": False}


def main() -> None:
    host, action, *words = sys.argv[1:]
    password = sys.stdin.readline().rstrip("\n")
    if action == "confirmed":
        print(json.dumps(confirmed(host, password, words[0])))
        return
    if action == "write":
        print(json.dumps(write(host, password, words)))
        return
    client = redis.RedisCluster(host=host, password=password, retry=TRIES, **OPTIONS)
    print(json.dumps(missing(client, words[0], int(words[1])) if action == "missing" else client.execute_command(*words)))  # type: ignore[no-untyped-call]


def write(host: str, password: str, tags: list[str]) -> dict[str, Any]:
    stop = threading.Event()
    results: dict[str, Any] = {}

    def run(tag: str) -> None:
        client = redis.RedisCluster(host=host, password=password, retry=TRIES, **OPTIONS)
        written, failed, gaps, last = 0, list[str](), [0.0], time.monotonic()
        acknowledged = list[int]()
        started.wait()
        while not stop.is_set():
            written += 1
            try:
                put(client, key(tag, written), written)
            except redis.RedisError as error:
                failed.append(f"{type(error).__name__}: {error}")
                continue
            acknowledged.append(written)
            now = time.monotonic()
            gaps.append(now - last)
            last = now
            stop.wait(0.005)
        lost = [number for number in acknowledged if client.get(key(tag, number)) is None]
        results[tag] = {"written": len(acknowledged), "failed": failed, "longest_gap_seconds": max(gaps), "lost": len(lost)}

    started = threading.Barrier(len(tags) + 1)
    threads = [threading.Thread(target=run, args=[tag]) for tag in tags]
    for thread in threads:
        thread.start()
    started.wait()
    print("started", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    return results


def put(client: redis.RedisCluster, name: str, value: int) -> None:
    try:
        client.set(name, value)
    except AttributeError:
        # What redis-py 8.1 makes of being sent on (ASK) to a node that has joined since it last read who is there.
        client.nodes_manager.initialize()
        client.set(name, value)


def confirmed(host: str, password: str, tag: str) -> int:
    client = redis.Redis(host=host, password=password, retry=Retry(NoBackoff(), 0), single_connection_client=True, **OPTIONS)
    print("started", flush=True)
    count = 0
    try:
        while client.set(key(tag, count + 1), count + 1) and client.wait(1, 400) >= 1:
            count += 1
    except redis.RedisError:
        pass
    return count


def missing(client: redis.RedisCluster, tag: str, count: int) -> int:
    return sum(client.get(key(tag, number)) is None for number in range(1, count + 1))


def key(tag: str, number: int) -> str:
    return f"{{{tag}}}:{number}"


if __name__ == "__main__":
    main()
