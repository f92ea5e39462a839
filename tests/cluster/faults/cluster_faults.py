"""What happens to a RedisClusterWithInit, and what must come of each fault by itself; for the tests and the bench."""

from __future__ import annotations

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

from cluster.deployed import NODE, eventually
from cluster.faults import disk
from cluster.faults.cluster import TAGS, Cluster
from common.waiting import until

# Another tag of the same Debian's Redis.
NEXT_IMAGE = "docker.io/library/redis:8.0.3"


def delete_master(cluster: Cluster, shard: int = 0) -> None:
    cluster.replace(cluster.master(shard))


def force_delete_master(cluster: Cluster, shard: int = 0) -> None:
    cluster.replace(cluster.master(shard), "--grace-period=0", "--force")


def kill_master(cluster: Cluster, shard: int = 0) -> None:
    before, other = cluster.master(shard), cluster.replica(shard)
    restarts = cluster.restarts(before)
    cluster.signal(before, "server", signal.SIGKILL)
    cluster.await_master(other)
    cluster.await_restart(before, restarts)
    # Its last words; the log of the container before is where they are.
    assert "has taken over" in cluster.kubectl("logs", before, "--previous")


def kill_replica(cluster: Cluster) -> None:
    replica = cluster.replica()
    restarts = cluster.restarts(replica)
    cluster.signal(replica, "server", signal.SIGKILL)
    cluster.await_restart(replica, restarts)


def run_master_out_of_memory(cluster: Cluster) -> None:
    """The kernel kills it in the middle of one command."""
    before, other = cluster.master(1), cluster.replica(1)
    restarts = cluster.restarts(before)
    assert cluster.ask(before, "CONFIG", "SET", "maxmemory", "0") == "OK"
    cluster.ask(before, "SETRANGE", f"{{{TAGS[1]}}}:too-much", "200000000", "x")
    cluster.await_restart(before, restarts)
    cluster.await_master(other)


def hang_master(cluster: Cluster, shard: int = 0) -> None:
    """Stops the process, and lets it go on once another one is the master."""
    hung, other = cluster.master(shard), cluster.replica(shard)
    cluster.signal(hung, "server", signal.SIGSTOP)
    try:
        cluster.await_master(other)
    finally:
        cluster.signal(hung, "server", signal.SIGCONT)
    eventually(lambda: cluster.role(hung) == "slave", "the one that hung follows")


def cut_master_off(cluster: Cluster) -> None:
    """No packet reaches or leaves the master's pod until another one is the master. What it accepts alone is lost, and nothing else."""
    cut, other = cluster.master(), cluster.replica()
    prefix = f"{{{TAGS[0]}}}:alone:"
    cluster.cut(cut)
    try:
        print(f"written to the master that was cut off: {cluster.write_alone(cut, prefix)}")
        cluster.await_master(other)
    finally:
        cluster.heal(cut)
    eventually(lambda: cluster.role(cut) == "slave", "the one that was cut off follows")
    cluster.await_whole(quiet=False)
    assert [cluster.ask(pod, "KEYS", f"{prefix}*") for pod in (cut, other)] == [[], []]


def kill_twice(cluster: Cluster) -> None:
    """The second master as soon as it is one."""
    first, second = cluster.master(2), cluster.replica(2)
    cluster.signal(first, "server", signal.SIGKILL)
    cluster.await_master(second)
    cluster.signal(second, "server", signal.SIGKILL)


def kill_all(cluster: Cluster) -> None:
    restarts = {pod: cluster.restarts(pod) for pod in cluster.pod_names()}
    for pod in cluster.pod_names():
        cluster.signal(pod, "server", signal.SIGKILL)
    for pod, before in restarts.items():
        cluster.await_restart(pod, before)


def delete_all_pods(cluster: Cluster) -> None:
    """They come back with other addresses, as who they were."""
    identities = cluster.identities()
    with cluster.all_replaced():
        cluster.kubectl("delete", "pods", "--selector=app.kubernetes.io/component", "--grace-period=0", "--force")
    cluster.await_whole(quiet=False)
    assert cluster.identities() == identities


def lose_masters_volume(cluster: Cluster) -> None:
    before, identities = cluster.master(), cluster.identities()
    cluster.kubectl("delete", "persistentvolumeclaim", f"data-{before}", "--wait=false")
    cluster.replace(before, "--grace-period=0", "--force")
    cluster.await_whole(quiet=False)
    assert cluster.identities() == identities
    assert cluster.role(before) == "slave"


