"""`python -m bench.failover`: how long clients of a SentinelGroup can't write while its master is moved, dies or is lost.

On a cluster of its own, which needs Linux and root. Prints a table and keeps every run in bench/results, also when interrupted.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.deployed import writers
from cluster.faults import group_faults as faults
from cluster.faults.group import Group

from bench.gaps import Bench, Case, Sample, apply, main, of_writers, on_three_nodes

KINDS = ("sentinel", "service", "sentinel+wait")
REDIS_HA, CLOUD_PIRATES = "redis-ha chart 4.39", "CloudPirates chart 0.34"


def under_writes(fault: faults.Fault) -> Callable[[Group], dict[str, Sample]]:
    """What befalls a group while clients write."""

    def run(group: Group) -> dict[str, Sample]:
        if not group.known:
            apply(group)
        group.await_whole(quiet=False)
        group.renew_crashed()
        group.empty()
        with writers(group.known, *KINDS) as result:
            group.await_writes()
            fault(group)
            group.await_whole(quiet=False)
            group.await_writes()
        return of_writers(result)

    return run


PLANNED = {"sentinel": 0.3, "service": 0.6}
LOST = {"sentinel": 2.5, "service": 3.0}
CASES: tuple[Case[Group], ...] = (
    Case("apply", apply, {"": 20}, {REDIS_HA: "125 to 200 s", CLOUD_PIRATES: "43 s"}),
    Case("pod deleted", under_writes(faults.delete_master), PLANNED, {REDIS_HA: "11.9 s", CLOUD_PIRATES: "1.6 s"}),
    Case("node drained", under_writes(faults.drain_masters_node), PLANNED),
    Case("all restarted", under_writes(faults.restart_all), PLANNED),
    Case("configuration changed", under_writes(faults.change_configuration), PLANNED),
    Case(
        "process killed",
        under_writes(faults.kill_master),
        {"sentinel": 2.5, "service": 2.5},
        {REDIS_HA: "5.4 s, 3023 lost", CLOUD_PIRATES: "1.1 s, 2564 lost"},
    ),
    Case("pod force-deleted", under_writes(faults.force_delete_master), LOST, {REDIS_HA: "35.0 s", CLOUD_PIRATES: "1.1 s"}),
    Case(
        "process stopped",
        under_writes(faults.hang_master),
        {"sentinel": 3, "service": 3},
        {REDIS_HA: "12.1 s", CLOUD_PIRATES: "4.4 s"},
    ),
    Case("node lost", under_writes(faults.cut_masters_node_off), LOST),
)
ABOUT = "Measures how long clients of a SentinelGroup can't write while its master is moved, dies or is lost, on a cluster of its own."

if __name__ == "__main__":
    main(Bench("failover", ABOUT, lambda: on_three_nodes(Group, node_spread="required"), CASES, (REDIS_HA, CLOUD_PIRATES)))
