"""No read returns a value older than the last acknowledged write: whatever happens to shards, and while their number changes."""

from __future__ import annotations

import random
import signal

import pytest
from caches_runtime.client import memcached_shard
from caches_runtime.client.memcached import MemcachedClient
from caches_runtime.client.memcached_shard import ShardAwayError
from common.waiting import until
from unit.client.relay import relay
from unit.client.shards import shards

KEYS = [f"key{number}" for number in range(100)]


def test_a_deletion_that_a_hung_shard_missed_is_made_up_for_before_it_is_read() -> None:
    with shards(1) as under:
        [node] = under.processes
        client = under.client()
        client.set_many(dict.fromkeys(KEYS, b"old"))
        under.send(node, signal.SIGSTOP)
        with pytest.raises(ShardAwayError):
            client.delete(KEYS[0])
        with pytest.raises(ShardAwayError):
            client.set(KEYS[1], b"new")
        assert client.get(KEYS[0]) is None
        under.send(node, signal.SIGCONT)
        assert until(lambda: client.get(KEYS[2]) == b"old", 60, every=0.01)
        assert client.get_many(KEYS[:2]) == {}, "neither the old values nor the one that may have been written"


def test_a_write_that_is_delivered_late_is_waited_for_and_never_follows_a_newer_one() -> None:
    with shards(1) as under, relay(next(iter(under.processes))) as network:
        direct, client = under.client(), under.client([network.node])
        client.set("k", b"first")
        network.hold()
        with pytest.raises(ShardAwayError):
            client.set("k", b"late")
        with pytest.raises(ShardAwayError):
            client.set("k", b"newer")
        assert client.get("k") is None
        assert direct.get("k") == b"first", "nothing of it has arrived"
        network.release()
        assert until(lambda: _stores(client, "other"), 60, every=0.01)
        assert direct.get("k") is None, "it has arrived, and was removed"


def test_more_missed_keys_than_are_remembered_empty_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memcached_shard, "OWED_KEYS", 10)
    with shards(1) as under:
        [node] = under.processes
        client = under.client()
        client.set_many(dict.fromkeys(KEYS, b"old"))
        under.send(node, signal.SIGSTOP)
        assert len(client.delete_many(KEYS[:50])) == 50
        under.send(node, signal.SIGCONT)
        assert until(lambda: _stores(client, "probe"), 60, every=0.01)
        assert client.get_many(KEYS) == {}


def _stores(client: MemcachedClient, key: str) -> bool:
    return not client.set_many({key: b"v"})


@pytest.mark.parametrize("seed", range(12))
def test_random_faults(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    keys = KEYS[:12]
    with shards(2) as under:
        client, other = under.client(budget_seconds=0.05), under.client(budget_seconds=0.05)
        acknowledged: dict[str, bytes | None] = dict.fromkeys(keys)
        maybe: dict[str, set[bytes | None]] = {key: set() for key in keys}
        stopped: set[str] = set()
        for step in range(150):
            node, key, value = chance.choice(list(under.processes)), chance.choice(keys), b"%d" % step
            match chance.choices(("stop", "continue", "restart", "set", "delete", "get"), (1, 2, 1, 20, 10, 20))[0]:
                case "stop":
                    under.send(node, signal.SIGSTOP)
                    stopped.add(node)
                case "continue":
                    under.send(node, signal.SIGCONT)
                    stopped.discard(node)
                case "restart":
                    under.kill(node)
                    under.start_again(node)
                    stopped.discard(node)
                case "get":
                    assert client.get(key) in (None, acknowledged[key] if not maybe[key] else None)
                    assert other.get(key) in (None, acknowledged[key], *maybe[key])
                case write:
                    wrote = value if write == "set" else None
                    failed = client.set_many({key: value}) if wrote else client.delete_many([key])
                    if failed:
                        maybe[key].add(wrote)
                    else:
                        acknowledged[key], maybe[key] = wrote, set()
        for node in stopped:
            under.send(node, signal.SIGCONT)
        assert until(lambda: not client.delete_many(KEYS), 60, every=0.01), "every shard is used again in the end"


@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_planned_change_of_shards_shows_nothing_stale_at_any_step(direction: str) -> None:
    with shards(5) as under:
        five = list(under.processes)
        four, fifth = five[:4], [five[4]]
        now, later = (four, five) if direction == "out" else (five, four)
        # Left by an earlier number of shards, in places that nobody looks at now.
        under.client(later).set_many(dict.fromkeys(KEYS, b"ancient"))
        if direction == "out":
            under.kill(fifth[0])
            under.start_again(fifth[0])
        under.client(now).set_many(dict.fromkeys(KEYS, b"0"))

        current: dict[str, bytes] = dict.fromkeys(KEYS, b"0")

        def both_use(*clients: MemcachedClient) -> None:
            for number, writer in enumerate(clients * 2):
                written = {key: b"%d-%d" % (id(writer), number) for key in KEYS[number::2]}
                assert writer.set_many(written) == {}
                current.update(written)
                for reader in clients:
                    assert all(value == current[key] for key, value in reader.get_many(KEYS).items())

        before, between = under.client(now), under.client(five, changing=fifth)
        both_use(before, between)
        removed = between.remove_misplaced()
        assert removed > 0
        after = under.client(later)
        both_use(between, after)
        current = dict.fromkeys(KEYS, b"last")
        assert after.set_many(current) == {}
        assert after.get_many(KEYS) == current


def test_keys_in_transition_are_not_cached_and_no_lock_is_given() -> None:
    with shards(2) as under:
        nodes = list(under.processes)
        plain, between = under.client(), under.client(changing=nodes[1:])
        plain.set_many(dict.fromkeys(KEYS, b"v"))
        there = between.get_many(KEYS)
        [away, *_] = [key for key in KEYS if key not in there]
        assert 0 < len(there) < len(KEYS)
        with pytest.raises(ShardAwayError, match="about to be added or removed"):
            between.add(away, b"lock")
        between.set(away, b"newer")
        assert plain.get(away) is None
