"""RedisClusterWithInit on the real cluster: what it promises while pods die, volumes are lost and the two numbers change.

Each test leaves the cluster whole, and its successors start from what it has made of it: who is master moves.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster.deployed import NODE, Deployed, eventually
from redis.crc import key_slot

pytestmark = pytest.mark.cluster

CLIENT = Path(__file__).parent / "cluster_client.py"
SLOTS = 16384
# One in the slots of each of three shards.
TAGS = [next(f"t{number}" for number in range(99) if key_slot(f"t{number}".encode()) * 3 // SLOTS == shard) for shard in range(3)]


def deploy(scratch: Path, namespace: str, **args: Any) -> Iterator[Deployed]:
    deployed = Deployed(scratch, namespace, "RedisClusterWithInit")
    deployed.arguments(memory_gib=0.0625, **args)
    try:
        deployed.up()
        yield deployed
    finally:
        deployed.destroy()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Three shards with a replica each."""
    yield from deploy(tmp_path_factory.mktemp("cluster"), "cluster")


def client(deployed: Deployed, *words: str, host: str = "") -> subprocess.Popen[str]:
    connection = deployed.connection()
    command = [NODE, "run", "--", sys.executable, CLIENT, host or connection["host"], *words]
    environment = {**os.environ, "CA_PEM": connection.get("ca_pem", "")}
    started = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdin is not None
    started.stdin.write(f"{connection['password']}\n")
    started.stdin.flush()
    return started


def ask(deployed: Deployed, *words: str) -> Any:
    output, _ = client(deployed, *words).communicate(timeout=120)
    return json.loads(output)


@contextmanager
def writing(deployed: Deployed) -> Iterator[dict[str, Any]]:
    """Writes to every shard while the block runs; what came of it is in the dictionary afterwards, by tag."""
    result: dict[str, Any] = {}
    with client(deployed, "write", *TAGS) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "started\n"
        try:
            yield result
        finally:
            writer.stdin.close()
            result |= json.loads(writer.stdout.read())
    for tag, found in result.items():
        print(f"{tag}: {found['written']} written, {len(found['failed'])} failed, gap {found['longest_gap_seconds']:.2f} s")


def nothing_lost(result: dict[str, Any]) -> None:
    assert [(tag, found["lost"]) for tag, found in result.items() if found["lost"]] == []
    assert sum(len(found["failed"]) for found in result.values()) < 0.001 * sum(found["written"] for found in result.values())


def server(deployed: Deployed, pod: str, *words: str) -> str:
    inside = 'REDISCLI_AUTH=$(cat /etc/cache/credentials/password) exec "$ENGINE-cli" "$@"'
    return deployed.kubectl("exec", pod, "--", "sh", "-c", inside, "sh", *words).strip()


def master(deployed: Deployed, shard: int = 0) -> str:
    pods = [f"cache-{shard}-0", f"cache-{shard}-1"]
    masters = [pod for pod in pods if server(deployed, pod, "role").startswith("master")]
    assert len(masters) == 1, masters
    return masters[0]


