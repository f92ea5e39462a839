"""What a Redis or Valkey cluster is like: what each node says of itself and of the others. Plain data, nothing is asked here."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SLOTS = 16384
# `93-<-ID` and `93->-ID`: a slot on its way here, and away.
_OPEN = re.compile(r"\[(\d+)-([<>])-(\w+)\]")


@dataclass(frozen=True, order=True)
class Place:
    """Where a pod belongs: which shard, and which pod of it."""

    shard: int
    ordinal: int


@dataclass(frozen=True)
class Wanted:
    """The two numbers that a cluster follows from."""

    shards: int
    replicas: int

    def places(self) -> list[Place]:
        """Every pod there shall be."""
        return [Place(shard, ordinal) for shard in range(self.shards) for ordinal in range(1 + self.replicas)]

    def __contains__(self, place: Place | None) -> bool:
        return place is not None and place.shard < self.shards and place.ordinal <= self.replicas


@dataclass(frozen=True)
class Hosts:
    """Names of pods: a text with `{shard}` and `{ordinal}` in it."""

    template: str

    def of(self, place: Place) -> str:
        """A pod's name."""
        return self.template.format(shard=place.shard, ordinal=place.ordinal)

    def place(self, host: str) -> Place | None:
        """Whose name it is; None when it is nobody's here."""
        pattern = re.escape(self.template).replace(r"\{shard\}", r"(?P<shard>\d+)").replace(r"\{ordinal\}", r"(?P<ordinal>\d+)")
        found = re.fullmatch(pattern, host)
        return Place(int(found["shard"]), int(found["ordinal"])) if found else None


@dataclass(frozen=True)
class Peer:
    """What one node knows of another."""

    id: str
    address: str
    """IP:port; empty when the node has forgotten it."""
    host: str
    """The name it announces; empty until it was heard."""
    master: str | None
    """Whose replica it is; None for a master."""
    slots: frozenset[int]
    connected: bool


@dataclass(frozen=True)
class Node:
    """A pod that answers, and what it says."""

    place: Place
    id: str
    address: str
    master: str | None = None
    slots: frozenset[int] = frozenset()
    migrating: Mapping[int, str] = field(default_factory=dict)
    """Slots on their way to another node, by its ID."""
    importing: Mapping[int, str] = field(default_factory=dict)
    """Slots on their way here, by the ID of the node that they come from."""
    keys: int = 0
    in_sync: bool = True
    """Whether a replica's link is up; true for a master."""
    offset: int = 0
    """How much of its master's writes a replica has."""
    serves: bool = True
    """Whether it says cluster_state:ok."""
    peers: Mapping[str, Peer] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """What the nodes say, put together."""

    nodes: tuple[Node, ...]
    wanted: Wanted
    hosts: Hosts
    by_id: Mapping[str, Node] = field(init=False)
    by_place: Mapping[Place, Node] = field(init=False)
    gone: Mapping[str, Sequence[Peer]] = field(init=False)
    """IDs that nodes know and that no pod has, with what is known of them."""
    owners: Mapping[int, Node] = field(init=False)

    def __post_init__(self) -> None:
        by_id = {node.id: node for node in self.nodes}
        gone: dict[str, list[Peer]] = {}
        for node in self.nodes:
            for peer in node.peers.values():
                if peer.id not in by_id:
                    gone.setdefault(peer.id, []).append(peer)
        for key, value in {
            "by_id": by_id,
            "by_place": {node.place: node for node in self.nodes},
            "gone": gone,
            "owners": {slot: node for node in self.nodes for slot in node.slots},
        }.items():
            object.__setattr__(self, key, value)

    def name(self, node: Node) -> str:
        """For people: the pod's name without its domain."""
        return self.hosts.of(node.place).partition(".")[0]

    def place_of(self, gone: str) -> Place | None:
        """Where a node that is gone belonged; None when it is unknown."""
        return next(filter(None, (self.hosts.place(peer.host) for peer in self.gone[gone])), None)

    def replaced(self, gone: str) -> bool:
        """Whether a node can't come back: its pod has another identity now, or shall not be there and is not."""
        place = self.place_of(gone)
        if place is None or place in self.by_place:
            return place is not None
        return place not in self.wanted and not any(peer.connected for peer in self.gone[gone])

    def held_by(self, gone: str) -> frozenset[int]:
        """Slots that only a node has that is gone."""
        return frozenset().union(*(peer.slots for peer in self.gone[gone])) - self.owners.keys()

    def staying(self) -> list[Node]:
        """The pods that there shall be."""
        return [node for node in self.nodes if node.place in self.wanted]

    def absent(self) -> list[str]:
        """Pods that there shall be and that do not answer."""
        return [self.hosts.of(place).partition(".")[0] for place in self.wanted.places() if place not in self.by_place]

    def shard(self, number: int) -> list[Node]:
        """A shard's pods, by ordinal."""
        return sorted((node for node in self.nodes if node.place.shard == number), key=lambda node: node.place)

    def leader(self, number: int) -> Node | None:
        """The shard's master, or who shall be it; None while there can't be one."""
        pods = self.shard(number)
        followed = {node.master for node in pods}
        masters = [node for node in pods if node.master is None and (node.slots or node.place in self.wanted)]
        return max(masters, key=lambda node: (len(node.slots), node.id in followed, -node.place.ordinal), default=None)

    def leaders(self) -> list[Node]:
        """The masters of the shards that there shall be, as far as there are any."""
        found = (self.leader(number) for number in range(self.wanted.shards))
        return [node for node in found if node is not None]


@dataclass(frozen=True)
class Myself:
    """A node's own line of CLUSTER NODES."""

    id: str
    master: str | None
    slots: frozenset[int]
    migrating: dict[int, str]
    importing: dict[int, str]


def parse_nodes(text: str) -> tuple[Myself, dict[str, Peer]]:
    """CLUSTER NODES: the node itself, and its peers by ID without those that it is only just meeting."""
    myself, peers = None, {}
    for line in filter(None, text.splitlines()):
        id_, location, flags, master, _ping, _pong, _epoch, link, *rest = line.split(" ")
        slots = frozenset(_slots(part for part in rest if not part.startswith("[")))
        following = None if master == "-" else master
        if "myself" in flags.split(","):
            opened = [_OPEN.fullmatch(part) for part in rest if part.startswith("[")]
            away = {int(found[1]): found[3] for found in opened if found and found[2] == ">"}
            here = {int(found[1]): found[3] for found in opened if found and found[2] == "<"}
            myself = Myself(id_, following, slots, away, here)
        elif "handshake" not in flags.split(","):
            address, _, names = location.partition("@")
            host = names.split(",")[1] if "," in names else ""
            connected = link == "connected" and "fail" not in flags.split(",")
            peers[id_] = Peer(id_, "" if "noaddr" in flags else address, host, following, slots, connected)
    if myself is None:
        raise ValueError(f"no line of CLUSTER NODES is the node's own: {text!r}")
    return myself, peers


def shown(slots: Iterable[int]) -> str:
    """Slots as ranges, for people: `0-5460 5462`."""
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges(slots))


def ranges(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Slots as first and last of each range."""
    found: list[tuple[int, int]] = []
    for slot in sorted(slots):
        if found and found[-1][1] == slot - 1:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found


def _slots(parts: Iterable[str]) -> Iterable[int]:
    for part in parts:
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
