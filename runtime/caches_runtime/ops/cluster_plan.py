"""What to do next so that a cluster becomes what it shall be. Pure: from what the nodes say to steps, or to why there are none.

Planned anew after every few steps, from what the nodes then say. So it does not matter where an earlier attempt has ended.
Nodes are told apart by their ID, never by their address. A shard is made of its own pods only, so where the scheduler keeps
a shard's pods apart, master and replicas are apart too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from caches_runtime.ops.cluster_state import SLOTS, Cluster, Hosts, Node, Wanted, shown
from caches_runtime.ops.cluster_steps import Assign, Blank, Close, Follow, Forget, Meet, Move, Promote, Step


@dataclass(frozen=True)
class Plan:
    """Nothing in it: the cluster is what it shall be."""

    steps: Sequence[Step] = ()
    waiting: Sequence[str] = ()
    """What has not come about yet, and is waited for."""
    refused: Sequence[str] = ()
    """Why nothing is done: it could destroy data."""


def plan(nodes: Sequence[Node], wanted: Wanted, hosts: Hosts) -> Plan:
    """The next steps; those of a later phase only when the earlier ones have nothing left to do."""
    cluster = Cluster(tuple(nodes), wanted, hosts)
    if refused := [*_strangers(cluster), *_two_clusters(cluster), *_stray_keys(cluster), *_lost_slots(cluster)]:
        return Plan(refused=refused)
    phases: list[Callable[[Cluster], Iterator[Step | str]]] = [
        _introduce,
        _promote,
        _assign,
        _close,
        _follow,
        _hand_over,
        _balance,
        _remove,
        _await_health,
    ]
    for phase in phases:
        found = list(phase(cluster))
        if found:
            steps = [step for step in found if not isinstance(step, str)]
            return Plan(steps, [reason for reason in found if isinstance(reason, str)])
    return Plan()


# What would destroy data, or can't be told


def _strangers(cluster: Cluster) -> Iterator[str]:
    for id_, known in cluster.gone.items():
        # Its name only comes with what it says first, so who has just been met has none yet.
        if cluster.place_of(id_) is None and any(peer.host or not peer.connected for peer in known):
            peer = known[0]
            where = peer.host or peer.address or "an unknown address"
            yield f"the cluster has a node at {where} that is none of its pods ({id_}): remove it, or CLUSTER FORGET it on every node"


def _two_clusters(cluster: Cluster) -> Iterator[str]:
    holders = [node for node in cluster.nodes if node.slots]
    for number, node in enumerate(holders):
        for other in holders[number + 1 :]:
            if (both := node.slots & other.slots) and other.id not in node.peers and node.id not in other.peers:
                names = f"{cluster.name(node)} and {cluster.name(other)}"
                yield f"{names} do not know each other and both have slots {shown(both)}: they are two clusters, each with its own data"


def _stray_keys(cluster: Cluster) -> Iterator[str]:
    for node in cluster.nodes:
        if node.keys and node.master is None and not node.slots and not node.importing:
            yield (
                f"{cluster.name(node)} holds {node.keys} keys and has no slots: to join it would lose them. "
                "Copy what you need, then FLUSHALL there"
            )


def _lost_slots(cluster: Cluster) -> Iterator[str]:
    for id_ in cluster.gone:
        if (slots := cluster.held_by(id_)) and cluster.replaced(id_) and not _copies(cluster, id_):
            yield (
                f"slots {shown(slots)} were on a node that is gone with its volume ({id_}), and no replica has a copy: restore the volume, "
                "or give the data up by CLUSTER FORGET of that node on every other one"
            )


def _copies(cluster: Cluster, gone: str) -> list[Node]:
    """Replicas of a node that is gone, the one that has most of its writes first."""
    copies = [node for node in cluster.nodes if node.master == gone]
    return sorted(copies, key=lambda node: (-node.offset, -node.keys, node.place))


# The phases


def _introduce(cluster: Cluster) -> Iterator[Step | str]:
    """Everybody knows everybody, at the present address."""
    members = [node for node in cluster.nodes if node.place in cluster.wanted or _is_member(cluster, node)]
    # New nodes are only met all together, so that a cluster is not made of a part of them.
    if not cluster.owners and not any(cluster.held_by(id_) for id_ in cluster.gone) and (absent := cluster.absent()):
        yield f"{', '.join(absent)} to answer"
        return
    for node in members:
        for other in members:
            peer = node.peers.get(other.id)
            if node is not other and (peer is None or not peer.connected or peer.address != other.address):
                yield Meet(node, other)


def _is_member(cluster: Cluster, node: Node) -> bool:
    return any(node.id in other.peers for other in cluster.staying())


def _promote(cluster: Cluster) -> Iterator[Step | str]:
    """Slots whose master is lost get another one."""
    for id_ in cluster.gone:
        slots, copies = cluster.held_by(id_), _copies(cluster, id_)
        if copies and cluster.replaced(id_) and (slots or cluster.leader(copies[0].place.shard) is None):
            yield Promote(copies[0], lost=True)
        elif slots:
            yield f"the master of slots {shown(slots)} to answer, or to be replaced"
    for number, node in enumerate(cluster.nodes):
        for other in cluster.nodes[number + 1 :]:
            if both := node.slots & other.slots:
                yield f"{cluster.name(node)} and {cluster.name(other)} to agree on who has slots {shown(both)}"


def _assign(cluster: Cluster) -> Iterator[Step | str]:
    """Every slot has a master."""
    if not (free := sorted(set(range(SLOTS)) - cluster.owners.keys())):
        return
    leaders = cluster.leaders()
    if len(leaders) < cluster.wanted.shards:
        yield from _without_leader(cluster)
        return
    targets = _targets(leaders)
    for node in leaders:
        share = max(0, targets[node.id] - len(node.slots))
        if share and free:
            yield Assign(node, frozenset(free[:share]))
            free = free[share:]
    if free:
        yield Assign(leaders[-1], frozenset(free))


def _close(cluster: Cluster) -> Iterator[Step | str]:
    """No slot is left on its way: what was begun is ended, or undone where nothing has arrived."""
    moves: dict[int, tuple[Node, Node]] = {}
    for node in cluster.nodes:
        for slot in sorted({*node.migrating, *node.importing}):
            owner = cluster.owners.get(slot)
            if owner is None or node.master is not None:
                continue
            heading = node if slot in node.importing else _successor(cluster, node.migrating[slot])
            if heading is None or heading is owner:
                yield Close(node, slot)
            else:
                moves[slot] = (owner, heading)
    yield from _moves(cluster, moves)


def _moves(cluster: Cluster, moves: Mapping[int, tuple[Node, Node]]) -> Iterator[Step | str]:
    """Slots by where they go from and to; none before both ends serve: a new master takes a moment to."""
    pairs = {(source.id, target.id): (source, target) for source, target in moves.values()}
    if idle := [node for node in {node.id: node for pair in pairs.values() for node in pair}.values() if not node.serves]:
        yield from (f"{cluster.name(node)} to see the cluster whole" for node in idle)
        return
    for source, target in pairs.values():
        yield Move(tuple(slot for slot, pair in sorted(moves.items()) if pair[0] is source and pair[1] is target), source, target)


def _successor(cluster: Cluster, id_: str) -> Node | None:
    """Who is master now where that node was."""
    if node := cluster.by_id.get(id_):
        return node if node.master is None else cluster.by_id.get(node.master)
    place = cluster.place_of(id_) if id_ in cluster.gone else None
    return cluster.leader(place.shard) if place else None


def _follow(cluster: Cluster) -> Iterator[Step | str]:
    """Each shard has a master, and its other pods are replicas of it."""
    yield from _without_leader(cluster)
    for leader in cluster.leaders():
        for node in cluster.shard(leader.place.shard):
            if node is not leader and node.place in cluster.wanted and node.master != leader.id and not node.slots:
                yield Follow(node, leader)


def _without_leader(cluster: Cluster) -> Iterator[Step | str]:
    for number in range(cluster.wanted.shards):
        if cluster.leader(number) is None:
            pods = cluster.shard(number)
            # Copies of what another shard's master has. One of them starts anew, as the master of this shard.
            if pods and all(_is_copy(cluster, node) for node in pods):
                yield Blank(pods[0])
            else:
                yield f"shard {number} to have a master"


def _is_copy(cluster: Cluster, node: Node) -> bool:
    master = cluster.by_id.get(node.master or "")
    return master is not None and master.place.shard != node.place.shard


def _hand_over(cluster: Cluster) -> Iterator[Step | str]:
    """A master whose pod shall go hands over to a replica that stays."""
    for leader in cluster.leaders():
        if leader.place not in cluster.wanted:
            ready = [node for node in cluster.shard(leader.place.shard) if node.place in cluster.wanted and node.in_sync]
            if ready:
                yield Promote(ready[0], lost=False)
            else:
                yield f"a replica of {cluster.name(leader)} to be in sync, so that it can go"


def _balance(cluster: Cluster) -> Iterator[Step | str]:
    """Each shard has its share of the slots, all others have none; nothing moves that need not."""
    leaders = cluster.leaders()
    targets = _targets(leaders)
    spare = [(slot, node) for node in cluster.nodes for slot in sorted(node.slots)[targets.get(node.id, 0) :]]
    short = [leader for leader in leaders for _ in range(targets[leader.id] - len(leader.slots))]
    yield from _moves(cluster, {slot: (source, target) for (slot, source), target in zip(spare, short, strict=True)})


def _targets(leaders: Sequence[Node]) -> dict[str, int]:
    """How many slots each shall have: the same, and where that is not even, more for who has more."""
    share, more = divmod(SLOTS, len(leaders))
    ordered = sorted(leaders, key=lambda node: -len(node.slots))
    return {node.id: share + (number < more) for number, node in enumerate(ordered)}


def _remove(cluster: Cluster) -> Iterator[Step | str]:
    """Pods that shall go are in no cluster any more, and who is gone is forgotten by all."""
    followed = {node.master for node in cluster.nodes}
    # Replicas before their master, which they would else go on looking for.
    leaving = [
        node
        for node in cluster.nodes
        if node.place not in cluster.wanted and _is_member(cluster, node) and not node.slots and node.id not in followed
    ]
    yield from (Blank(node) for node in leaving)
    for node in leaving:
        yield from (Forget(other, node.id) for other in cluster.nodes if other not in leaving and node.id in other.peers)
    for id_, known in cluster.gone.items():
        replaced = cluster.replaced(id_)
        # Gossip of a node that still hears it would bring it back.
        if (replaced or cluster.place_of(id_) not in cluster.wanted) and any(peer.connected for peer in known):
            yield f"{id_} to be gone"
        elif replaced:
            yield from (Forget(node, id_) for node in cluster.nodes if node not in leaving and id_ in node.peers)


def _await_health(cluster: Cluster) -> Iterator[Step | str]:
    if absent := cluster.absent():
        yield f"{', '.join(absent)} to answer"
    for node in cluster.staying():
        if not node.in_sync:
            yield f"{cluster.name(node)} to copy its master's data"
        elif not node.serves:
            yield f"{cluster.name(node)} to see the cluster whole"
