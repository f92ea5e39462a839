"""The scripts of a cluster's pods, against real Redis and Valkey servers in a network of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest
from certificates import Authority
from common.waiting import until
from pulumi_caches.arguments import Arguments
from pulumi_caches.kubernetes.cluster_conf import ClusterArgs, read_clustering
from pulumi_caches.kubernetes.pod import CLUSTER_SCRIPTS, config_files
from unit.scripts.test_certificates import shown
from unit.servers import HEADLESS, Pod, Script, call, find_programs, pods

# So long that whatever happens sooner is no election by the others.
NODE_TIMEOUT_MS = 20_000
NAMES = ("cache-0-0", "cache-0-1", "cache-1-0", "cache-2-0")
ENVIRONMENT = {"DOMAIN": HEADLESS, "PEERS": HEADLESS, "FAILOVER_SECONDS": "12"}


def start(pod: Pod) -> Script:
    """Runs cluster-start.sh, with what the component gives it."""
    server = pod.configure()
    directives = read_clustering(Arguments("Test", "cache", 63, {"node_timeout_ms": NODE_TIMEOUT_MS}, ClusterArgs), server).directives
    config = pod.folder / "etc" / "config"
    added = "".join(f"{directive} {value}\n" for directive, value in directives.items())
    for name, content in config_files((config / "server.conf").read_text() + added, CLUSTER_SCRIPTS).items():
        (config / name).write_text(content)
    pod.server = pod.begin("cluster-start.sh", DATA_FILE=server.data_file, HOSTNAME=pod.name, **ENVIRONMENT)
    return pod.server


def serve(pod: Pod) -> None:
    start(pod)
    assert until(lambda: "Ready to accept connections" in pod.server.output, 20, every=0.02), pod.server.output


def ask(pod: Pod, *words: str) -> Any:
    client = pod.connect()
    client.response_callbacks.clear()
    return call(client, *words)


def is_master(pod: Pod) -> bool:
    return bool(ask(pod, "ROLE")[0] == "master")


def epoch(pod: Pod) -> str:
    """How recent a master's claim to its slots is."""
    return next(str(line).split(" ")[6] for line in ask(pod, "CLUSTER", "NODES").splitlines() if "myself" in line)


def probe(pod: Pod) -> str:
    done = pod.run("cluster-probe.sh", "ready", HOSTNAME=pod.name, **ENVIRONMENT)
    return "" if done.returncode == 0 else done.stderr.strip()


@pytest.fixture(params=["redis", "valkey"])
def cluster(request: pytest.FixtureRequest) -> Iterator[list[Pod]]:
    """Three masters; the first has a replica, which comes second, and a key."""
    with pods(find_programs(request.param), *NAMES) as made:
        form(made)
        yield made


def form(made: list[Pod]) -> None:
    """Starts the nodes and makes them a cluster."""
    first, replica, *others = made
    for pod in made:
        serve(pod)
    for pod, slots in zip([first, *others], [("0", "5460"), ("5461", "10922"), ("10923", "16383")], strict=True):
        ask(pod, "CLUSTER", "ADDSLOTSRANGE", *slots)
    for pod in made[1:]:
        ask(first, "CLUSTER", "MEET", pod.address, "6379")
    assert until(lambda: all(f"cluster_known_nodes:{len(made)}" in ask(pod, "CLUSTER", "INFO") for pod in made), 20, every=0.1)
    ask(replica, "CLUSTER", "REPLICATE", ask(first, "CLUSTER", "MYID"))
    replica.await_info("master_link_status", "up")
    assert until(lambda: all("cluster_state:ok" in ask(pod, "CLUSTER", "INFO") for pod in made), 20, every=0.1)
    # With such a timeout news travel slowly.
    assert until(lambda: all("slave " in ask(pod, "CLUSTER", "NODES") for pod in made), 30, every=0.1)
    # Masters that have yet to agree on who is which vote for nobody.
    assert until(lambda: len({epoch(pod) for pod in [first, *others]}) == 3, 20, every=0.1)
    # By one connection: on another one, a WAIT knows of no write.
    client = first.connect()
    assert client.set("{b}", "value")
    assert client.wait(1, 5000) == 1


