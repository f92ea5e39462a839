"""What is done to watched caches so that their alerts fire: a fault is there while its block runs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.deployed import NODE
from cluster.faults.observed import processes
from cluster.own_stack import kubectl
from cluster.test_memcached_shards import call
from cluster.watched import Watched

# Holds connections to a server until its input ends.
_CROWD = """
import socket, sys
host, port, count = sys.argv[1:]
held = [socket.create_connection((host, int(port)), 5) for _ in range(int(count))]
print("held", flush=True)
sys.stdin.read()
"""
# What a replica gets of its master in a second. Acknowledgements go the other way, so that the link stays up.
_SLOW = """
table inet slow {
  chain in { type filter hook input priority 0; tcp sport 6379 limit rate over 8 kbytes/second burst 16 kbytes drop; }
}
"""
_KIB = 1024
_SLOW_COMMANDS = 150
# More than the reads that missed in a quarter of an hour.
_HITS = 12_000


@dataclass(frozen=True)
class Fault:
    """One that a cache has, and every alert that it raises when it stays."""

    cache: str
    make: Callable[[Watched], AbstractContextManager[None]]
    alerts: tuple[str, ...]

    @property
    def text(self) -> str:
        """For a person."""
        return (self.make.__doc__ or "").strip().rstrip(".")


def lose_shard(watched: Watched) -> AbstractContextManager[None]:
    """A shard's master and replica are gone."""
    return _scaled(watched, "shards-0", 0, usual=2)


def lose_server(watched: Watched) -> AbstractContextManager[None]:
    """The only server is gone."""
    return _scaled(watched, "lost", 0, usual=1)


def lose_member(watched: Watched) -> AbstractContextManager[None]:
    """One of three pods with a server and a sentinel is gone."""
    return _scaled(watched, "group", 2, usual=3)


@contextmanager
def promote_replica(watched: Watched) -> Iterator[None]:
    """A replica is told to follow nobody."""
    _, host, port, *_ = watched.ask("pair", 1, "ROLE")
    watched.ask("pair", 1, "REPLICAOF", "NO", "ONE")
    yield
    watched.ask("pair", 1, "REPLICAOF", str(host), str(port))


@contextmanager
def slow_down_replica(watched: Watched) -> Iterator[None]:
    """A replica's network passes on a fifth of what is written."""
    pod = watched.known["slow"]["nodes"][1].partition(".")[0]
    uid = json.loads(kubectl("get", "pod", pod, f"--namespace={watched.namespace}", "--output=json"))["metadata"]["uid"]
    [process] = processes(uid, "redis-server", "valkey-server")
    inside = ["nsenter", f"--target={process}", "--net", "nft"]
    subprocess.run([*inside, "--file", "-"], input=_SLOW, text=True, check=True)
    try:
        with _repeating(watched, "slow", lambda turn: ["SET", "key", "x" * 4 * _KIB]):
            yield
    finally:
        subprocess.run([*inside, "delete", "table", "inet", "slow"], check=True)


@contextmanager
def fill(watched: Watched) -> Iterator[None]:
    """Written until no more is taken."""
    number = 0
    while watched.ask("busy", 0, "SET", f"filler{number}", "x" * 100 * _KIB) == "OK":
        number += 1
    yield
    watched.ask("busy", 0, "FLUSHALL")


@contextmanager
def send_slow_commands(watched: Watched) -> Iterator[None]:
    """Scripts that take long."""
    for _ in range(_SLOW_COMMANDS):
        watched.ask("busy", 0, "EVAL", "local turn = 0 while turn < 2000000 do turn = turn + 1 end", "0")
    yield


@contextmanager
def refuse_clients(watched: Watched) -> Iterator[None]:
    """More clients come than maxclients."""
    [_, before] = watched.ask("busy", 0, "CONFIG", "GET", "maxclients")
    watched.ask("busy", 0, "CONFIG", "SET", "maxclients", "20")
    with _crowd(watched.known["busy"]["nodes"][0], 40):
        pass
    watched.ask("busy", 0, "CONFIG", "SET", "maxclients", before)
    yield


