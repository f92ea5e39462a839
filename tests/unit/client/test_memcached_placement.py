"""Where keys go, and what they are called there."""

from __future__ import annotations

import random

import pytest
from caches_runtime.client.memcached_keys import expiry, legal
from caches_runtime.client.rendezvous import Rendezvous
from hypothesis import given
from hypothesis import strategies as st

NODES = [f"shards-{number}.shards-headless.shop.svc:11211" for number in range(5)]
KEYS = [b"user:%d:profile" % number for number in range(100_000)]
node_lists = st.lists(st.from_regex(r"[a-z0-9.-]{1,30}:[0-9]{1,5}", fullmatch=True), min_size=1, max_size=12, unique=True)
some_keys = st.lists(st.binary(min_size=1, max_size=300).map(legal), min_size=1, max_size=200)


def test_a_fifth_shard_gets_at_most_21_percent_of_the_keys_and_nothing_else_moves() -> None:
    before, after = Rendezvous(NODES[:4]), Rendezvous(NODES)
    moved = [after.node_of(key) for key in KEYS if before.node_of(key) != after.node_of(key)]
    assert set(moved) == {NODES[4]}
    assert 0.19 <= len(moved) / len(KEYS) <= 0.21


def test_shards_get_equal_parts() -> None:
    homes = Rendezvous(NODES)
    placed = [homes.node_of(key) for key in KEYS]
    assert max(placed.count(node) for node in NODES) <= 1.03 * len(KEYS) / len(NODES)


@given(node_lists, some_keys, st.randoms(use_true_random=False))
def test_the_order_of_nodes_does_not_matter(nodes: list[str], keys: list[bytes], chance: random.Random) -> None:
    other = chance.sample(nodes, len(nodes))
    assert [Rendezvous(nodes).node_of(key) for key in keys] == [Rendezvous(other).node_of(key) for key in keys]


@given(node_lists.filter(lambda nodes: len(nodes) > 1), some_keys)
def test_keys_only_move_to_what_was_added_or_from_what_was_removed(nodes: list[str], keys: list[bytes]) -> None:
    fewer, more = Rendezvous(nodes[1:]), Rendezvous(nodes)
    for key in keys:
        assert more.node_of(key) in (fewer.node_of(key), nodes[0])


def test_no_node_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no node"):
        Rendezvous([])


any_key = st.one_of(st.binary(max_size=400), st.text(max_size=300), st.builds(legal, st.binary(max_size=300)))


@given(any_key, any_key)
def test_two_keys_never_meet(one: str | bytes, other: str | bytes) -> None:
    raw = [key.encode(errors="surrogatepass") if isinstance(key, str) else key for key in (one, other)]
    assert (legal(one) == legal(other)) == (raw[0] == raw[1])


@given(any_key)
def test_every_key_is_one_that_memcached_takes(key: str | bytes) -> None:
    wire = legal(key)
    assert 1 <= len(wire) <= 250
    assert not any(byte <= 0x20 or byte == 0x7F for byte in wire)


def test_a_hash_given_as_a_key_is_not_the_key_that_it_is_the_hash_of() -> None:
    assert legal(legal("a b")) != legal("a b")


def test_text_and_its_bytes_are_one_key_and_stay_as_they_are() -> None:
    assert legal("größe") == legal("größe".encode()) == "größe".encode()


def test_times_to_live() -> None:
    assert expiry(None) == 0
    assert expiry(60) == 60
    assert expiry(31 * 24 * 3600) > 10**9
    with pytest.raises(ValueError, match="at least 1"):
        expiry(0)
