"""The scripts of Memcached's pods, against real servers in a network of their own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from signal import SIGSTOP

import pytest
from certificates import certify
from pulumi_caches.kubernetes import memcached_options
from unit.memcached_servers import MemcachedPod
from unit.servers import PASSWORD, SYSTEM_PASSWORD, find_programs, pods_of

PASSES = ""


@pytest.fixture
def pod() -> Iterator[MemcachedPod]:
    with pods_of(MemcachedPod, find_programs("memcached"), "shard") as made:
        yield made[0]


# start.sh


def test_the_server_runs_with_the_arguments(pod: MemcachedPod) -> None:
    pod.serve(
        item_memory_mib=123,
        max_item_size_mib=2.5,
        threads=3,
        max_connections=700,
        growth_factor=1.5,
        min_chunk_bytes=96,
        evictions=False,
        extra_options=["idle_timeout=77", "hash_algorithm=xxh3", "no_lru_crawler"],
    )
    settings = pod.settings()
    expected = {
        "maxbytes": str(123 * 1024 * 1024),
        "item_size_max": str(2560 * 1024),
        "num_threads": "3",
        "maxconns": "700",
        "growth_factor": "1.50",
        "chunk_size": "96",
        "evictions": "off",
        "idle_timeout": "77",
        "hash_algorithm": "xxh3",
        "lru_crawler": "no",
        "tcpport": "11211",
        "udpport": "0",
    }
    assert {name: settings[name] for name in expected} == expected


def test_the_server_takes_every_option_that_the_preview_takes(pod: MemcachedPod) -> None:
    least = {name: str(limits[0]) for name, limits in memcached_options._NUMBERS.items()}
    greatest = {name: str(limits[1]) for name, limits in memcached_options._NUMBERS.items()}
    greatest |= {"warm_lru_pct": "1", "hashpower": "20"}  # refused for what the others are, or for the memory it takes
    factors = [{name: value for name in memcached_options._FACTORS} for value in ("0.01", "1")]
    for values in ({**least, **factors[0]}, {**greatest, **factors[1]}):
        options = [f"{name}={value}" for name, value in values.items()]
        pod.serve(threads=10, extra_options=[*options, *sorted(memcached_options._FLAGS - {"no_lru_maintainer"})]).end()
    for algorithm in memcached_options._CHOICES["hash_algorithm"]:
        pod.serve(extra_options=[f"hash_algorithm={algorithm}", "no_lru_maintainer"]).end()


def test_the_smallest_and_the_most_extreme_sizes_start(pod: MemcachedPod) -> None:
    for arguments in (
        {"memory_gib": 0.0625, "max_item_size_mib": 20, "min_chunk_bytes": 1, "growth_factor": 1.01},
        {"memory_gib": 0.0625, "max_item_size_mib": 0.5, "min_chunk_bytes": 65_536, "growth_factor": 10},
        {"memory_gib": 1024, "max_item_size_mib": 1024, "threads": 64, "max_connections": 512},
    ):
        pod.serve(**arguments).end()


def test_values_that_memory_has_no_room_for_are_read_from_disk(pod: MemcachedPod) -> None:
    pod.serve(memory_gib=0.0625, extstore_gib=1)
    value = "x" * 100_000
    # 95 MiB, more than twice the memory; in a burst that is faster than the disk the server removes items instead.
    for first in range(0, 1000, 50):
        assert set(pod.call(*(f"set key{first + number} 0 0 {len(value)}\r\n{value}" for number in range(50)))) == {"STORED"}
        time.sleep(0.2)
    found = pod.call(*(f"get key{number}" for number in range(1000))).count(value)
    [stats] = pod.call("stats")
    print(f"{found} of 1000 values found, {stats['get_extstore']} of them on disk")
    assert found > 40 * 2**20 / len(value), "more than memory holds"
    assert int(stats["get_extstore"]) > 100


def test_an_image_without_extstore_says_so_and_starts_nothing(pod: MemcachedPod) -> None:
    started = pod.start(path=f"{pod.built_without_anything()}:{pod.programs.path}", extstore_gib=1)
    assert started.wait() == 1
    assert "start: the image's memcached 1.6.99 was built without extstore, which extstore_gib needs" in started.output


def test_only_the_password_is_accepted(pod: MemcachedPod) -> None:
    pod.serve()
    assert [pod.accepts(password) for password in (PASSWORD, "wrong", "", PASSWORD + "x", None)] == [True, False, False, False, False]
    assert pod.call("get key", password=None) == ["CLIENT_ERROR unauthenticated"]


def test_without_passwords_everybody_is_let_in(pod: MemcachedPod) -> None:
    pod.without_passwords()
    pod.serve(auth="none")
    assert pod.accepts(None)
    assert pod.probe("ready") == PASSES


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("secret\n", "secret"),
        ("a:b", "a:b"),
        ("""'"`$HOME%s\\n""", """'"`$HOME%s\\n"""),
        ("pässwörd→🔑", "pässwörd→🔑"),
        ("x" * 200, "x" * 200),
    ],
    ids=["newline", "colon", "quotes", "unicode", "long"],
)
def test_any_character_that_can_be_logged_in_with_is_taken_as_it_is(pod: MemcachedPod, written: str, password: str) -> None:
    pod.credentials(password=written)
    pod.serve()
    assert pod.accepts(password)
    assert not pod.accepts(password[:-1])
    done = pod.run("await-password.sh", HOSTS="shard")
    assert done.stdout.splitlines()[-1] == "shard accepts the password"


