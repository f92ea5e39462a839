"""RedisClusterWithInit while things break and change: each fault, with clients that write to every shard; it heals by itself.

Each case leaves the cluster whole, and its successors start from what it has made of it: who is master moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster.deployed import eventually
from cluster.faults import cluster_faults as faults
from cluster.faults.cluster import KINDS, PLAIN, TAGS, WAITING, Cluster

pytestmark = pytest.mark.cluster


# How long a master that hung or was cut off may take to find out.
WOKEN_SECONDS = 2.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three shards with a replica each."""
    with Cluster(tmp_path_factory.mktemp("cluster"), "cluster-faults").deployed() as cluster:
        yield cluster


@dataclass(frozen=True)
class Case:
    """A fault, and whether clients may lose what only the master had acknowledged."""

    fault: Callable[[Cluster], None]
    planned: bool = False
    survivors: bool = True
    """Whether a copy goes on running. Without, the disk decides, which is up to two seconds behind with everysec."""
    long: bool = False


CASES = [
    Case(faults.kill_master),
    Case(faults.hang_master),
    Case(faults.cut_master_off),
    Case(faults.delete_master, planned=True),
    Case(faults.garble_masters_notes),
    Case(faults.lose_masters_volume),
    Case(faults.delete_all_pods, survivors=False),
    Case(faults.change_configuration, planned=True),
    Case(faults.rotate_password, planned=True),
    Case(faults.grow_and_shrink, planned=True),
    Case(faults.add_and_remove_replicas, planned=True),
    Case(faults.force_delete_master, long=True),
    Case(faults.kill_replica, planned=True, long=True),
    Case(faults.run_master_out_of_memory, long=True),
    Case(faults.kill_twice, long=True),
    Case(faults.kill_all, survivors=False, long=True),
    Case(faults.fill_masters_disk, long=True),
    Case(faults.drain_masters_node, planned=True, long=True),
    Case(faults.cut_masters_node_off, long=True),
    Case(faults.restart_masters_node, long=True),
    Case(faults.restart_all, planned=True, long=True),
    Case(faults.upgrade_engine, planned=True, long=True),
    Case(Cluster.grow_volumes, planned=True, long=True),
]
PARAMETERS = [pytest.param(case, id=case.fault.__name__, marks=[pytest.mark.long] if case.long else []) for case in CASES]


@pytest.mark.parametrize("case", PARAMETERS)
def test_heals_and_keeps_what_it_acknowledged(cluster: Cluster, case: Case) -> None:
    cluster.await_whole(quiet=False)
    cluster.renew_crashed()
    cluster.empty()
    with cluster.watched() as together, cluster.writing(*KINDS) as result:
        cluster.await_writes()
        case.fault(cluster)
        cluster.await_whole(quiet=False)
        cluster.await_writes()
    assert max(together.values()) <= (0 if case.planned else WOKEN_SECONDS), "two masters of one key"
    assert not [error for said in result.values() for error in said["errors"] if "Authentication" in error or "WRONGPASS" in error]
    if case.survivors:
        assert result[WAITING]["lost"] == 0, "a write that a replica had"
    if case.planned:
        plain = [result[kind] for kind in PLAIN]
        assert sum(said["lost"] for said in plain) == 0, "a write that was acknowledged"
        failed, written = (
            sum(counts) for counts in ([sum(said["errors"].values()) for said in plain], [said["written"] for said in plain])
        )
        assert failed < 0.001 * written
    cluster.await_whole()


def test_what_a_volume_can_not_follow_is_refused_in_the_preview_and_changes_nothing(cluster: Cluster) -> None:
    before = cluster.pods()
    cluster.arguments(**cluster.args, engine="valkey")
    said = cluster.preview(succeeds=False)
    assert "engine: 'redis' can't become 'valkey': Redis and Valkey do not read each other's files" in said.stdout + said.stderr
    assert cluster.pods() == before


def test_valkey_without_an_append_only_file_loses_nothing_to_a_kill_and_destroy_leaves_nothing(tmp_path: Path) -> None:
    with Cluster(tmp_path, "valkey").deployed(engine="valkey", persistence="rdb") as valkey:
        valkey.await_whole()
        with valkey.writing(*KINDS) as result:
            valkey.await_writes()
            faults.kill_master(valkey)
            valkey.await_whole(quiet=False)
        assert result[WAITING]["lost"] == 0, "a write that a replica had"
        valkey.await_whole()
        faults.delete_all_pods(valkey)
    assert valkey.export() == []


@pytest.mark.long
def test_destroyed_and_made_again_with_kept_volumes_it_has_its_data(cluster: Cluster) -> None:
    cluster.change(storage_retained=True)
    cluster.await_whole()
    identities = cluster.identities()
    for tag in TAGS:
        assert cluster.ask(cluster.master(TAGS.index(tag)), "SET", f"{{{tag}}}:kept", "yes") == "OK"
    # The namespace stays, since what is in it would go with it.
    urns = [resource["urn"] for resource in cluster.export() if resource["type"].endswith(":RedisClusterWithInit")]
    cluster.destroy("--target", urns[0], "--target-dependents")
    eventually(lambda: not cluster.pods(), "no pod is left")
    cluster.up()
    cluster.connect()
    cluster.await_whole()
    assert cluster.identities() == identities
    assert [cluster.ask(cluster.master(TAGS.index(tag)), "GET", f"{{{tag}}}:kept") for tag in TAGS] == ["yes"] * 3
