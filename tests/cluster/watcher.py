"""Tries, inside the cluster's network, to write to every server itself until standard input closes: are there ever two masters?

`watcher.py KEY…` with the password, the authority's certificate and the hosts as a line of JSON on standard input. For each key
it prints how many seconds two servers accepted writes of it at the same time.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import combinations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

EVERY_SECONDS = 0.1
Interval = tuple[float, float]


class Attempts:
    """Writes of one key to one server."""

    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client = client
        self._key = key
        self.accepted: list[Interval] = []
        """Times from an accepted write to the last one before a refused or unanswered one."""

    def repeat(self, stop: threading.Event) -> None:
        going_on = False
        while not stop.wait(EVERY_SECONDS):
            sent = time.monotonic()
            try:
                self._client.set(self._key, "1")
            except redis.RedisError:
                going_on = False
                continue
            if going_on:
                self.accepted[-1] = (self.accepted[-1][0], sent)
            else:
                now = time.monotonic()
                self.accepted.append((now, now))
            going_on = True


def connect(host: str, password: str, ca_pem: str) -> redis.Redis:
    return redis.Redis(
        host=host,
        password=password,
        socket_timeout=0.5,
        socket_connect_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
        ssl=bool(ca_pem),
        ssl_ca_data=ca_pem,
        ssl_check_hostname=False,
    )


def together(intervals: list[list[Interval]]) -> float:
    """For how long any two of several servers had an interval at the same time."""
    return sum(
        max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
        for first, second in combinations(intervals, 2)
        for one in first
        for other in second
    )


def main() -> None:
    given = json.loads(sys.stdin.readline())
    attempts = {key: [Attempts(connect(host, given["password"], given["ca_pem"]), key) for host in given["hosts"]] for key in sys.argv[1:]}
    stop = threading.Event()
    threads = [threading.Thread(target=one.repeat, args=[stop], daemon=True) for each in attempts.values() for one in each]
    for thread in threads:
        thread.start()
    print("started", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({key: together([one.accepted for one in each]) for key, each in attempts.items()}))


if __name__ == "__main__":
    main()