def process(deployed: Deployed, pod: str) -> int:
    """The server's process, seen from outside of its container: from inside nothing can kill it."""
    uid = deployed.get("pod", pod)["metadata"]["uid"]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip().endswith("-server") and f"pod{uid}/" in (folder / "cgroup").read_text():
                return int(folder.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise AssertionError(f"{pod} has no server")


def await_whole(deployed: Deployed) -> None:
    def whole() -> bool:
        items = deployed.get("statefulsets")["items"]
        return all(item["status"].get("readyReplicas", 0) == item["spec"]["replicas"] for item in items)

    deployed.await_ready()
    eventually(whole, "every pod is ready")


def await_keys(deployed: Deployed, pod: str, count: int) -> None:
    eventually(lambda: int(server(deployed, pod, "dbsize")) > count, f"{pod} has {count} keys")


def await_log(deployed: Deployed, pod: str, text: str) -> None:
    eventually(lambda: text in deployed.kubectl("logs", pod), f"{pod} says {text!r}")


def node_id(deployed: Deployed, pod: str) -> str:
    return server(deployed, pod, "cluster", "myid")


def members(deployed: Deployed) -> list[list[str]]:
    return [line.split(" ") for line in server(deployed, "cache-0-0", "cluster", "nodes").splitlines()]


def slots_of(deployed: Deployed) -> dict[str, int]:
    """How many slots each shard has."""
    counts: dict[str, int] = {}
    for member in members(deployed):
        shard = member[1].partition(",")[2].partition(".")[0].rpartition("-")[0]
        for part in member[8:]:
            assert not part.startswith("["), "a slot is open"
            first, _, last = part.partition("-")
            counts[shard] = counts.get(shard, 0) + int(last or first) - int(first) + 1
    return counts


def kill_all(deployed: Deployed) -> None:
    """Every pod at once; they come back with other addresses, as who they were."""
    before, identities = deployed.pods(), {node_id(deployed, pod) for pod in deployed.pods()}
    deployed.kubectl("delete", "pods", "--selector=app.kubernetes.io/component", "--grace-period=0", "--force")
    eventually(lambda: len(deployed.pods()) == 6 and not set(deployed.pods().values()) & set(before.values()), "new pods")
    await_whole(deployed)
    assert {node_id(deployed, pod) for pod in deployed.pods()} == identities


def test_up_again_and_refresh_change_nothing(cluster: Deployed) -> None:
    cluster.preview("--expect-no-changes")
    cluster.refresh("--expect-no-changes")
    cluster.up("--expect-no-changes")


def test_the_exported_connection_leads_to_every_slot(cluster: Deployed) -> None:
    assert cluster.connection()["mode"] == "cluster"
    for tag in TAGS:
        assert ask(cluster, "call", "SET", f"{{{tag}}}:hello", tag) is True
        assert ask(cluster, "call", "GET", f"{{{tag}}}:hello") == tag
    assert slots_of(cluster) == {"cache-0": 5462, "cache-1": 5461, "cache-2": 5461}


def test_the_repair_run_again_has_nothing_to_do(cluster: Deployed) -> None:
    assert "cache-0-0 gets slots 0-5461" in cluster.kubectl("logs", "job/cache-repair")
    before = cluster.pods()
    cluster.kubectl("delete", "job", "cache-repair")
    cluster.refresh()
    cluster.up()
    assert cluster.kubectl("logs", "job/cache-repair") == "the cluster is whole: 3 masters with 1 replicas each; nothing to do\n"
    assert cluster.pods() == before


def test_no_password_is_in_a_config_map_a_pod_or_a_log(cluster: Deployed) -> None:
    encoded = cluster.get("secret", "cache-auth")["data"].values()
    passwords = [subprocess.run(["base64", "-d"], input=value, capture_output=True, text=True).stdout for value in encoded]
    assert len(passwords) == 2
    shown = [json.dumps(cluster.get(kind)) for kind in ("configmaps", "pods", "statefulsets", "events", "jobs")]
    shown += [cluster.kubectl("logs", pod) for pod in cluster.pods()]
    shown += [cluster.kubectl("exec", pod, "--", "sh", "-c", "cat /proc/*/cmdline | tr '\\0' ' '") for pod in cluster.pods()]
    assert not [text for text in shown for password in passwords if password in text]


def test_a_master_that_is_deleted_hands_over_and_comes_back_as_a_replica(cluster: Deployed) -> None:
    before = master(cluster)
    with writing(cluster) as result:
        cluster.kubectl("delete", "pod", before)
        await_whole(cluster)
    nothing_lost(result)
    assert master(cluster) != before
    assert max(found["longest_gap_seconds"] for found in result.values()) < 3


def test_a_master_whose_process_is_killed_loses_no_write_that_its_replica_has(cluster: Deployed) -> None:
    before = master(cluster)
    tag = TAGS[0]
    headless = f"{before}.cache-headless.{cluster.namespace}.svc"
    with client(cluster, "confirmed", tag, host=headless) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "started\n"
        await_keys(cluster, before, 300)
        os.kill(process(cluster, before), signal.SIGKILL)
        confirmed = int(writer.stdout.read())
    await_whole(cluster)
    assert confirmed > 100
    assert ask(cluster, "missing", tag, str(confirmed)) == 0
    assert master(cluster) != before
    assert "has taken over" in cluster.kubectl("logs", before)


def test_a_master_that_hangs_is_replaced_and_follows_when_it_wakes_up(cluster: Deployed) -> None:
    before = master(cluster)
    hanging = process(cluster, before)
    with writing(cluster) as result:
        os.kill(hanging, signal.SIGSTOP)
        try:
            other = "cache-0-1" if before == "cache-0-0" else "cache-0-0"
            eventually(lambda: server(cluster, other, "role").startswith("master"), "the replica takes over", 30)
        finally:
            os.kill(hanging, signal.SIGCONT)
        await_whole(cluster)
        eventually(lambda: server(cluster, before, "role").startswith("slave"), "the one that hung follows")
    nothing_lost(result)


def test_a_pod_that_lost_its_volume_comes_back_as_who_it_was_with_the_data(cluster: Deployed) -> None:
    before = master(cluster)
    identity, uid = node_id(cluster, before), cluster.pods()[before]
    with writing(cluster) as result:
        cluster.kubectl("delete", "pvc", f"data-{before}", "--wait=false")
        cluster.kubectl("delete", "pod", before, "--grace-period=0", "--force")
        eventually(lambda: cluster.pods().get(before, uid) != uid, "a new pod")
        await_whole(cluster)
    nothing_lost(result)
    assert node_id(cluster, before) == identity
    assert server(cluster, before, "role").startswith("slave")
    assert server(cluster, before, "dbsize") == server(cluster, master(cluster), "dbsize")


def test_damaged_notes_about_the_cluster_are_made_anew_from_what_the_others_know(cluster: Deployed) -> None:
    pod = master(cluster, 1)
    identity = node_id(cluster, pod)
    cluster.kubectl("exec", pod, "--", "sh", "-c", "head -c 99 /data/nodes.conf >/data/x && mv /data/x /data/nodes.conf")
    restarts = cluster.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"]
    with writing(cluster) as result:
        os.kill(process(cluster, pod), signal.SIGKILL)
        eventually(lambda: cluster.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"] > restarts, "it starts again")
        await_whole(cluster)
    nothing_lost(result)
    assert node_id(cluster, pod) == identity


def test_all_pods_killed_at_once_find_each_other_again_with_their_data(cluster: Deployed) -> None:
    assert ask(cluster, "call", "SET", "kept", "yes") is True
    kill_all(cluster)
    assert ask(cluster, "call", "GET", "kept") == "yes"


def test_a_changed_configuration_rolls_the_pods_and_loses_nothing(cluster: Deployed) -> None:
    before = cluster.pods()
    with writing(cluster) as result:
        cluster.arguments(memory_gib=0.0625, maxmemory_policy="allkeys-lru")
        cluster.up()
        eventually(lambda: not set(cluster.pods().values()) & set(before.values()), "every pod is new", 180)
        await_whole(cluster)
    nothing_lost(result)
    cluster.arguments(memory_gib=0.0625)
    cluster.up()
    await_whole(cluster)


def test_it_grows_and_shrinks_by_one_number_while_clients_write(cluster: Deployed) -> None:
    before = cluster.pods()
    with writing(cluster) as grown:
        cluster.arguments(memory_gib=0.0625, shards=5)
        cluster.up()
    nothing_lost(grown)
    assert sorted(slots_of(cluster).values()) == [3276, 3277, 3277, 3277, 3277]
    assert cluster.pods().items() >= before.items(), "no pod that was there has restarted"

    # Killed while slots move: the Job's next pod goes on where it was.
    cluster.arguments(memory_gib=0.0625, shards=3)
    with writing(cluster) as shrunk, subprocess.Popen([sys.executable, "-c", KILL_REPAIR, str(NODE), cluster.namespace]) as killing:
        cluster.up()
        assert killing.wait(60) == 0, "the repair was not killed in the middle"
    nothing_lost(shrunk)
    assert sorted(slots_of(cluster).values()) == [5461, 5461, 5462]
    assert len(members(cluster)) == 6
    assert {pod for pod in cluster.pods() if pod[6] in "34"} == set()
    assert cluster.pods().items() >= before.items()
    cluster.preview("--expect-no-changes")


# Waits until slots have begun to move, which nodes tell, then kills the repair's process.
KILL_REPAIR = """
import subprocess, sys, time
node, namespace = sys.argv[1:]
inside = 'REDISCLI_AUTH=$(cat /etc/cache/credentials/password) exec "$ENGINE-cli" cluster nodes'
def kubectl(*words):
    return subprocess.run([node, "kubectl", "-n", namespace, *words], capture_output=True, text=True).stdout
deadline = time.monotonic() + 120
while "[" not in kubectl("exec", "cache-3-0", "--", "sh", "-c", inside) + kubectl("exec", "cache-3-1", "--", "sh", "-c", inside):
    if time.monotonic() > deadline:
        sys.exit(1)
pods = kubectl("get", "pods", "--selector=app.kubernetes.io/name=cluster-repair", "--field-selector=status.phase=Running", "--output=name")
sys.exit("pod" not in kubectl("delete", *pods.split(), "--grace-period=0", "--force"))
"""


def test_replicas_are_added_and_removed_by_one_number(cluster: Deployed) -> None:
    before = cluster.pods()
    with writing(cluster) as result:
        cluster.arguments(memory_gib=0.0625, replicas_per_shard=2)
        cluster.up()
        assert len(members(cluster)) == 9
        # One that is to go leads its shard.
        assert server(cluster, "cache-1-2", "cluster", "failover") == "OK"
        eventually(lambda: server(cluster, "cache-1-2", "role").startswith("master"), "the third pod leads")
        cluster.arguments(memory_gib=0.0625, replicas_per_shard=1)
        cluster.up()
        eventually(lambda: len(cluster.pods()) == 6, "the pods are gone")
    nothing_lost(result)
    await_whole(cluster)
    assert len(members(cluster)) == 6
    assert cluster.pods() == before


def test_valkey_without_an_append_only_file_loses_nothing_to_a_kill_and_destroy_leaves_nothing(tmp_path: Path) -> None:
    for valkey in deploy(tmp_path, "valkey", engine="valkey", persistence="rdb"):
        before = master(valkey)
        with writing(valkey) as result:
            await_keys(valkey, before, 100)
            os.kill(process(valkey, before), signal.SIGKILL)
            await_log(valkey, before, "has taken over")
            await_whole(valkey)
        # What was on its way to the replica when the process was killed may be gone, as everywhere.
        assert sum(found["lost"] for found in result.values()) <= 3
        assert sum(found["written"] for found in result.values()) > 300
        kill_all(valkey)
    assert valkey.export() == []