@pytest.mark.parametrize(
    ("password", "message"),
    [
        (None, "no password in /etc/cache/credentials/password"),
        ("", "no password in"),
        ("\n", "no password in"),
        ("a b", "the password has a space or line break in it"),
        ("a\nb", "the password has a space or line break in it"),
        ("x" * 201, "the password has more than 200 characters"),
    ],
    ids=["missing", "empty", "newline", "space", "lines", "long"],
)
def test_a_password_that_nobody_could_log_in_with_starts_nothing(pod: MemcachedPod, password: str | None, message: str) -> None:
    pod.credentials(password=password, previous="before")
    started = pod.start()
    assert started.wait() != 0
    assert message in started.output
    assert not (pod.folder / "run" / "logins").exists()


def test_no_password_is_in_the_arguments_of_a_process(pod: MemcachedPod) -> None:
    path, arguments = pod.record_arguments()
    pod.serve(path=path)
    pod.credentials(password="after", previous=PASSWORD)
    assert pod.run("probe.sh", "ready", PATH=path).returncode == 0
    pod.run("await-password.sh", PATH=path, HOSTS="shard")
    recorded = arguments.read_text()
    assert "--memory-limit=768" in recorded
    assert not [password for password in (PASSWORD, "after", SYSTEM_PASSWORD) if password in recorded]


def test_an_image_without_bash_is_refused(pod: MemcachedPod) -> None:
    for name in ("memcached", "dirname", "basename", "cat"):
        (pod.folder / "data" / name).symlink_to(pod.programs.all()[name])
    script = pod.folder / "etc" / "config" / "bare.sh"
    script.write_text(f"PATH=/data exec {pod.programs.all()['sh']} /etc/cache/config/start.sh")
    started = pod.begin("bare.sh")
    assert started.wait() == 1
    assert "start: the image has no bash, which the probes need" in started.output


# probe.sh


def test_probes_pass_while_it_serves(pod: MemcachedPod) -> None:
    pod.serve()
    assert [pod.probe("alive"), pod.probe("ready")] == [PASSES, PASSES]


def test_probes_fail_without_a_server_and_when_it_hangs(pod: MemcachedPod) -> None:
    assert "no answer" in pod.probe("alive")
    pod.serve().process.send_signal(SIGSTOP)
    assert "no answer: timeout" in pod.probe("alive")


