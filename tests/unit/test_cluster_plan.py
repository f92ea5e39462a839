"""The plan of a cluster's repair, against a model of a cluster: from any state it leads to the wished one and loses nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from caches_runtime.ops import cluster_plan
from caches_runtime.ops.cluster_plan import Plan, plan
from caches_runtime.ops.cluster_state import Hosts, Node, Peer, Place, Wanted, parse_nodes, ranges, shown
from caches_runtime.ops.cluster_steps import Assign, Blank, Close, Follow, Forget, Meet, Move, Promote, Step
from hypothesis import given, settings
from hypothesis import strategies as st

# Fewer than in a real cluster, for speed; nothing depends on the number.
SLOTS = 120
HOSTS = Hosts("cache-{shard}-{ordinal}.cache-headless.shop.svc")
IDS = (f"{number:040x}" for number in itertools.count(1))


@pytest.fixture(scope="module", autouse=True)
def few_slots() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_plan, "SLOTS", SLOTS)
        yield


@dataclass
class Pod:
    """A node of the model, by what a real one does when it is told to."""

    place: Place
    address: str = "10.0.0.1:6379"
    id: str = field(default_factory=lambda: next(IDS))
    master: str | None = None
    slots: set[int] = field(default_factory=set)
    migrating: dict[int, str] = field(default_factory=dict)
    importing: dict[int, str] = field(default_factory=dict)
    keys: set[int] = field(default_factory=set)
    """Slots in which it has a key."""
    knows: dict[str, str] = field(default_factory=dict)
    """Addresses by ID."""


class Model:
    """Pods, and what is remembered of nodes that are gone. Gossip is instantaneous."""

    def __init__(self, pods: Sequence[Pod]) -> None:
        self.pods = list(pods)
        self.places = {pod.id: pod.place for pod in pods}
        self.gone: dict[str, Pod] = {}
        self.moved = 0

    def pod(self, place: Place) -> Pod:
        return next(pod for pod in self.pods if pod.place == place)

    def by_id(self, id_: str) -> Pod:
        return next(pod for pod in self.pods if pod.id == id_)

    def introduce(self) -> None:
        for pod in self.pods:
            pod.knows = {other.id: other.address for other in self.pods if other is not pod}

    def empty(self, place: Place) -> None:
        """The pod loses its volume, and comes back as somebody else."""
        old = self.pod(place)
        self.gone[old.id] = old
        self.pods[self.pods.index(old)] = Pod(place, old.address + "0")
        self.places[self.pod(place).id] = place

    def nodes(self) -> list[Node]:
        def peer(id_: str, address: str) -> Peer:
            known = self.gone.get(id_) or self.by_id(id_)
            connected = id_ not in self.gone and known.address == address
            return Peer(id_, address, HOSTS.of(self.places[id_]), known.master, frozenset(known.slots), connected)

        return [
            Node(
                place=pod.place,
                id=pod.id,
                address=pod.address,
                master=pod.master,
                slots=frozenset(pod.slots),
                migrating=dict(pod.migrating),
                importing=dict(pod.importing),
                keys=len(pod.keys),
                peers={id_: peer(id_, address) for id_, address in pod.knows.items()},
            )
            for pod in self.pods
        ]

    def do(self, step: Step) -> None:
        pod = self.by_id(step.source.id if isinstance(step, Move) else step.node.id)
        match step:
            case Meet(_, other):
                group = {pod.id, other.id, *pod.knows, *self.by_id(other.id).knows}
                for member in [self.by_id(id_) for id_ in group if id_ not in self.gone]:
                    member.knows |= {id_: (self.gone.get(id_) or self.by_id(id_)).address for id_ in group - {member.id}}
            case Promote():
                assert pod.master is not None
                old = self.gone.get(pod.master) or self.by_id(pod.master)
                pod.slots, old.slots = pod.slots | old.slots, set()
                pod.master = None
                if old.id not in self.gone:
                    old.master, old.keys = pod.id, set(pod.keys)
                for follower in self.pods:
                    if follower.master == old.id:
                        follower.master = pod.id
            case Assign(_, slots):
                assert pod.master is None
                assert not [other for other in self.pods if other.slots & slots]
                pod.slots |= slots
            case Follow(_, master):
                assert master.id in pod.knows
                assert not pod.slots
                assert pod.master is not None or not pod.keys, "a master with keys became a copy of another"
                followed = self.by_id(master.id)
                assert followed.master is None
                pod.master, pod.keys = followed.id, set(followed.keys)
            case Move(slots, _, target):
                self.move(slots, pod, self.by_id(target.id))
            case Close(_, slot):
                assert pod.importing.get(slot) is None or slot in pod.slots or slot not in pod.keys, "keys that have arrived were given up"
                pod.migrating.pop(slot, None)
                pod.importing.pop(slot, None)
            case Blank():
                assert not pod.slots
                assert pod.master is not None or not pod.keys
                self.pods.remove(pod)
                self.gone[pod.id] = pod
                self.pods.append(Pod(pod.place, pod.address))
                self.places[self.pods[-1].id] = pod.place
            case Forget(_, gone):
                assert gone in self.gone
                pod.knows.pop(gone, None)

    def move(self, slots: Sequence[int], source: Pod, target: Pod) -> None:
        assert source.slots.issuperset(slots)
        assert target.master is None
        self.moved += len(slots)
        for slot in slots:
            source.migrating.pop(slot, None)
            target.importing.pop(slot, None)
        arriving = {slot for slot in slots if slot in source.keys}
        source.slots -= set(slots)
        source.keys -= set(slots)
        target.slots |= set(slots)
        target.keys |= arriving
        for pod in self.pods:
            for changed in (source, target):
                if pod.master == changed.id:
                    pod.keys = set(changed.keys)

    def repair(self, wanted: Wanted) -> Plan:
        """Plans and does until there is nothing to do; what is left to be said."""
        for _ in range(60):
            # Nobody asks pods that are in no cluster and shall not be.
            known = {id_ for pod in self.pods if pod.place in wanted for id_ in pod.knows}
            nodes = [node for node in self.nodes() if node.place in wanted or node.id in known]
            next_ = plan(nodes, wanted, HOSTS)
            if not next_.steps:
                return next_
            for step in next_.steps:
                self.do(step)
        raise AssertionError(f"no end: {next_}")


def fresh(wanted: Wanted) -> Model:
    return Model([Pod(place, f"10.0.{place.shard}.{place.ordinal}:6379") for place in wanted.places()])


def whole(shards: int, replicas: int, cuts: Sequence[int] = (), leading: Sequence[int] = ()) -> Model:
    """A cluster that works, with slots cut at these numbers, and each shard led by the pod of that ordinal."""
    model = fresh(Wanted(shards, replicas))
    model.introduce()
    ends = [0, *sorted(cuts), SLOTS] if cuts else [SLOTS * shard // shards for shard in range(shards + 1)]
    for shard in range(shards):
        leader = model.pod(Place(shard, leading[shard] if leading else 0))
        leader.slots = set(range(ends[shard], ends[shard + 1]))
        leader.keys = {slot for slot in leader.slots if slot % 7 == 0}
        for ordinal in range(1 + replicas):
            pod = model.pod(Place(shard, ordinal))
            if pod is not leader:
                pod.master, pod.keys = leader.id, set(leader.keys)
    return model


def check(model: Model, wanted: Wanted, keys: set[int]) -> None:
    """Every slot has one master, shares are even, every key is where its slot is, replicas follow in their own shard."""
    members = [pod for pod in model.pods if pod.place in wanted]
    masters = [pod for pod in members if pod.master is None]
    assert len(masters) == wanted.shards
    assert len(members) == wanted.shards * (1 + wanted.replicas)
    assert sorted(slot for pod in masters for slot in pod.slots) == list(range(SLOTS))
    assert {len(pod.slots) for pod in masters} <= {SLOTS // wanted.shards, SLOTS // wanted.shards + 1}
    assert {slot for pod in masters for slot in pod.keys & pod.slots} == keys
    assert not [pod for pod in model.pods if pod.migrating or pod.importing]
    for pod in members:
        assert pod.knows.keys() == {other.id for other in members if other is not pod}
        if pod.master is not None:
            assert model.by_id(pod.master).place.shard == pod.place.shard
    assert model.repair(wanted) == Plan()


@pytest.mark.parametrize("wanted", [Wanted(3, 0), Wanted(3, 1), Wanted(7, 2)])
def test_a_new_cluster_is_made(wanted: Wanted) -> None:
    model = fresh(wanted)
    assert model.repair(wanted) == Plan()
    check(model, wanted, set())


def test_a_new_cluster_waits_for_all_its_pods() -> None:
    model = fresh(Wanted(3, 1))
    model.pods.pop()
    assert plan(model.nodes(), Wanted(3, 1), HOSTS).waiting == ["cache-2-1 to answer"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_from_any_state_it_becomes_what_it_shall_be_and_loses_nothing(data: st.DataObject) -> None:
    shards, replicas = data.draw(st.integers(3, 6)), data.draw(st.integers(0, 2))
    wanted = Wanted(data.draw(st.integers(3, 6)), data.draw(st.integers(0, 2)))
    cuts = data.draw(st.lists(st.integers(1, SLOTS - 1), min_size=shards - 1, max_size=shards - 1, unique=True))
    leading = data.draw(st.lists(st.integers(0, replicas), min_size=shards, max_size=shards))
    # A pod that is removed has handed over before, where somebody stays to hand over to.
    model = whole(shards, replicas, cuts, [ordinal if wanted.replicas else 0 for ordinal in leading])
    keys = {slot for pod in model.pods if pod.master is None for slot in pod.keys}
    masters = [pod for pod in model.pods if pod.master is None and pod.slots]

    # A move was cut short, anywhere in it.
    if len(masters) > 1:
        for slot in data.draw(st.lists(st.integers(0, SLOTS - 1), max_size=5, unique=True)):
            source = next(pod for pod in masters if slot in pod.slots)
            target = data.draw(st.sampled_from([pod for pod in masters if pod is not source]))
            reached = data.draw(st.integers(1, 3))
            target.importing[slot] = source.id
            if reached > 1:
                source.migrating[slot] = target.id
            if reached > 2 and slot in source.keys:
                source.keys.remove(slot)
                target.keys.add(slot)
    for pod in model.pods:
        if pod.master is not None:
            pod.keys = set(model.by_id(pod.master).keys)

    # Slots were never given to anybody; nothing is in them.
    for slot in data.draw(st.lists(st.integers(0, SLOTS - 1), max_size=3)):
        owner = next((pod for pod in masters if slot in pod.slots), None)
        if owner and slot not in keys and not any(slot in pod.importing for pod in masters):
            owner.slots.remove(slot)

    # Pods have other addresses now, and some of the others have not heard.
    for place in data.draw(st.lists(st.sampled_from([pod.place for pod in model.pods]), max_size=3)):
        model.pod(place).address += "1"
    # Volumes were lost, but not all copies of anything.
    for shard in data.draw(st.lists(st.integers(0, shards - 1), max_size=2, unique=True)):
        if replicas and wanted.replicas and not any(pod.importing or pod.migrating for pod in masters):
            model.empty(Place(shard, data.draw(st.integers(0, min(replicas, wanted.replicas)))))

    for place in wanted.places():
        if place not in {pod.place for pod in model.pods}:
            model.pods.append(Pod(place, f"10.1.{place.shard}.{place.ordinal}:6379"))
            model.places[model.pods[-1].id] = place

    assert model.repair(wanted) == Plan()
    check(model, wanted, keys)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 8), st.integers(3, 8))
def test_no_more_slots_move_than_must(before: int, after: int) -> None:
    model = whole(before, 0)
    for place in Wanted(after, 0).places():
        if place.shard >= before:
            model.pods.append(Pod(place, f"10.1.{place.shard}.0:6379"))
            model.places[model.pods[-1].id] = place
    model.repair(Wanted(after, 0))
    kept = min(before, after) * (SLOTS // max(before, after))
    assert SLOTS - kept - max(before, after) <= model.moved <= SLOTS - kept


def refusal(model: Model) -> str:
    [refused] = plan(model.nodes(), Wanted(3, 1), HOSTS).refused
    return refused


def test_slots_of_which_there_is_no_copy_are_not_given_up() -> None:
    model = whole(3, 1)
    model.empty(Place(1, 0))
    model.empty(Place(1, 1))
    assert "slots 40-79 were on a node that is gone with its volume" in refusal(model)


def test_keys_in_a_node_without_slots_are_not_thrown_away() -> None:
    model = whole(3, 1)
    model.empty(Place(1, 1))
    model.pod(Place(1, 1)).keys = {1, 2}
    assert "cache-1-1 holds 2 keys and has no slots" in refusal(model)


def test_two_clusters_are_not_made_one() -> None:
    model = whole(3, 1)
    model.empty(Place(0, 0))
    model.pod(Place(0, 1)).master = None
    model.pod(Place(0, 1)).slots = set(range(40))
    model.pod(Place(0, 0)).slots = set(range(10))
    assert "do not know each other and both have slots 0-9: they are two clusters" in refusal(model)


def test_a_stranger_is_neither_used_nor_forgotten() -> None:
    model = whole(3, 1)
    stranger = Pod(Place(0, 0), "10.9.9.9:6379")
    node = model.nodes()[0]
    peer = Peer(stranger.id, stranger.address, "other.example", None, frozenset(), True)
    nodes = [Node(**{**vars(node), "peers": {**node.peers, peer.id: peer}}), *model.nodes()[1:]]
    [refused] = plan(nodes, Wanted(3, 1), HOSTS).refused
    assert "a node at other.example that is none of its pods" in refused


def test_a_master_that_only_does_not_answer_is_waited_for() -> None:
    model = whole(3, 1)
    away = model.pod(Place(0, 0))
    nodes = [node for node in model.nodes() if node.place != away.place]
    found = plan(nodes, Wanted(3, 1), HOSTS)
    assert (found.steps, found.waiting) == ([], ["the master of slots 0-39 to answer, or to be replaced"])


def test_a_node_that_goes_is_only_forgotten_when_nobody_hears_it_any_more() -> None:
    model = whole(3, 2)
    going = model.pod(Place(1, 2))
    nodes = [node for node in model.nodes() if node.place.ordinal < 2]
    found = plan(nodes, Wanted(3, 1), HOSTS)
    assert (found.steps, f"{going.id} to be gone" in found.waiting) == ([], True)
    for pod in [pod for pod in model.pods if pod.place.ordinal == 2]:
        model.pods.remove(pod)
        model.gone[pod.id] = pod
    assert model.repair(Wanted(3, 1)) == Plan()
    assert going.id not in model.pods[0].knows


NODES = """\
0000000000000000000000000000000000000001 10.0.0.1:6379@16379,cache-0-0.x myself,master - 0 1 3 connected 0-2 5 [7->-0000000000000000000000000000000000000002] [9-<-0000000000000000000000000000000000000002]
0000000000000000000000000000000000000002 fd00::2:6379@16379,cache-1-0.x master,fail - 0 1 2 connected 6-7 9
0000000000000000000000000000000000000003 10.0.0.3:6379@16379 slave 0000000000000000000000000000000000000001 0 1 2 disconnected
0000000000000000000000000000000000000004 10.0.0.4:6379@16379 handshake - 0 1 2 connected
"""  # noqa: E501 - as servers print it


def test_what_nodes_say_is_understood() -> None:
    myself, peers = parse_nodes(NODES)
    second = "0000000000000000000000000000000000000002"
    assert (myself.slots, myself.migrating, myself.importing) == (frozenset({0, 1, 2, 5}), {7: second}, {9: second})
    assert [(peer.address, peer.host, peer.connected) for peer in peers.values()] == [
        ("fd00::2:6379", "cache-1-0.x", False),
        ("10.0.0.3:6379", "", False),
    ]
    assert peers[second].slots == {6, 7, 9}


def test_slots_are_shown_as_ranges() -> None:
    assert shown({3, 1, 2, 9}) == "1-3 9"
    assert ranges({}) == []
