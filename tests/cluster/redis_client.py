"""A client inside the cluster's network, a process of its own: `redis_client.py HOST PORT` with the password on standard input.

`… call COMMAND ARGUMENT…` prints the reply, or the error, as JSON. `… write` sets a counter until standard input closes and
prints how many writes were acknowledged, the errors met and the longest time without an acknowledged write. `… serve` runs
a command for each further line of standard input, a JSON list of host, port and the command's words; DIGEST is a command too.
With the environment variable CA_PEM it speaks TLS to servers of that authority, whatever their names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

KEY = "counter"


def main() -> None:
    host, port, action, *command = sys.argv[1:]
    password = sys.stdin.readline().rstrip("\n")
    if action == "serve":
        serve(password)
        return
    client = connect(host, int(port), password)
    print(json.dumps(write(client) if action == "write" else call(client, command)))


def connect(host: str, port: int, password: str) -> redis.Redis:
    client = redis.Redis(
        host=host,
        port=port,
        password=password or None,
        socket_timeout=5,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        protocol=2,
        ssl=bool(os.environ.get("CA_PEM")),
        ssl_ca_data=os.environ.get("CA_PEM"),
        ssl_check_hostname=False,
    )
    # Replies as the server gives them.
    client.response_callbacks.clear()
    return client


def serve(password: str) -> None:
    clients: dict[tuple[str, int], redis.Redis] = {}
    for line in sys.stdin:
        host, port, *command = json.loads(line)
        client = clients.setdefault((host, port), connect(host, port, password))
        print(json.dumps(call(client, command)), flush=True)


def call(client: redis.Redis, command: list[str]) -> dict[str, Any]:
    try:
        return {"reply": digest(client) if command == ["DIGEST"] else client.execute_command(*command)}  # type: ignore[no-untyped-call]
    except redis.RedisError as error:
        return {"error": f"{type(error).__name__}: {error}"}


def digest(client: redis.Redis) -> str:
    """Of all strings, in any order; DEBUG DIGEST, which servers refuse."""
    with contextlib.suppress(redis.ResponseError):
        client.readonly()  # a cluster's replica answers only then
    values, cursor = dict[str, str](), "0"
    while True:
        cursor, keys = client.execute_command("SCAN", cursor, "COUNT", 5000)  # type: ignore[no-untyped-call]
        with client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(key)
            values |= zip(keys, pipe.execute(), strict=True)
        if cursor == "0":
            return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()


def write(client: redis.Redis) -> dict[str, Any]:
    stop = threading.Event()

    def stop_when_closed() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=stop_when_closed, daemon=True).start()
    print("started", flush=True)
    written, errors, longest, last = 0, list[str](), 0.0, time.monotonic()
    while not stop.wait(0.002):
        try:
            client.set(KEY, written + 1)
        except redis.RedisError as error:
            errors.append(f"{type(error).__name__}: {error}")
            continue
        written, longest, last = written + 1, max(longest, time.monotonic() - last), time.monotonic()
    return {"written": written, "errors": errors, "longest_gap_seconds": longest}


if __name__ == "__main__":
    main()