def garble_masters_notes(cluster: Cluster) -> None:
    pod, identities = cluster.master(1), cluster.identities()
    restarts = cluster.restarts(pod)
    cluster.kubectl("exec", pod, "--", "sh", "-c", "head -c 99 /data/nodes.conf >/data/x && mv /data/x /data/nodes.conf")
    cluster.signal(pod, "server", signal.SIGKILL)
    cluster.await_restart(pod, restarts)
    cluster.await_whole(quiet=False)
    assert cluster.identities() == identities


def fill_masters_disk(cluster: Cluster) -> None:
    """Its shard refuses writes, and says why, until there is room again."""
    full = cluster.replica(2)
    with disk.small(cluster, full) as folder:
        cluster.hand_over(2, full)
        cluster.await_whole(quiet=False)
        with disk.full(cluster, full, folder):
            eventually(lambda: "MISCONF" in str(cluster.ask(full, "SET", f"{{{TAGS[2]}}}:full", "1")), "the master refuses writes")
        eventually(lambda: cluster.ask(full, "SET", f"{{{TAGS[2]}}}:full", "1") == "OK", "it accepts them again")
        cluster.await_whole(quiet=False)


def drain_masters_node(cluster: Cluster) -> None:
    node = f"node-{cluster.node_number(cluster.master())}"
    try:
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
    finally:
        cluster.kubectl("uncordon", node)


def cut_masters_node_off(cluster: Cluster, shard: int | None = None) -> None:
    """The node, and with it its zone, is away until another one is the master."""
    shard = cluster.shard_alone_on_its_node() if shard is None else shard
    number, other = cluster.node_number(cluster.master(shard)), cluster.replica(shard)
    subprocess.run([NODE, "cut", number], check=True)
    try:
        cluster.await_master(other)
    finally:
        subprocess.run([NODE, "heal", number], check=True)


def restart_masters_node(cluster: Cluster) -> None:
    """As when its machine loses power, and comes back."""
    shard = cluster.shard_alone_on_its_node()
    number, other = cluster.node_number(cluster.master(shard)), cluster.replica(shard)
    subprocess.run([NODE, "restart", number], check=True)
    cluster.await_master(other)


def change_configuration(cluster: Cluster) -> None:
    with cluster.all_replaced():
        cluster.change(hz=20)


def restart_all(cluster: Cluster) -> None:
    with cluster.all_replaced():
        for shard in range(cluster.shards):
            cluster.kubectl("rollout", "restart", f"statefulset/cache-{shard}")


def upgrade_engine(cluster: Cluster) -> None:
    subprocess.run([NODE, "images", NEXT_IMAGE], check=True)
    with cluster.all_replaced():
        cluster.change(image=NEXT_IMAGE)


def rotate_password(cluster: Cluster) -> None:
    before = cluster.known["password"]
    cluster.change(password_version=cluster.args.get("password_version", 1) + 1)
    cluster.connect()
    assert cluster.known["password"] != before


def grow_and_shrink(cluster: Cluster) -> None:
    """By one number. On the way back the repair's pod is killed while slots move: the Job's next one goes on where it was."""
    before = cluster.pods()
    cluster.change(shards=5)
    assert sorted(cluster.slots().values()) == [3276, 3277, 3277, 3277, 3277]
    assert cluster.pods().items() >= before.items(), "no pod that was there has restarted"

    with ThreadPoolExecutor() as pool:
        killing = pool.submit(_kill_repair, cluster)
        cluster.change(shards=3)
        assert killing.result(), "the repair was not killed in the middle"
    assert sorted(cluster.slots().values()) == [5461, 5461, 5462]
    eventually(lambda: cluster.pods() == before, "the pods of the shards that went are gone, and no other")
    cluster.preview("--expect-no-changes")


def _kill_repair(cluster: Cluster) -> bool:
    """Waits until slots have begun to move."""
    inside = 'REDISCLI_AUTH=$(cat /etc/cache/credentials/password) exec "$ENGINE-cli" cluster nodes'

    def moving() -> bool:
        return any("[" in cluster.kubectl("exec", pod, "--", "sh", "-c", inside) for pod in ("cache-3-0", "cache-3-1"))

    if not until(moving, 120, every=0.01):
        return False
    selector = ("--selector=app.kubernetes.io/name=cluster-repair", "--field-selector=status.phase=Running")
    pods = cluster.kubectl("get", "pods", *selector, "--output=name").split()
    return bool(pods) and "pod" in cluster.kubectl("delete", *pods, "--grace-period=0", "--force")


def add_and_remove_replicas(cluster: Cluster) -> None:
    """One that is to go leads its shard."""
    before = cluster.pods()
    cluster.change(replicas_per_shard=2)
    cluster.await_whole(quiet=False)
    cluster.hand_over(1, "cache-1-2")
    cluster.change(replicas_per_shard=1)
    eventually(lambda: cluster.pods() == before, "the pods are gone, and no other")