def test_a_full_server_is_alive_and_ready(pod: MemcachedPod) -> None:
    pod.serve(max_connections=512)
    connect = "socket.create_connection((sys.argv[1], 11211))"
    hold = f"import socket, sys\nheld = [{connect} for _ in range(600)]\nprint(flush=True)\nsys.stdin.read()"
    command = [*pod.client("")[:-4], "-c", hold, pod.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert "Too many open connections" in str(pod.call("version"))
        assert [pod.probe("alive"), pod.probe("ready")] == [PASSES, PASSES]
        holder.communicate()


def test_a_rotation_refuses_nobody_and_cuts_no_connection(pod: MemcachedPod) -> None:
    server = pod.serve()
    login = json.dumps({"user": "cache", "password": PASSWORD})
    with subprocess.Popen(pod.client("write"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(f"{login}\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "started\n"

        pod.credentials(password="after", previous=PASSWORD)
        assert pod.probe("ready") == PASSES
        assert pod.accepts(PASSWORD)
        assert pod.run("await-password.sh", HOSTS="shard").returncode == 0
        assert [pod.accepts(password) for password in ("after", PASSWORD, "wrong")] == [True, True, False]

        pod.credentials(previous=None)
        assert pod.probe("ready") == PASSES
        pod.await_refused(PASSWORD)
        assert pod.accepts("after")
        result = json.loads(writer.communicate()[0])
    assert result["errors"] == []
    assert result["written"] > 100
    assert server.process.poll() is None


def test_a_secret_that_lost_its_password_leaves_the_logins_as_they_are_and_is_reported(pod: MemcachedPod) -> None:
    pod.serve()
    pod.credentials(password="")
    assert "no password in" in pod.probe("ready")
    assert pod.probe("alive") == PASSES
    assert pod.accepts(PASSWORD)


def test_the_wait_for_a_password_goes_on_until_it_is_accepted(pod: MemcachedPod) -> None:
    pod.serve()
    pod.credentials(password="after", previous=PASSWORD)
    waiting = pod.begin("await-password.sh", HOSTS="shard")
    waiting.await_output("shard: CLIENT_ERROR authentication failure")
    assert pod.probe("ready") == PASSES
    assert waiting.wait() == 0


# TLS

TLS = {"tls_secret_name": "certificate"}


def trusts(pod: MemcachedPod, authority_pem: str) -> bool:
    """Whether a client that trusts the authority alone is served."""
    return bool(pod.call("version", ca_pem=authority_pem) == ["VERSION 1.6.38"])


def test_with_a_certificate_the_port_speaks_tls_only_and_the_probes_pass(pod: MemcachedPod) -> None:
    certificate = certify(f"IP:{pod.address}")
    pod.certify(certificate)
    pod.serve(**TLS)
    assert trusts(pod, certificate.authority_pem)
    assert not trusts(pod, certify(f"IP:{pod.address}").authority_pem)
    assert not pod.accepts(PASSWORD), "no client without TLS is served"
    assert [pod.probe("alive"), pod.probe("ready")] == [PASSES, PASSES]


def test_the_probes_port_can_not_be_reached_from_outside_the_pod(pod: MemcachedPod) -> None:
    pod.certify(certify(f"IP:{pod.address}"))
    pod.serve(**TLS)
    assert "refused" in str(pod.call("version", port="11212"))


def test_a_new_certificate_is_used_without_a_restart_and_cuts_no_connection(pod: MemcachedPod) -> None:
    before, after = certify(f"IP:{pod.address}"), certify(f"IP:{pod.address}")
    pod.certify(before)
    server = pod.serve(**TLS)
    login = json.dumps({"user": "cache", "password": PASSWORD, "ca_pem": before.authority_pem})
    with subprocess.Popen(pod.client("write"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(f"{login}\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "started\n"
        pod.certify(after)
        assert trusts(pod, before.authority_pem)
        assert pod.probe("ready") == PASSES
        assert [trusts(pod, each.authority_pem) for each in (before, after)] == [False, True]
        result = json.loads(writer.communicate()[0])
    assert result["errors"] == []
    assert result["written"] > 10
    assert server.process.poll() is None


def test_a_certificate_that_can_not_be_used_is_reported_until_there_is_one_that_can(pod: MemcachedPod) -> None:
    good = certify(f"IP:{pod.address}")
    pod.certify(good)
    pod.serve(**TLS)
    pod.certify(replace(good, certificate_pem="nonsense"))
    for _ in range(2):
        assert "the server does not take the certificate: Error loading the certificate chain" in pod.probe("ready")
    assert pod.probe("alive") == PASSES
    pod.certify(good)
    assert pod.probe("ready") == PASSES
    assert trusts(pod, good.authority_pem)


def test_a_secret_without_a_certificate_starts_nothing(pod: MemcachedPod) -> None:
    (pod.folder / "etc" / "tls").mkdir()
    started = pod.start(**TLS)
    assert started.wait() == 1
    assert "no certificate in /etc/cache/tls: does the Secret have tls.crt and tls.key?" in started.output


def test_an_image_without_tls_says_so_and_starts_nothing(pod: MemcachedPod) -> None:
    pod.certify(certify(f"IP:{pod.address}"))
    started = pod.start(path=f"{pod.built_without_anything()}:{pod.programs.path}", **TLS)
    assert started.wait() == 1
    assert "start: the image's memcached 1.6.99 was built without TLS (--enable-tls), which tls_secret_name needs" in started.output


def test_with_tls_a_rotation_is_waited_for_as_long_as_it_can_take(pod: MemcachedPod) -> None:
    pod.certify(certify(f"IP:{pod.address}"))
    done = pod.run("await-password.sh", HOSTS="shard", UNSEEN_SECONDS="1")
    assert (done.returncode, done.stdout) == (0, "waiting 1 s, until every shard must have the password\n")
