"""A client that writes to whoever is master, and knows which writes were acknowledged."""

from __future__ import annotations

import contextlib
import threading

import redis
from common.waiting import until
from unit.sentinel.group import Group
from unit.servers import Pod, call

KEY = "written"


class Writer:
    """Adds numbers to a list. With `confirmed`, WAIT or WAITAOF, a write only counts when so many have it."""

    def __init__(self, group: Group, confirmed: str = "") -> None:
        self._group = group
        self._confirmed = confirmed.split()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.acknowledged: list[int] = []

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def await_more(self, count: int = 20, seconds: float = 30) -> None:
        """Waits until so many more were acknowledged."""
        wanted = len(self.acknowledged) + count
        assert until(lambda: len(self.acknowledged) >= wanted, seconds, every=0.01), self._group.logs()

    def await_everywhere(self) -> None:
        """Waits until every member gets what is written. A replica says that it follows up to a second before it is sent anything."""
        first = self.acknowledged[0]
        assert until(lambda: all(first in self._kept(pod) for pod in self._group.pods), 10), self._group.logs()

    def lost(self, pod: Pod) -> list[int]:
        """What was acknowledged and is not in a pod's server."""
        kept = self._kept(pod)
        return [number for number in self.acknowledged if number not in kept]

    def _kept(self, pod: Pod) -> set[int]:
        with pod.connect() as client:
            return {int(number) for number in client.lrange(KEY, 0, -1)}

    def _write(self) -> None:
        number = 0
        while not self._ended.wait(0.01):
            master = self._group.shown()
            if master is None:
                continue
            # Refused, or a connection that ended: not acknowledged, and the next attempt goes to whoever is master then.
            with contextlib.suppress(redis.RedisError), master.connect(seconds=2) as client:
                while not self._ended.is_set():
                    number += 1
                    client.rpush(KEY, number)
                    if self._is_confirmed(client):
                        self.acknowledged.append(number)

    def _is_confirmed(self, client: redis.Redis) -> bool:
        if not self._confirmed:
            return True
        answer = call(client, *self._confirmed)
        wanted = [int(count) for count in self._confirmed[1:-1]]
        return all(got >= count for got, count in zip(answer if isinstance(answer, list) else [answer], wanted, strict=True))
