"""The repair of a cluster, with real Redis and Valkey processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.cluster import InterruptedRepairError, NotWholeError, RefusedError
from caches_runtime.ops.cluster_state import Place, Wanted
from certificates import certify
from common.waiting import until
from unit.cluster_nodes import PASSWORD, Nodes, cluster_nodes

START = Path(__file__).resolve().parents[2] / "components" / "pulumi_caches" / "kubernetes" / "scripts" / "cluster-start.sh"
KEYS = 500


def rights() -> str:
    """What the system user may in a pod, so that a right that is missing there is missing here."""
    [found] = re.findall(r'^rights="([^"]*)"', START.read_text(), re.MULTILINE)
    return f"+ping +info +psync +replconf {found}"


@pytest.fixture(params=["redis", "valkey"])
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    with cluster_nodes(request.param, rights()) as made:
        yield made


def made(nodes: Nodes, shards: int = 3, replicas: int = 1) -> None:
    """A cluster with data."""
    nodes.start(*Wanted(shards, replicas).places())
    nodes.repair(shards, replicas)
    with nodes.clients() as client:
        for number in range(KEYS):
            client.set(f"key{number}", number)


def kept(nodes: Nodes) -> bool:
    with nodes.clients() as client:
        return all(client.get(f"key{number}") == str(number) for number in range(KEYS))


def lines(nodes: Nodes, place: Place = Place(0, 0)) -> list[list[str]]:  # noqa: B008 - it can't be changed
    return [line.split(" ") for line in nodes.ask(place, "CLUSTER", "NODES").splitlines()]


def no_slot_is_open(nodes: Nodes, wanted: Wanted) -> bool:
    return "[" not in "".join(nodes.ask(place, "CLUSTER", "NODES") for place in wanted.places())


def test_it_makes_grows_and_shrinks_a_cluster_and_run_again_does_nothing(nodes: Nodes) -> None:
    made(nodes)
    assert nodes.repair(3, 1) == 0
    assert nodes.said == []
    nodes.start(*(place for place in Wanted(4, 1).places() if place not in Wanted(3, 1)))
    nodes.repair(4, 1)
    assert kept(nodes)
    assert {len(lines(nodes, place)) for place in Wanted(4, 1).places()} == {8}
    nodes.repair(3, 1)
    assert kept(nodes)
    assert {len(lines(nodes, place)) for place in Wanted(3, 1).places()} == {6}
    assert nodes.repair(3, 1) == 0


@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_over_tls_it_makes_and_grows_a_cluster_and_without_the_authority_finds_none(engine: str, tmp_path: Path) -> None:
    with cluster_nodes(engine, rights(), certify("DNS:nodes")) as nodes:
        made(nodes)
        done = command(nodes, tmp_path, "--replicas=1", f"--ca-file={nodes.ca_file}")
        assert done.stdout.endswith("nothing to do\n"), done.stderr
        nodes.start(Place(3, 0), Place(3, 1))
        nodes.repair(4, 1)
        assert kept(nodes)
        nodes.ca_file = tmp_path / "other.crt"
        nodes.ca_file.write_text(certify("DNS:nodes").authority_pem)
        with pytest.raises(NotWholeError, match="to answer"):
            nodes.repair(4, 1, seconds=1)


def test_an_interrupted_move_leaves_no_slot_open_and_is_gone_on_with(nodes: Nodes) -> None:
    made(nodes)
    nodes.start(Place(3, 0), Place(3, 1))
    interrupted = threading.Event()

    def interrupt() -> None:
        assert until(lambda: len(lines(nodes, Place(3, 0))) == 8 and "-" in lines_of_own(nodes), 60, every=0.02)
        interrupted.set()

    watching = threading.Thread(target=interrupt)
    watching.start()
    with pytest.raises(InterruptedRepairError):
        nodes.repair(4, 1, interrupted=interrupted.is_set)
    watching.join()
    assert no_slot_is_open(nodes, Wanted(4, 1))
    assert nodes.repair(4, 1) > 0
    assert kept(nodes)


def lines_of_own(nodes: Nodes) -> str:
    """The slots that the new shard's master has."""
    return next(" ".join(line[8:]) for line in lines(nodes, Place(3, 0)) if "myself" in line[2])


def test_moves_that_were_cut_short_anywhere_are_ended_or_undone(nodes: Nodes) -> None:
    made(nodes, replicas=0)
    first, second = (nodes.ask(Place(shard, 0), "CLUSTER", "MYID") for shard in (0, 1))
    slots = [str(nodes.ask(Place(0, 0), "CLUSTER", "KEYSLOT", f"key{number}")) for number in range(KEYS)]
    mine = [slot for slot in slots if int(slot) < 5000][:4]
    for slot in mine[:3]:
        nodes.ask(Place(1, 0), "CLUSTER", "SETSLOT", slot, "IMPORTING", first)
    for slot in mine[1:]:
        nodes.ask(Place(0, 0), "CLUSTER", "SETSLOT", slot, "MIGRATING", second)
    [key] = nodes.ask(Place(0, 0), "CLUSTER", "GETKEYSINSLOT", mine[2], "1")
    arguments = ["0", "1000", "AUTH2", "system", PASSWORD, "KEYS", key]
    nodes.ask(Place(0, 0), "MIGRATE", nodes.hosts.of(Place(1, 0)), "6379", "", *arguments)
    nodes.repair(3, 0)
    assert no_slot_is_open(nodes, Wanted(3, 0))
    assert kept(nodes)
    assert nodes.repair(3, 0) == 0


