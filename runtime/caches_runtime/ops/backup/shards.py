"""Which servers to read, so that everything is read once: one of each shard, a replica where one is in step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import redis

from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.cluster_state import parse_nodes, shown
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import LOST, Endpoint, Link
from caches_runtime.ops.migrate.source import engine
from caches_runtime.ops.migrate.target import SLOTS

NAME = "caches-backup"
# What a file's name has of a shard whose slots are in very many pieces; the manifest has all.
_NAME_SLOTS = 100


@dataclass(frozen=True)
class Shard:
    """A part of the data, and the server that it is read from."""

    node_id: str
    """Of the master in a cluster; empty when there is but one part."""
    slots: str
    """As in `0-5460 9000`; empty when there is but one part."""
    endpoint: Endpoint
    role: str
    """master or replica."""
    version: str
    """Engine and version of the server."""
    moving: bool
    """Whether slots are just being moved from it or to it, as a master."""

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.node_id}_{self.slots.replace(' ', '+')[:_NAME_SLOTS]}" if self.node_id else "all"


def find(cache: Cache) -> list[Shard]:
    """The shards. Raises RefusedError or UnfinishedError."""
    try:
        return _find_in_cluster(cache) if cache.mode == "cluster" else [_find_one(cache)]
    except redis.AuthenticationError as error:
        raise RefusedError(f"{cache.writes} does not let in: {error}; check the connection's username and password") from None
    except redis.ResponseError as error:
        raise RefusedError(f"{cache.writes} does not do what is needed: {error}") from None


def _find_one(cache: Cache) -> Shard:
    found = list(_asked(cache.servers))
    if not found:
        raise UnfinishedError(f"{cache.writes}: none of {len(cache.servers)} servers has all data and answers")
    chosen = _replica_first(found)
    if cache.mode == "sentinel" and chosen.role == "master":
        # Sentinels would take the reader for a new replica, and remember it for ever.
        raise UnfinishedError(f"a replica in step: {chosen.endpoint} is the master, which is not read from beside sentinels")
    return chosen


def _find_in_cluster(cache: Cache) -> list[Shard]:
    asked, text = _describe(cache)
    myself, peers = parse_nodes(text)
    endpoints = {myself.id: asked} | {peer.id: _at(asked, peer.address) for peer in peers.values() if peer.address}
    slots = {myself.id: myself.slots} | {peer.id: peer.slots for peer in peers.values()}
    masters = {myself.id: myself.master} | {peer.id: peer.master for peer in peers.values()}
    if lacking := SLOTS - sum(map(len, slots.values())):
        raise UnfinishedError(f"{lacking} slots of {cache.writes} to have a master: what lacks a shard is no backup")
    shards = []
    for node_id in sorted(id_ for id_ in slots if slots[id_]):
        servers = [endpoint for id_, endpoint in endpoints.items() if node_id in (id_, masters[id_])]
        found = list(_asked(servers, node_id, shown(slots[node_id])))
        if not found:
            raise UnfinishedError(f"a server of the shard with the slots {shown(slots[node_id])}")
        if any(shard.moving for shard in found):
            raise UnfinishedError(f"slots to arrive that are just being moved from or to {node_id}")
        shards.append(_replica_first(found))
    return shards


def _replica_first(found: Sequence[Shard]) -> Shard:
    return min(found, key=lambda shard: shard.role == "master")


def _describe(cache: Cache) -> tuple[Endpoint, str]:
    """A node that answers, and what it says of all."""
    for server in cache.servers:
        try:
            with Link(server, NAME) as link:
                return server, link.call("CLUSTER", "NODES").decode()
        except redis.AuthenticationError:
            raise
        except LOST:
            continue
    raise UnfinishedError(f"{cache.writes}: none of {len(cache.servers)} servers answers")


def _at(asked: Endpoint, address: str) -> Endpoint:
    host, _, port = address.rpartition(":")
    return asked.at(host, int(port))


def _asked(servers: Sequence[Endpoint], node_id: str = "", slots: str = "") -> Iterator[Shard]:
    """Those that answer and have all data."""
    for server in servers:
        try:
            with Link(server, NAME) as link:
                info = link.info()
                is_master = info["role"] == "master"
                in_step = is_master or (info["master_link_status"] == "up" and info["master_sync_in_progress"] == "0")
                if in_step and info["loading"] == "0":
                    moving = bool(node_id) and _moves(link)
                    yield Shard(node_id, slots, server, "master" if is_master else "replica", engine(info), moving)
        except redis.AuthenticationError:
            raise
        except LOST:
            continue


def _moves(link: Link) -> bool:
    myself, _ = parse_nodes(link.call("CLUSTER", "NODES").decode())
    return bool(myself.migrating or myself.importing)
