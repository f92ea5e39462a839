"""A server of Memcached that restarts in its pod and keeps its items."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from unit.memcached_servers import MemcachedPod
from unit.servers import find_programs, pods_of

WARM: dict[str, Any] = {"memory_gib": 0.125, "warm_restart": True}
KEYS = [f"key{number}" for number in range(2000)]


@pytest.fixture
def pod() -> Iterator[MemcachedPod]:
    with pods_of(MemcachedPod, find_programs("memcached"), "shard") as made:
        yield made[0]


def fill(pod: MemcachedPod) -> None:
    pod.serve(**WARM)
    assert set(pod.call(*(f"set {key} 0 0 {len(key)}\r\n{key}" for key in KEYS))) == {"STORED"}


def found(pod: MemcachedPod) -> int:
    return sum(value == key for key, value in zip(KEYS, pod.call(*(f"get {key}" for key in KEYS)), strict=True))


def server(pod: MemcachedPod) -> int:
    return int((pod.folder / "run" / "pid").read_text())


def test_a_server_that_is_ended_as_a_kubelet_ends_it_has_its_items_again(pod: MemcachedPod) -> None:
    fill(pod)
    for _ in range(2):
        pod.server.end(signal.SIGTERM)
        assert pod.server.wait() == 0
        pod.serve(**WARM)
        assert found(pod) == len(KEYS)
    assert (pod.probe("alive"), pod.probe("ready")) == ("", "")


def test_a_server_that_crashed_starts_empty(pod: MemcachedPod) -> None:
    fill(pod)
    os.kill(server(pod), signal.SIGKILL)
    assert pod.server.wait() == 128 + signal.SIGKILL, "the container ends as its server did, so that it is restarted"
    pod.serve(**WARM)
    assert found(pod) == 0


def test_a_server_that_was_killed_while_it_kept_its_items_starts_empty_and_not_at_all_would_be_worse(pod: MemcachedPod) -> None:
    fill(pod)
    pod.server.end(signal.SIGTERM)
    (pod.folder / "data" / "items.meta").write_text("")
    pod.serve(**WARM)
    assert found(pod) == 0


def test_items_of_another_size_are_not_taken_over(pod: MemcachedPod) -> None:
    fill(pod)
    pod.server.end(signal.SIGTERM)
    pod.serve(**WARM, item_memory_mib=80)
    assert found(pod) == 0


@pytest.mark.parametrize("sizes", [{"growth_factor": 1.01}, {"growth_factor": 1.01, "min_chunk_bytes": 1}, {"max_item_size_mib": 32}])
def test_the_least_memory_for_items_is_enough_for_every_size_that_there_may_be(pod: MemcachedPod, sizes: dict[str, Any]) -> None:
    pod.serve(**WARM, item_memory_mib=64, **sizes)
    assert pod.call("set key 0 0 1\r\nx") == ["STORED"]


def test_passwords_rotate_as_without_it(pod: MemcachedPod) -> None:
    fill(pod)
    pod.credentials(password="after", previous=None)
    assert pod.probe("ready") == ""
    pod.await_refused("the-password")
    assert pod.accepts("after")


def test_an_image_that_can_not_keep_items_says_so_and_starts_nothing(pod: MemcachedPod) -> None:
    started = pod.start(path=f"{pod.built_without_anything()}:{pod.programs.path}", **WARM)
    assert started.wait() == 1
    assert "start: the image's memcached 1.6.99 has no memory file, which warm_restart needs" in started.output
