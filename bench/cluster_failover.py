"""`python -m bench.cluster_failover`: how long clients of a RedisClusterWithInit can't write while it breaks and changes.

Needs Linux and root, as the embedded cluster does. Prints a table and keeps every run in bench/results, also when interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.deployed import writers
from cluster.faults import cluster_faults as faults
from cluster.faults.cluster import KINDS, PLAIN, WAITING, Cluster

from bench.gaps import Bench, Case, Sample, apply, main, of_writers, on_three_nodes

SHARD, OTHERS, ALL = "of the shard", "of the others", "of all"
CLOUD_PIRATES = "CloudPirates cluster 0.34"

Measured = Callable[[Cluster], dict[str, Sample]]


def fault(act: Callable[[Cluster, int], object], shard_of: Callable[[Cluster], int] = lambda _: 0) -> Measured:
    """A fault of a shard's master while clients write to every shard."""

    def run(cluster: Cluster) -> dict[str, Sample]:
        _begin(cluster)
        shard = shard_of(cluster)
        said = _writing(cluster, lambda: act(cluster, shard))
        others = [said[kind] for kind in PLAIN if kind != PLAIN[shard]]
        return {SHARD: said[PLAIN[shard]], OTHERS: _together(others), WAITING: said[WAITING]}

    return run


def change(act: Callable[[Cluster], object]) -> Measured:
    """A planned change of the whole while clients write to every shard."""

    def run(cluster: Cluster) -> dict[str, Sample]:
        _begin(cluster)
        said = _writing(cluster, lambda: act(cluster))
        return {ALL: _together([said[kind] for kind in PLAIN]), WAITING: said[WAITING]}

    return run


def _begin(cluster: Cluster) -> None:
    if not cluster.known:
        apply(cluster)
    cluster.await_whole(quiet=False)
    cluster.renew_crashed()
    cluster.empty()


def _writing(cluster: Cluster, act: Callable[[], object]) -> Mapping[str, Sample]:
    with writers(cluster.known, *KINDS) as result:
        cluster.await_writes()
        act()
        cluster.await_whole(quiet=False)
        cluster.await_writes()
    return of_writers(result)


def _together(samples: list[Sample]) -> Sample:
    """The longest gap, and all that was written, lost and failed."""
    written, lost, failed = (sum(getattr(sample, key) for sample in samples) for key in ("written", "lost", "failed"))
    return Sample(max(sample.seconds for sample in samples), written, lost, failed)


def grow_and_shrink(cluster: Cluster) -> None:
    cluster.change(shards=5)
    cluster.change(shards=3)


def _aims(shard: float) -> dict[str, float]:
    return {SHARD: shard, OTHERS: 0.2}


CASES: tuple[Case[Cluster], ...] = (
    Case("apply", apply, {"": 30}, {CLOUD_PIRATES: "75 s"}),
    Case("pod deleted", fault(faults.delete_master), _aims(0.5), {CLOUD_PIRATES: "5.9 s"}),
    Case("process killed", fault(faults.kill_master), _aims(3)),
    Case("pod force-deleted", fault(faults.force_delete_master), _aims(3), {CLOUD_PIRATES: "5.6 s"}),
    Case("process stopped", fault(faults.hang_master), _aims(3)),
    Case("node lost", fault(faults.cut_masters_node_off, Cluster.shard_alone_on_its_node), {SHARD: 3}),
    Case("all restarted", change(faults.restart_all)),
    Case("3 to 5 to 3 shards", change(grow_and_shrink)),
    Case("password rotated", change(faults.rotate_password)),
)
ABOUT = "Measures how long clients of a RedisClusterWithInit can't write while it breaks and changes, on a cluster of its own."

if __name__ == "__main__":
    main(Bench("cluster_failover", ABOUT, lambda: on_three_nodes(Cluster), CASES, (CLOUD_PIRATES,)))
