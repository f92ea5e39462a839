"""A RedisClusterWithInit under observation: who leads each shard, and what must hold after every fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from caches_runtime.ops.cluster_state import SLOTS, parse_nodes
from cluster.deployed import eventually
from cluster.faults.observed import CONTROL_PLANE, Observed
from common.waiting import until
from redis.crc import key_slot


def tag_of(shard: int) -> str:
    """A hash tag in the slots that a shard has of three; with more shards it may be another one's."""
    return next(f"t{number}" for number in range(99) if key_slot(f"t{number}".encode()) * 3 // SLOTS == shard)


TAGS = [tag_of(shard) for shard in range(3)]
PLAIN = [f"cluster@{tag}" for tag in TAGS]
WAITING = "cluster+wait"
KINDS = (*PLAIN, WAITING)
"""Clients of all shards, one of which waits for a replica."""


class Cluster(Observed):
    """One RedisClusterWithInit named `cache`."""

    watched_keys = tuple(f"{{{tag}}}:watched" for tag in TAGS)

    def __init__(self, scratch: Path, namespace: str) -> None:
        super().__init__(scratch, namespace, "RedisClusterWithInit")

    def arguments(self, **args: Any) -> None:
        super().arguments(**{"memory_gib": 0.0625, **args})

    @property
    def shards(self) -> int:
        return int(self.args.get("shards", 3))

    @property
    def replicas(self) -> int:
        return int(self.args.get("replicas_per_shard", 1))

    def pods_of(self, shard: int) -> list[str]:
        return [f"cache-{shard}-{ordinal}" for ordinal in range(1 + self.replicas)]

    def pod_names(self) -> list[str]:
        return [pod for shard in range(self.shards) for pod in self.pods_of(shard)]

    def host(self, pod: str) -> str:
        return f"{pod}.cache-headless.{self.namespace}.svc"

    def role(self, pod: str) -> str:
        """`master` or `slave`; what it says instead when it does not answer."""
        reply = self.ask(pod, "ROLE")
        return str(reply[0]) if isinstance(reply, list) else str(reply)

    def master(self, shard: int = 0) -> str:
        masters = [pod for pod in self.pods_of(shard) if self.role(pod) == "master"]
        assert len(masters) == 1, f"masters of shard {shard}: {masters}"
        return masters[0]

    def replica(self, shard: int = 0) -> str:
        return next(pod for pod in self.pods_of(shard) if self.role(pod) == "slave")

    def await_master(self, pod: str) -> None:
        """At once, so that what is done to it next comes soon after."""
        assert until(lambda: self.role(pod) == "master", 30, every=0.05), f"{pod} is not the master"

    def hand_over(self, shard: int, to: str) -> None:
        """The replica becomes the master, gracefully."""
        assert self.ask(to, "CLUSTER", "FAILOVER") == "OK", f"shard {shard}"
        self.await_master(to)

    def shard_alone_on_its_node(self) -> int:
        """A shard whose master is alone on its node: when a node takes two of three masters along, nobody is left to vote.

        Not on the API server's node, which is where clients come from, too. Where there is none, shards are handed over.
        """
        for moved in (None, *range(self.shards)):
            if moved is not None:
                self.hand_over(moved, self.replica(moved))
                self.await_whole(quiet=False)
            on = {shard: self.node_number(self.master(shard)) for shard in range(self.shards)}
            count = Counter(on.values())
            for shard, number in on.items():
                if number != CONTROL_PLANE and count[number] == 1 and self.node_number(self.replica(shard)) != number:
                    return shard
        raise AssertionError(f"no master can be alone on a node: {on}")

    def identities(self) -> dict[str, Any]:
        return {pod: self.ask(pod, "CLUSTER", "MYID") for pod in self.pod_names()}

    @contextmanager
    def all_replaced(self) -> Iterator[None]:
        """Waits, after what is done meanwhile, until there is another pod for each."""
        before = self.pods()
        yield
        eventually(lambda: self.pods().keys() == before.keys() and not {*self.pods().values()} & {*before.values()}, "new pods", 180)

    def slots(self) -> dict[str, int]:
        """How many slots each shard has, as its first pod sees it; a slot that is on its way is an error."""
        counts: dict[str, int] = {}
        myself, peers = parse_nodes(self.ask("cache-0-0", "CLUSTER", "NODES"))
        assert not myself.migrating, "a slot is open"
        assert not myself.importing, "a slot is open"
        for host, slots in [(self.host("cache-0-0"), myself.slots), *((peer.host, peer.slots) for peer in peers.values())]:
            shard = host.partition(".")[0].rpartition("-")[0]
            if slots:
                counts[shard] = counts.get(shard, 0) + len(slots)
        return counts

    def await_writes(self) -> None:
        """Waits until clients have written some more to every shard."""
        before = self._master_counts()

        def more() -> bool:
            counts = self._master_counts()
            return all(isinstance(keys, int) and keys >= before.get(shard, 0) + 50 for shard, keys in counts.items()) and bool(counts)

        eventually(more, "clients write to every shard")

    def _master_counts(self) -> dict[int, Any]:
        roles = {shard: [pod for pod in self.pods_of(shard) if self.role(pod) == "master"] for shard in range(self.shards)}
        return {shard: self.ask(masters[0], "DBSIZE") for shard, masters in roles.items() if masters}

    def fault(self) -> str:
        for shard in range(self.shards):
            roles = {pod: self.ask(pod, "ROLE") for pod in self.pods_of(shard)}
            if silent := {pod: role for pod, role in roles.items() if not isinstance(role, list)}:
                return f"no answer: {silent}"
            masters = [pod for pod, role in roles.items() if role[0] == "master"]
            if len(masters) != 1:
                return f"masters of shard {shard}: {masters}"
            if behind := {pod: role[3] for pod, role in roles.items() if pod not in masters and role[3] != "connected"}:
                return f"replicas: {behind}"
        return next(filter(None, (self._fault_in_the_eyes_of(pod) for pod in self.pod_names())), "")

    def _fault_in_the_eyes_of(self, pod: str) -> str:
        """Every node knows all and no other, and who has which slots."""
        said = self.ask(pod, "CLUSTER", "NODES")
        if not str(said).count("myself"):
            return f"{pod}: {said}"
        myself, peers = parse_nodes(said)
        if len(peers) + 1 != len(self.pod_names()):
            return f"{pod} knows {len(peers)} others"
        if away := [peer.host or peer.id for peer in peers.values() if not peer.connected]:
            return f"{pod} misses {away}"
        if myself.migrating or myself.importing:
            return f"{pod} has open slots"
        held = [myself.slots, *(peer.slots for peer in peers.values())]
        if (served := len(frozenset().union(*held))) != SLOTS or sum(map(len, held)) != SLOTS:
            return f"{pod} sees {served} slots served"
        return ""

    def copies(self) -> list[list[str]]:
        return [self.pods_of(shard) for shard in range(self.shards)]
