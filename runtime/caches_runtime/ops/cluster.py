"""Makes a Redis or Valkey cluster what it shall be, from whatever it is: asks every node, does the next steps, asks again.

Every command goes to one node at a time, as the system user. What to do is decided in cluster_plan.py.
"""

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from caches_runtime.ops.cluster_plan import Plan, plan
from caches_runtime.ops.cluster_state import Hosts, Node, Place, Wanted, parse_nodes, ranges
from caches_runtime.ops.cluster_steps import Assign, Blank, Close, Follow, Forget, Meet, Move, Promote, Step, described
from caches_runtime.ops.tls import speak_tls

USER = "system"
PORT = 6379
# A node that does not answer for so long is taken for one that is not there.
ANSWER_SECONDS = 5.0
# What one node says a moment before the others is no reason to refuse anything.
SETTLE_SECONDS = 5.0
PAUSE_SECONDS = 0.5
# Slots open at the same time while they move: enough that round trips do not count (Valkey lets each change wait for its
# replicas), few enough to close within a second.
SLOTS_AT_ONCE = 8
MOVES_AT_ONCE = 32
KEYS_AT_ONCE = 100
MIGRATE_MILLISECONDS = 5000
_NAME = "caches-cluster-repair"
_NOT_ANSWERING = (redis.ConnectionError, redis.TimeoutError, OSError)

Report = Callable[[str], None]


class RefusedError(Exception):
    """Nothing more is done, because it could destroy data."""


class NotWholeError(Exception):
    """Time is up, and the cluster is not what it shall be."""


class InterruptedRepairError(Exception):
    """It was asked to end, and has left nothing half done."""