@contextmanager
def refuse_snapshot(watched: Watched) -> Iterator[None]:
    """The folder of the data can't be written to, and a snapshot is made."""
    claim = json.loads(kubectl("get", "persistentvolumeclaim", "data-busy-0", f"--namespace={watched.namespace}", "--output=json"))
    spec = json.loads(kubectl("get", "persistentvolume", claim["spec"]["volumeName"], "--output=json"))["spec"]
    folder = Path(spec["hostPath"]["path"] if "hostPath" in spec else spec["local"]["path"])
    folder.chmod(0o555)
    try:
        watched.ask("busy", 0, "BGSAVE")
        yield
    finally:
        folder.chmod(0o777)
        watched.ask("busy", 0, "BGSAVE")


@contextmanager
def evict(watched: Watched) -> Iterator[None]:
    """More is written than there is room for."""
    with _repeating(watched, "pages", lambda turn: ["SET", f"page{turn}", "x" * 100 * _KIB]):
        yield


@contextmanager
def miss(watched: Watched) -> Iterator[None]:
    """What is read is not there."""
    with _repeating(watched, "pages", lambda turn: ["GET", f"missing{turn}"]):
        yield
    watched.ask("pages", 0, "SET", "found", "x")
    for _ in range(_HITS):
        watched.ask("pages", 0, "GET", "found")


@contextmanager
def shorten_certificate(watched: Watched) -> Iterator[None]:
    """A certificate is valid for one day more."""
    watched.certify(days=1)
    yield
    watched.certify(days=90)


@contextmanager
def hold_connections(watched: Watched) -> Iterator[None]:
    """Nearly all connections are held."""
    with _crowd(watched.known["fragments"]["nodes"][0], 475):
        yield


@contextmanager
def refuse_connections(watched: Watched) -> Iterator[None]:
    """More connections come than max_connections."""
    with _crowd(watched.known["fragments"]["nodes"][1], 600):
        pass
    yield


@contextmanager
def refuse_items(watched: Watched) -> Iterator[None]:
    """Items come for which there is no room, and none is evicted."""
    known, value = watched.known["fragments"], "x" * 100 * _KIB

    def send(turn: int) -> None:
        items = (f"item{turn}-{number}" for number in range(10))
        call(known, known["nodes"][1], *(f"set {item} 0 0 {len(value)}\r\n{value}" for item in items))

    with _in_background(send, 2):
        yield
    call(known, known["nodes"][1], "flush_all")


FAULTS = (
    Fault("shards", lose_shard, ("CacheSlotsNotCovered", "CacheServerDown", "CacheReplicationBroken")),
    Fault("lost", lose_server, ("CacheNoMaster", "CacheServerDown")),
    Fault("group", lose_member, ("CacheServerDown", "CacheReplicationBroken", "CacheSentinelQuorumAtRisk")),
    Fault("pair", promote_replica, ("CacheTwoMasters", "CacheReplicationBroken")),
    Fault("slow", slow_down_replica, ("CacheReplicationLagging",)),
    Fault("busy", fill, ("CacheMemoryHigh",)),
    Fault("busy", send_slow_commands, ("CacheSlowCommands",)),
    Fault("busy", refuse_clients, ("CacheConnectionsRejected",)),
    Fault("busy", refuse_snapshot, ("CachePersistenceFailing",)),
    Fault("pages", evict, ("CacheEvictions",)),
    Fault("pages", miss, ("CacheHitRatioLow",)),
    Fault("pair", shorten_certificate, ("CacheCertificateExpiring",)),
    Fault("fragments", hold_connections, ("CacheConnectionsNearLimit",)),
    Fault("fragments", refuse_connections, ("CacheConnectionsRejected",)),
    Fault("fragments", refuse_items, ("CacheOutOfMemory",)),
)


@contextmanager
def _scaled(watched: Watched, stateful_set: str, replicas: int, usual: int) -> Iterator[None]:
    watched.scale(stateful_set, replicas)
    yield
    watched.scale(stateful_set, usual)


@contextmanager
def _crowd(node: str, count: int) -> Iterator[None]:
    host, _, port = node.partition(":")
    words: list[str | Path] = [NODE, "run", "--", sys.executable, "-c", _CROWD, host, port, str(count)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate()


@contextmanager
def _repeating(watched: Watched, cache: str, command: Callable[[int], list[str]]) -> Iterator[None]:
    """Sends a command ten times a second to the first server."""
    host = watched.known[cache]["nodes"][0].partition(":")[0]
    with closing(watched.client(cache)) as client, _in_background(lambda turn: client.call(host, *command(turn)), 0.1):
        yield


@contextmanager
def _in_background(act: Callable[[int], object], every: float) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        turn = 0
        while not ended.wait(every):
            act(turn)
            turn += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
