"""Memcached's proxy before real servers, each in a network of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from common.waiting import until
from pulumi_caches.arguments import ArgumentError, Arguments
from pulumi_caches.kubernetes.memcached import read_memcached
from pulumi_caches.kubernetes.memcached_proxy import read_proxy as read
from pulumi_caches.kubernetes.memcached_shards import MemcachedShardsArgs
from unit.memcached_servers import MemcachedPod, read_proxy
from unit.servers import find_programs, pods_of

SHARDS = [f"shard-{ordinal}" for ordinal in range(5)]
KEYS = [f"user:{number}:profile" for number in range(4000)]


@pytest.fixture
def pods() -> Iterator[list[MemcachedPod]]:
    """Five shards that serve, and a pod for the proxy."""
    with pods_of(MemcachedPod, find_programs("memcached"), *SHARDS, "proxy") as made:
        for shard in made[:-1]:
            shard.without_passwords()
            shard.serve(auth="none", memory_gib=0.125)
        yield made


def call(pod: MemcachedPod, *commands: str) -> Any:
    return pod.call(*commands, password=None)


def write(pod: MemcachedPod, keys: list[str]) -> list[str]:
    """What the replies to writing each key, with its own name as its value, are."""
    return list(call(pod, *(f"set {key} 0 0 {len(key)}\r\n{key}" for key in keys)))


def found(pod: MemcachedPod) -> set[str]:
    return {key for key, value in zip(KEYS, call(pod, *(f"get {key}" for key in KEYS)), strict=True) if value == key}


def items(shard: MemcachedPod) -> int:
    return int(call(shard, "stats")[0]["curr_items"])


def test_keys_are_spread_over_the_shards_and_one_more_takes_its_part_and_nothing_else_moves(pods: list[MemcachedPod]) -> None:
    *shards, proxy = pods
    before = proxy.serve_proxy(SHARDS[:4])
    assert set(write(proxy, KEYS)) == {"STORED"}
    assert found(proxy) == set(KEYS)
    counts = [items(shard) for shard in shards]
    assert sum(counts) == len(KEYS), "each is on one shard"
    assert min(counts[:4]) > len(KEYS) / 4 * 0.8

    before.end()
    proxy.serve_proxy(SHARDS)
    moved = set(KEYS) - found(proxy)
    print(f"{len(moved) / len(KEYS):.2%} of the keys moved")
    assert 0.18 <= len(moved) / len(KEYS) <= 0.21
    assert set(write(proxy, sorted(moved))) == {"STORED"}
    assert items(shards[4]) == len(moved), "they moved to the new shard, and none between the others"


def test_a_shard_that_is_gone_costs_its_keys_an_error_at_once_and_serves_again_when_it_is_back(pods: list[MemcachedPod]) -> None:
    *shards, proxy = pods
    proxy.serve_proxy(SHARDS)
    assert set(write(proxy, KEYS)) == {"STORED"}
    lost = items(shards[2])
    shards[2].server.end()
    began = time.monotonic()
    replies = write(proxy, KEYS)
    assert time.monotonic() - began < 5
    assert (replies.count("SERVER_ERROR backend failure"), replies.count("STORED")) == (lost, len(KEYS) - lost)
    assert (proxy.probe("alive"), proxy.probe("ready")) == ("", ""), "the other shards are still to be reached"
    shards[2].serve(auth="none", memory_gib=0.125)
    assert until(lambda: set(write(proxy, KEYS)) == {"STORED"}, 10, every=0.2)


def test_the_largest_item_passes_and_a_larger_one_does_not(pods: list[MemcachedPod]) -> None:
    *shards, proxy = pods
    for shard in shards:
        shard.server.end()
        shard.serve(auth="none", memory_gib=0.125, max_item_size_mib=8)
    proxy.serve_proxy(SHARDS, max_item_size_mib=8)
    size = 8 * 2**20 - 1000
    value = "x" * size
    assert call(proxy, f"set large 0 0 {size}\r\n{value}", "get large") == ["STORED", value]
    assert "too large" in str(call(proxy, f"set large 0 0 {9 * 2**20}\r\n{'x' * 9 * 2**20}"))


def test_an_image_without_the_proxy_says_so_and_starts_nothing(pods: list[MemcachedPod]) -> None:
    proxy = pods[-1]
    started = proxy.start_proxy(SHARDS, path=f"{proxy.built_without_anything()}:{proxy.programs.path}")
    assert started.wait() == 1
    expected = "the image's memcached 1.6.99 was built without the proxy (--enable-proxy), which proxy needs: official images have it"
    assert expected in started.output


@pytest.mark.parametrize(
    ("image", "refused"),
    [
        ("memcached:1.6.38", True),
        ("docker.io/library/memcached:1.6.38-alpine", True),
        ("memcached:1.6.39", False),
        ("docker.io/library/memcached:1.6.45-trixie", False),
        # What others built, nobody knows here.
        ("mirror.example/memcached:1.6.38", False),
    ],
)
def test_an_official_image_that_is_known_to_have_no_proxy_is_refused(image: str, refused: bool) -> None:
    arguments = Arguments("Test", "cache", 63, {"proxy": True, "auth": "none", "proxy_image": image}, MemcachedShardsArgs)
    read(arguments, read_memcached(arguments), stable_names=True)
    if not refused:
        arguments.finish()
        return
    with pytest.raises(ArgumentError, match=r"proxy_image = .*: the official image has no proxy before 1\.6\.39"):
        arguments.finish()


@pytest.mark.parametrize(
    ("args", "memory_mib"),
    [
        ({}, 64 + 8 + 32 + 4),
        ({"proxy_memory_gib": 0.5}, 512),
        ({"max_item_size_mib": 8, "threads": 2}, 64 + 8 + 128 + 16),
        ({"max_connections": 65_536}, 64 + 512 + 36),
    ],
)
def test_its_memory_is_for_its_connections_and_for_items_on_their_way(args: dict[str, Any], memory_mib: int) -> None:
    assert read_proxy(**args).memory_mib == memory_mib