def test_a_node_with_an_emptied_volume_is_taken_back_as_a_replica(nodes: Nodes) -> None:
    made(nodes)
    before = nodes.ask(Place(1, 0), "CLUSTER", "MYID")
    nodes.lose(Place(1, 0))
    assert until(lambda: nodes.ask(Place(1, 1), "ROLE")[0] == "master", 20, every=0.1)
    nodes.start(Place(1, 0))
    nodes.repair(3, 1)
    assert nodes.ask(Place(1, 0), "ROLE")[0] == "slave"
    assert before not in {line[0] for line in lines(nodes)}
    assert kept(nodes)


def test_a_half_made_cluster_and_a_replica_that_was_reset_are_completed(nodes: Nodes) -> None:
    nodes.start(*Wanted(3, 1).places())
    nodes.ask(Place(0, 0), "CLUSTER", "MEET", nodes.hosts.of(Place(1, 0)), "6379")
    nodes.ask(Place(0, 0), "CLUSTER", "ADDSLOTSRANGE", "0", "99")
    nodes.repair(3, 1)
    nodes.ask(Place(2, 1), "CLUSTER", "RESET", "HARD")
    nodes.repair(3, 1)
    assert len(lines(nodes)) == 6
    assert nodes.repair(3, 1) == 0


def test_a_shard_whose_slots_nobody_has_a_copy_of_is_refused_and_nothing_is_touched(nodes: Nodes) -> None:
    made(nodes, replicas=0)
    nodes.lose(Place(1, 0))
    nodes.start(Place(1, 0))
    with pytest.raises(RefusedError, match="slots 5462-10922 were on a node that is gone with its volume"):
        nodes.repair(3, 0)
    assert len(lines(nodes, Place(1, 0))) == 1


def test_a_node_with_keys_of_its_own_is_refused(nodes: Nodes) -> None:
    nodes.start(*Wanted(3, 0).places())
    nodes.ask(Place(0, 0), "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    assert until(lambda: "cluster_state:ok" in nodes.ask(Place(0, 0), "CLUSTER", "INFO"), 10, every=0.1)
    nodes.ask(Place(0, 0), "SET", "key", "value")
    nodes.ask(Place(0, 0), "CLUSTER", "DELSLOTSRANGE", "0", "16383")
    with pytest.raises(RefusedError, match="holds 1 keys and has no slots"):
        nodes.repair(3, 0)


def test_a_node_that_does_not_come_is_named(nodes: Nodes) -> None:
    nodes.start(*Wanted(3, 0).places()[1:])
    with pytest.raises(NotWholeError, match="to answer"):
        nodes.repair(3, 0, seconds=1)


def test_two_at_once_wait_for_each_other(nodes: Nodes) -> None:
    nodes.start(*Wanted(3, 1).places())
    runs = [nodes.repairing(3, 1) for _ in range(2)]
    threads = [threading.Thread(target=run.run, args=[60]) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert nodes.repair(3, 1) == 0


def command(nodes: Nodes, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "password").write_text(f"{PASSWORD}\n")
    words = ["cluster", "repair", f"--hosts={nodes.hosts.template}", "--shards=3", f"--password-file={folder / 'password'}", *more]
    return subprocess.run([Path(sys.executable).parent / "caches", *words], capture_output=True, text=True, timeout=120)


def test_the_command_says_what_it_does_and_ends_with_a_code(nodes: Nodes, tmp_path: Path) -> None:
    nodes.start(*Wanted(3, 0).places())
    done = command(nodes, tmp_path, "--replicas=0", "--json")
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, events[-1]["event"]) == (0, "whole")
    again = command(nodes, tmp_path, "--replicas=0")
    assert again.stdout == "the cluster is whole: 3 masters with 0 replicas each; nothing to do\n"
    missing = command(nodes, tmp_path, "--replicas=1", "--seconds=1")
    assert (missing.returncode, "still waiting for" in missing.stderr) == (4, True)
    assert PASSWORD not in done.stdout + again.stdout + missing.stderr
    nodes.lose(Place(1, 0))
    nodes.start(Place(1, 0))
    refused = command(nodes, tmp_path, "--replicas=0")
    assert (refused.returncode, "gone with its volume" in refused.stderr) == (3, True)
