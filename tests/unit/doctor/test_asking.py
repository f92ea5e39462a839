"""What `caches doctor` learns from real servers, as the components run them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.cluster_state import Place, Wanted
from caches_runtime.ops.doctor.asking import Asking
from caches_runtime.ops.migrate.link import Endpoint
from certificates import Certified, certify
from common.waiting import until
from pulumi_caches.kubernetes import tls_authority
from pulumi_caches.kubernetes.sentinel_pod import SENTINEL_PORT
from unit.cluster_nodes import PASSWORD as SYSTEM
from unit.cluster_nodes import cluster_nodes
from unit.memcached_servers import MemcachedPod
from unit.sentinel.group import group
from unit.servers import PASSWORD, Pod, find_programs, pods, pods_of

DRIVER = Path(__file__).with_name("driver.py")


def ask(pod: Pod, what: str = "server", *, port: int = 6379, password: str | None = PASSWORD, **more: Any) -> dict[str, Any]:
    given = {
        "engine": pod.programs.engine,
        "mode": "standalone",
        "host": pod.address,
        "port": port,
        "what": what,
        "username": None,
        "password": password,
        "ca_pem": (pod.tls / "ca.crt").read_text() if pod.tls else "",
        **more,
    }
    done = subprocess.run(pod.beside(sys.executable, str(DRIVER)), input=json.dumps(given), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(params=["redis", "valkey"])
def pod(request: pytest.FixtureRequest) -> Iterator[Pod]:
    with pods(find_programs(request.param), "primary") as made:
        yield made[0]


@pytest.fixture
def shard() -> Iterator[MemcachedPod]:
    with pods_of(MemcachedPod, find_programs("memcached"), "shard") as made:
        yield made[0]


def lasting(address: str) -> Certified:
    """A certificate as tls_generated makes it."""
    authority = tls_authority.make_authority("test")
    key, certificate = tls_authority.parts(tls_authority.issue(authority, [address]))
    return Certified(certificate, key, tls_authority.parts(authority)[1])


def test_a_server_tells_what_checks_ask_for_and_no_password(pod: Pod) -> None:
    pod.replication = {"min-replicas-to-write": "0"}
    pod.serve(purpose="session", memory_gib=0.125)
    answers = ask(pod)
    assert answers["problem"] == ""
    assert answers["settings"] == {"maxmemory-policy": "volatile-lru", "appendfsync": "everysec", "save": "", "min-replicas-to-write": "0"}
    expected = {"maxmemory": str(96 * 2**20), "aof_enabled": "1", "role": "master", "connected_slaves": "0"}
    assert {key: answers["info"][key] for key in expected} == expected
    assert f"{pod.programs.engine}_version" in answers["info"]
    assert (answers["serves_strangers"], answers["answers_plaintext"], answers["certificate"]) == (False, False, None)
    assert PASSWORD not in json.dumps(answers)


def test_who_is_let_in_without_a_password_is_seen(pod: Pod) -> None:
    pod.serve()
    pod.connect().execute_command("ACL", "SETUSER", "default", "nopass")  # type: ignore[no-untyped-call]
    assert ask(pod)["serves_strangers"]


def test_a_wrong_password_is_a_problem(pod: Pod) -> None:
    pod.serve()
    assert "invalid username-password pair" in ask(pod, password="another")["problem"]


def test_a_server_that_is_gone_is_a_problem(pod: Pod) -> None:
    assert "refused" in ask(pod)["problem"]


def test_with_tls_the_certificate_is_looked_at_and_plain_text_is_not_answered(pod: Pod) -> None:
    pod.certify(lasting(pod.address))
    pod.serve()
    answers = ask(pod)
    assert answers["problem"] == ""
    assert 3600 < answers["certificate"]["days"] < 3660
    assert (answers["serves_strangers"], answers["answers_plaintext"]) == (False, False)


def test_a_server_that_speaks_plain_text_where_tls_is_expected_is_seen(pod: Pod) -> None:
    pod.serve()
    answers = ask(pod, ca_pem=certify("IP:10.0.0.1").authority_pem)
    assert answers["problem"]
    assert answers["answers_plaintext"]


def test_a_certificate_of_another_authority_is_not_accepted(pod: Pod) -> None:
    pod.certify(lasting(pod.address))
    pod.serve()
    answers = ask(pod, ca_pem=certify("IP:10.0.0.1").authority_pem)
    assert "certificate" in answers["certificate"]["problem"]
    assert "certificate" in answers["problem"].lower()


def test_sentinels_tell_of_the_master_and_of_their_majority() -> None:
    with group(find_programs("valkey")) as made:
        made.serve()

        def told() -> dict[str, Any]:
            answers = ask(made.pods[0], "sentinel", port=SENTINEL_PORT)
            assert answers["problem"] == ""
            return dict(answers["info"])

        assert until(lambda: told()["num-other-sentinels"] == "2", 20)
        assert until(lambda: told()["majority"].startswith("OK 3 usable Sentinels"), 20)
        for pod in made.pods[1:]:
            made.sentinels[pod].process.kill()
        assert until(lambda: told()["majority"].startswith("NOQUORUM"), 20)


def test_nodes_of_a_cluster_tell_how_many_slots_are_served() -> None:
    with cluster_nodes("redis", "+@all") as nodes:
        nodes.start(*Wanted(3, 0).places())
        asking = Asking("redis", "cluster", Endpoint("", 0, "system", SYSTEM))

        def told() -> Mapping[str, str]:
            server = asking.server("pod", lambda: nullcontext((nodes.hosts.of(Place(0, 0)), 6379)))
            assert server.problem == ""
            return server.cluster

        assert (told()["cluster_state"], told()["cluster_slots_ok"]) == ("fail", "0")
        nodes.repair(3, 0)
        assert until(lambda: told()["cluster_state"] == "ok", 20)
        assert told()["cluster_slots_ok"] == "16384"


def test_memcached_tells_what_checks_ask_for(shard: MemcachedPod) -> None:
    shard.serve(item_memory_mib=64, memory_gib=0.125, evictions=False)
    answers = ask(shard, port=11211, username="cache")
    assert (answers["problem"], answers["settings"]["evictions"]) == ("", "off")
    assert (answers["info"]["limit_maxbytes"], answers["info"]["version"]) == (str(64 * 2**20), "1.6.38")
    assert not answers["serves_strangers"]
    assert "login is refused" in ask(shard, port=11211, username="cache", password="another")["problem"]


def test_memcached_without_logins_serves_strangers(shard: MemcachedPod) -> None:
    shard.without_passwords()
    shard.serve(auth="none")
    answers = ask(shard, port=11211, password=None)
    assert (answers["problem"], answers["serves_strangers"]) == ("", True)


def test_memcached_with_tls_does_not_answer_plain_text(shard: MemcachedPod) -> None:
    shard.certify(lasting(shard.address))
    shard.serve(tls_secret_name="certificate")
    answers = ask(shard, port=11211, username="cache")
    assert (answers["problem"], answers["answers_plaintext"], answers["serves_strangers"]) == ("", False, False)
    assert answers["certificate"]["days"] > 3600