@dataclass
class Repair:
    """One run. `report` gets a line for people about each thing done; `interrupted` is asked between any two."""

    wanted: Wanted
    hosts: Hosts
    password: str
    report: Report
    interrupted: Callable[[], bool] = lambda: False
    ca_file: Path | None = None
    """Of the servers, when they speak TLS."""
    name: str = field(default_factory=lambda: f"{_NAME}-{secrets.token_hex(4)}")
    """What its connections are called, by which another run knows that it is there."""
    _trouble: str = ""

    def run(self, seconds: float) -> int:
        """Makes the cluster whole; says how many steps that took. Raises RefusedError, NotWholeError or InterruptedRepairError.

        `seconds` without any progress are the limit, so that moving much data may take as long as it takes.
        """
        done, since, refused_since = 0, time.monotonic(), None
        doing: list[str] = []
        said = ""
        while True:
            if self.interrupted():
                raise InterruptedRepairError
            with self._observe() as nodes:
                next_ = self._plan(nodes)
                done += self._carry_out(next_.steps, nodes)
            if not (next_.steps or next_.waiting or next_.refused):
                return done
            now = time.monotonic()
            refused_since = (refused_since or now) if next_.refused else None
            if refused_since and now - refused_since >= SETTLE_SECONDS:
                raise RefusedError("\n".join(next_.refused))
            # The same again is no progress.
            if doing != (doing := [described(step, self.hosts) for step in next_.steps]):
                since = now
            waiting = "; ".join(next_.waiting)
            if waiting and waiting != said:
                self.report(f"waiting for {waiting}")
            said = waiting
            if now - since > seconds:
                raise NotWholeError(waiting or self._trouble)
            time.sleep(PAUSE_SECONDS)

    def _plan(self, nodes: Sequence["_Connected"]) -> Plan:
        if nodes and (other := nodes[0].other_repair(self.name)):
            return Plan(waiting=[f"another repair to end ({other})"])
        return plan([node.seen for node in nodes], self.wanted, self.hosts)

    @contextlib.contextmanager
    def _observe(self) -> Iterator[list["_Connected"]]:
        """Connections to every node there is: the wanted ones, and those that they know besides."""
        with contextlib.ExitStack() as closing:

            def look(place: Place) -> _Connected | None:
                host = self.hosts.of(place)
                try:
                    node = _Connected.to(place, host, self.password, self.name, self.ca_file)
                except redis.AuthenticationError as error:
                    raise RefusedError(f"{host} does not accept the system user's password: {error}") from None
                except _NOT_ANSWERING:
                    return None
                closing.callback(node.client.close)
                return node

            nodes = [node for place in self.wanted.places() if (node := look(place))]
            known = {self.hosts.place(peer.host) for node in nodes for peer in node.seen.peers.values()}
            leaving = sorted(place for place in known if place and place not in self.wanted)
            yield nodes + [node for place in leaving if (node := look(place))]

    def _carry_out(self, steps: Sequence[Step], nodes: Sequence["_Connected"]) -> int:
        clients = {node.seen.id: node.client for node in nodes}
        for text in dict.fromkeys(described(step, self.hosts) for step in steps if not isinstance(step, Move)):
            self.report(text)
        for done, step in enumerate(steps):
            if self.interrupted():
                return done
            try:
                self._do(step, clients)
            except (*_NOT_ANSWERING, redis.ResponseError) as error:
                # The nodes have changed since they were asked; the next plan starts from what they are then.
                if self._trouble != (trouble := f"{described(step, self.hosts)}: {error}"):
                    self.report(trouble)
                self._trouble = trouble
                return done
        return len(steps)

    def _do(self, step: Step, clients: dict[str, redis.Redis]) -> None:
        if isinstance(step, Move):
            self._move(step, clients)
            return
        client = clients[step.node.id]
        match step:
            case Meet(_, other):
                _call(client, "CLUSTER", "MEET", *other.address.rsplit(":", 1))
            case Promote(_, lost):
                _promote(client, lost)
            case Assign(_, slots):
                _call(client, "CLUSTER", "ADDSLOTSRANGE", *(end for range_ in ranges(slots) for end in range_))
            case Follow(_, master):
                _call(client, "CLUSTER", "REPLICATE", master.id)
            case Close(_, slot):
                _call(client, "CLUSTER", "SETSLOT", slot, "STABLE")
            case Blank():
                _call(client, "CLUSTER", "RESET", "HARD")
            case Forget(_, gone):
                try:
                    _call(client, "CLUSTER", "FORGET", gone)
                except redis.ResponseError as error:
                    # Newer servers tell each other what to forget.
                    if "Unknown node" not in str(error):
                        raise

    def _move(self, move: Move, clients: dict[str, redis.Redis]) -> None:
        """A few slots at a time, each batch complete before the next, so that an interruption leaves none open."""
        batches = [move.slots[start : start + SLOTS_AT_ONCE] for start in range(0, len(move.slots), SLOTS_AT_ONCE)]
        source, target = clients[move.source.id], clients[move.target.id]

        def move_batch(slots: Sequence[int]) -> int:
            return 0 if self.interrupted() else self._move_batch(slots, move, source, target)

        with ThreadPoolExecutor(MOVES_AT_ONCE) as pool:
            moved = sum(pool.map(move_batch, batches))
        self.report(f"{described(move, self.hosts)}, with {moved} keys")

    def _move_batch(self, slots: Sequence[int], move: Move, source: redis.Redis, target: redis.Redis) -> int:
        # The target first: a client that the source sends on is then expected there.
        _each(target, [("CLUSTER", "SETSLOT", slot, "IMPORTING", move.source.id) for slot in slots])
        _each(source, [("CLUSTER", "SETSLOT", slot, "MIGRATING", move.target.id) for slot in slots])
        counts = _each(source, [("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots])
        moved = sum(self._move_keys(slot, source, move.target.address) for slot, count in zip(slots, counts, strict=True) if count)
        # Again the target first, which has the keys now: were this the last that happened, the slot would have a master. The other
        # nodes hear it by gossip, within a second; until then they name the source, which sends on.
        settled = [("CLUSTER", "SETSLOT", slot, "NODE", move.target.id) for slot in slots]
        _each(target, settled)
        _each(source, settled)
        return moved

    def _move_keys(self, slot: int, source: redis.Redis, address: str) -> int:
        host, port = address.rsplit(":", 1)
        moved = 0
        while keys := _call(source, "CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE):
            # What an attempt that was cut short has left at the target is older than what the source still has.
            options = ("REPLACE", "AUTH2", USER, self.password, "KEYS", *keys)
            _call(source, "MIGRATE", host, port, "", 0, MIGRATE_MILLISECONDS, *options)
            moved += len(keys)
        return moved


@dataclass(frozen=True)
class _Connected:
    """A node that answered, and the connection to it."""

    seen: Node
    client: redis.Redis

    @staticmethod
    def to(place: Place, host: str, password: str, name: str, ca_file: Path | None) -> "_Connected":
        """Asks the node at a name what it is like. Raises redis.ConnectionError or OSError when nothing answers."""
        address = str(socket.getaddrinfo(host, PORT, type=socket.SOCK_STREAM)[0][4][0])
        client = redis.Redis(
            host=address,
            port=PORT,
            username=USER,
            password=password,
            client_name=name,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,  # else it sends commands of its own, which the system user may not
            decode_responses=True,
            encoding_errors="surrogateescape",  # keys are any bytes
            protocol=2,
        )
        speak_tls(client, ca_file)
        try:
            # Replies as the server gives them.
            client.response_callbacks.clear()
            return _Connected(_seen(place, f"{address}:{PORT}", client), client)
        except BaseException:
            client.close()
            raise

    def other_repair(self, name: str) -> str:
        """Where another run is at work that was first here; empty when there is none. Two would move slots to and fro."""
        lines = _call(self.client, "CLIENT", "LIST").splitlines()
        clients = [dict(part.partition("=")[::2] for part in line.split()) for line in lines]
        runs = [client for client in clients if client["name"].startswith(_NAME)]
        first = min(runs, key=lambda client: int(client["id"]), default={})
        return "" if first.get("name", name) == name else f"from {first['addr']}"


def _seen(place: Place, address: str, client: redis.Redis) -> Node:
    nodes, info, cluster, keys = _each(client, [("CLUSTER", "NODES"), ("INFO", "replication"), ("CLUSTER", "INFO"), ("DBSIZE",)])
    myself, peers = parse_nodes(nodes)
    replication = dict(line.partition(":")[::2] for line in info.splitlines())
    return Node(
        place=place,
        id=myself.id,
        address=address,
        master=myself.master,
        slots=myself.slots,
        migrating=myself.migrating,
        importing=myself.importing,
        keys=keys,
        in_sync=myself.master is None or replication.get("master_link_status") == "up",
        offset=int(replication.get("slave_repl_offset", 0)),
        serves="cluster_state:ok" in cluster.splitlines(),
        peers=peers,
    )


def _promote(client: redis.Redis, lost: bool) -> None:
    if not lost:
        _call(client, "CLUSTER", "FAILOVER")
    else:
        # By the votes of the other masters where there is a majority of them; nobody competes where there is none.
        _call(client, "CLUSTER", "FAILOVER", "FORCE")
        if not _becomes_master(client):
            _call(client, "CLUSTER", "FAILOVER", "TAKEOVER")
    _becomes_master(client)


def _becomes_master(client: redis.Redis) -> bool:
    for _ in range(30):
        if parse_nodes(_call(client, "CLUSTER", "NODES"))[0].master is None:
            return True
        time.sleep(0.1)
    return False


def _call(client: redis.Redis, *words: Any) -> Any:
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _each(client: redis.Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The replies to commands that are sent together."""
    with client.pipeline(transaction=False) as pipe:
        for words in commands:
            pipe.execute_command(*words)  # type: ignore[no-untyped-call]
        return list(pipe.execute())
