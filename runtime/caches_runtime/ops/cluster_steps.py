"""The steps of a cluster's repair: what can be done to one node, and what it is called."""

from dataclasses import dataclass

from caches_runtime.ops.cluster_state import Hosts, Node, shown


@dataclass(frozen=True)
class Meet:
    """`node` gets to know the node at another one's address, or where it is now."""

    node: Node
    other: Node


@dataclass(frozen=True)
class Promote:
    """A replica becomes the master: gracefully, or because its master is lost."""

    node: Node
    lost: bool


@dataclass(frozen=True)
class Assign:
    """Slots that nobody has become a master's."""

    node: Node
    slots: frozenset[int]


@dataclass(frozen=True)
class Follow:
    """A node becomes a replica."""

    node: Node
    master: Node


@dataclass(frozen=True)
class Move:
    """Slots, with their keys, move from one master to another."""

    slots: tuple[int, ...]
    source: Node
    target: Node


@dataclass(frozen=True)
class Close:
    """A slot stays where it is."""

    node: Node
    slot: int


@dataclass(frozen=True)
class Blank:
    """A node forgets that it was in a cluster, with the copy of data that it has."""

    node: Node


@dataclass(frozen=True)
class Forget:
    """A node that is gone is forgotten by one that stays."""

    node: Node
    gone: str


Step = Meet | Promote | Assign | Follow | Move | Close | Blank | Forget


def described(step: Step, hosts: Hosts) -> str:
    """A step for people."""

    def name(node: Node) -> str:
        return hosts.of(node.place).partition(".")[0]

    match step:
        case Meet(_, other):
            return f"the others meet {name(other)} at {other.address}"
        case Promote(node, _):
            return f"{name(node)} becomes the master of its shard"
        case Assign(node, slots):
            return f"{name(node)} gets slots {shown(slots)}"
        case Follow(node, master):
            return f"{name(node)} becomes a replica of {name(master)}"
        case Move(slots, source, target):
            return f"{len(slots)} slots move from {name(source)} to {name(target)}"
        case Close(node, slot):
            return f"{name(node)} closes slot {slot}"
        case Blank(node):
            return f"{name(node)} leaves the cluster"
        case Forget(_, gone):
            return f"every node forgets {gone}, which is gone"