def test_a_killed_master_does_not_serve_again_but_its_replica_at_once(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    identity = ask(first, "CLUSTER", "MYID")
    first.server.end(SIGKILL)
    started = time.monotonic()
    serve(first)
    assert time.monotonic() - started < NODE_TIMEOUT_MS / 1000 / 2
    assert "has taken over" in first.server.output
    assert (is_master(first), is_master(replica)) == (False, True)
    assert ask(first, "CLUSTER", "MYID") == identity
    assert ask(replica, "GET", "{b}") == "value"


def test_a_server_that_crashes_leaves_its_shard_to_the_replica_before_its_container_starts_again(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    started = time.monotonic()
    crash(first)
    assert first.server.wait(10) == 128 + SIGKILL
    assert time.monotonic() - started < 5
    assert is_master(replica)
    assert "has taken over" in first.server.output
    serve(first)
    assert not is_master(first)


def test_a_replica_that_crashes_changes_nothing(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    crash(replica)
    assert replica.server.wait(10) == 128 + SIGKILL
    assert is_master(first)
    serve(replica)
    assert not is_master(replica)


def test_a_server_that_is_asked_to_end_does_and_no_replica_takes_over_for_that(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    first.server.end(SIGTERM)
    assert first.server.process.returncode == 0
    assert not is_master(replica)


def crash(pod: Pod) -> None:
    """Kills the server, and not the script that waits for its end."""
    [server] = pod.server.started()
    os.kill(server, SIGKILL)


def test_without_a_majority_to_vote_the_replica_takes_over_too(cluster: list[Pod]) -> None:
    first, replica, *others = cluster
    for pod in [first, *others]:
        pod.server.end(SIGKILL)
    serve(first)
    assert (is_master(first), is_master(replica)) == (False, True)


def test_a_replica_that_lost_the_master_long_before_it_was_killed_does_not_take_over(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    ask(replica, "CONFIG", "SET", "masterauth", "wrong")
    ask(first, "CLIENT", "KILL", "TYPE", "replica")
    replica.await_info("master_link_status", "down")
    assert until(lambda: int(replica.info("master_link_down_since_seconds")) > 6, 20, every=0.2)
    assert ask(first, "SET", "{b}", "newer") == "OK"
    assert until(lambda: int(replica.info("master_link_down_since_seconds")) > 7, 20, every=0.2)
    first.server.end(SIGKILL)
    serve(first)
    assert is_master(first)
    assert until(lambda: "cluster_state:ok" in ask(first, "CLUSTER", "INFO"), 20, every=0.1)
    assert ask(first, "GET", "{b}") == "newer"


def test_a_master_with_an_emptied_volume_comes_back_as_who_it_was_and_as_a_replica(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    identity = ask(first, "CLUSTER", "MYID")
    first.lose_data()
    serve(first)
    assert ask(first, "CLUSTER", "MYID") == identity
    assert (is_master(first), is_master(replica)) == (False, True)
    first.await_info("master_link_status", "up")
    assert ask(replica, "GET", "{b}") == "value"


def test_an_emptied_master_waits_while_its_replica_does_not_answer(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    replica.server.end(SIGKILL)
    first.lose_data()
    assert start(first).wait(60) != 0, first.server.output
    assert "cache-0-1.headless does not answer, which may have the data" in first.server.output


def test_damaged_notes_are_made_anew_and_without_anybody_to_ask_nothing_starts(cluster: list[Pod]) -> None:
    first, *_ = cluster
    identity = ask(first, "CLUSTER", "MYID")
    notes = first.folder / "data" / "nodes.conf"
    first.server.end(SIGKILL)
    damage(notes)
    serve(first)
    assert ask(first, "CLUSTER", "MYID") == identity
    for pod in cluster:
        pod.server.end(SIGKILL)
    damage(notes)
    assert start(first).wait(30) != 0
    assert "nodes.conf is damaged, and no other node knows this one" in first.server.output


def damage(notes: Path) -> None:
    notes.write_text(notes.read_text()[:99])


def test_a_master_that_ends_hands_over_and_a_replica_just_ends(cluster: list[Pod]) -> None:
    first, replica, *_ = cluster
    assert replica.run("cluster-stop.sh", **ENVIRONMENT).returncode == 0
    assert is_master(first)
    assert first.run("cluster-stop.sh", **ENVIRONMENT).returncode == 0
    assert (is_master(first), is_master(replica)) == (False, True)
    # Nobody to hand over to: it does not wait for the end of its time.
    lonely = cluster[2]
    started = time.monotonic()
    assert lonely.run("cluster-stop.sh", **ENVIRONMENT).returncode == 0
    assert time.monotonic() - started < 10
    assert is_master(lonely)


def test_only_a_pod_that_serves_in_the_cluster_is_ready(cluster: list[Pod]) -> None:
    first, replica, second, _ = cluster
    assert [probe(pod) for pod in cluster] == ["", "", "", ""]
    ask(second, "CLUSTER", "SETSLOT", "100", "IMPORTING", ask(first, "CLUSTER", "MYID"))
    assert probe(second) == "cluster-probe: has slots on their way"
    ask(second, "CLUSTER", "SETSLOT", "100", "STABLE")
    assert probe(second) == ""
    ask(replica, "CONFIG", "SET", "masterauth", "wrong")
    ask(first, "CLIENT", "KILL", "TYPE", "replica")
    replica.await_info("master_link_status", "down")
    assert probe(replica) == "cluster-probe: does not follow its master"


def test_a_new_pod_starts_blank_and_is_not_ready(cluster: list[Pod]) -> None:
    blank = cluster[3]
    for pod in cluster:
        pod.server.end(SIGKILL)
    blank.lose_data()
    serve(blank)
    assert "cluster_known_nodes:1" in ask(blank, "CLUSTER", "INFO")
    assert probe(blank) == "cluster-probe: is in no cluster that works"


@pytest.mark.parametrize("engine", ["redis", "valkey"])
def test_with_a_certificate_all_of_it_speaks_tls(engine: str) -> None:
    authority = Authority()
    with pods(find_programs(engine), *NAMES) as made:
        for pod in made:
            pod.certify(authority.issue(f"IP:{pod.address}"))
        form(made)
        first, replica, *_ = made
        assert [probe(pod) for pod in made] == ["", "", "", ""]
        bus = shown(replica, authority.pem, 16379)
        assert "CERTIFICATE" in bus, "nodes speak it among themselves too"

        renewed = {pod: authority.issue(f"IP:{pod.address}") for pod in made}
        for pod, certificate in renewed.items():
            pod.certify(certificate)
            assert probe(pod) == ""
            assert shown(pod, certificate.authority_pem) == certificate.certificate_pem.strip()
        assert [pod.server.process.poll() for pod in made] == [None] * 4

        assert first.run("cluster-stop.sh", **ENVIRONMENT).returncode == 0
        assert (is_master(first), is_master(replica)) == (False, True)
        identity = ask(replica, "CLUSTER", "MYID")
        first.await_info("master_link_status", "up")
        replica.lose_data()
        serve(replica)
        assert ask(replica, "CLUSTER", "MYID") == identity
        assert (is_master(first), is_master(replica)) == (True, False)
        replica.await_info("master_link_status", "up")
        assert ask(first, "GET", "{b}") == "value"


def test_no_password_is_an_argument_of_a_process(cluster: list[Pod]) -> None:
    first, *_ = cluster
    processes = [Path("/proc", str(pid)) for pid in (first.server.process.pid, *first.server.started())]
    assert len(processes) == 2
    shown = "".join((process / file).read_text() for process in processes for file in ("cmdline", "environ"))
    secrets = [file.read_text() for file in (first.folder / "etc" / "credentials").iterdir()]
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in shown]
