"""What a migration refuses, with real Redis and Valkey processes: before anything is changed, with what to do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.migrate.link import Endpoint
from caches_runtime.ops.migrate.target import Target
from certificates import certify
from unit.cluster_nodes import cluster_nodes
from unit.migrate.servers import PASSWORD, Server, address, fill, migrate, same, server

Makes = Callable[..., Server]


@pytest.fixture
def make() -> Iterator[Makes]:
    with ExitStack() as closing:
        yield lambda *words, **more: closing.enter_context(server(*words, **more))


def with_a_key(made: Server, key: str = "key", database: int = 0) -> Server:
    made.ask("SET", key, "value", database=database)
    return made


def with_values(made: Server) -> Server:
    fill(made)
    made.ask("SET", "long", "x" * 2**20)
    return made


def replica(make: Makes) -> Server:
    master = make("redis")
    return make("redis", f"replicaof {master.host} 6379", f"masterauth {PASSWORD}")


def with_user(make: Makes, rights: str) -> Endpoint:
    made = with_a_key(make("redis"))
    made.ask("ACL", "SETUSER", "copier", "on", ">pw", "~*", *rights.split())
    return replace(made.endpoint, username="copier", password="pw")


@dataclass(frozen=True)
class Case:
    """What to copy, into what, and what is said."""

    source: Callable[[Makes], Any]
    target: Callable[[Makes], Any]
    says: str


def empty(make: Makes) -> Server:
    return make("redis")


def full(make: Makes) -> Server:
    return with_a_key(make("redis"))


CASES = {
    "wrong password": Case(
        lambda make: replace(full(make).endpoint, password="wrong"),
        empty,
        "does not let in: .*check migrate_secret_name and migrate_username",
    ),
    "no password": Case(lambda make: replace(full(make).endpoint, password=None), empty, "does not let in: .*check migrate_secret_name"),
    "a right is missing": Case(
        lambda make: with_user(make, "+@all -client|pause"),
        empty,
        r"does not do what is needed: .*no permissions to run the 'client\|pause'",
    ),
    "a right is missing later": Case(lambda make: with_user(make, "+@all -dump"), empty, "a right is missing: .*'dump'"),
    "a replica": Case(replica, empty, r"is a replica, whose clients write elsewhere: migrate_from must be its master, 127\.\S+:6379"),
    "a cluster's node": Case(lambda make: make("redis", "cluster-enabled yes"), empty, "is a node of a cluster"),
    "other data in the target": Case(
        full, full, r"holds other data \(1 keys in database 0\), which would be lost: take an empty one, or FLUSHALL"
    ),
    "a database that the target lacks": Case(
        lambda make: with_a_key(make("redis"), database=9),
        lambda make: make("redis", "databases 4"),
        "keys in database 9: give databases = 10",
    ),
    "more than the target may hold": Case(
        lambda make: with_values(make("redis")),
        lambda make: make("redis", "maxmemory 2mb"),
        r"uses \d+ MiB, and the new cache may hold 2: give",
    ),
    "values of another engine": Case(
        full,
        lambda make: make("valkey"),
        r"the new cache \(valkey 8\.\S+\) can't read the values of \S+ \(redis 8\.\S+\): .*payload version",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_refused_and_nothing_is_changed(make: Makes, case: Case) -> None:
    source, target = case.source(make), case.target(make)
    before = target.ask("INFO", "keyspace")
    with pytest.raises(RefusedError, match=case.says):
        migrate(source if isinstance(source, Endpoint) else source.endpoint, target.endpoint, cut_over=True)
    assert target.ask("INFO", "keyspace") == before


def test_the_rights_that_are_documented_are_enough(make: Makes) -> None:
    endpoint, target = with_user(make, "-@all +@read +@connection +info"), empty(make)
    migrate(endpoint, target.endpoint, cut_over=True)
    assert target.ask("GET", "key") == b"value"


def test_itself_is_refused(make: Makes) -> None:
    made = full(make)
    with pytest.raises(RefusedError, match="is the new cache itself"):
        migrate(made.endpoint, made.endpoint)


def test_another_source_than_that_of_the_copy_is_refused(make: Makes) -> None:
    first, second, target = full(make), full(make), empty(make)
    migrate(first.endpoint, target.endpoint)
    with pytest.raises(RefusedError, match=f"holds a copy of {re.escape(str(first.endpoint))}: FLUSHALL it to copy"):
        migrate(second.endpoint, target.endpoint)
    target.ask("FLUSHALL")
    migrate(second.endpoint, target.endpoint)


def test_other_databases_than_0_are_refused_for_a_cluster(make: Makes) -> None:
    from caches_runtime.ops.cluster_state import Place, Wanted

    source = with_a_key(make("redis"), database=2)
    with cluster_nodes("redis", "+@all") as nodes:
        nodes.start(*Wanted(3, 0).places())
        nodes.repair(3, 0)
        endpoint = Endpoint(nodes.hosts.of(Place(0, 0)), 6379)
        with pytest.raises(RefusedError, match="has keys in databases 2, and a cluster only has database 0"):
            migrate(source.endpoint, endpoint)


@pytest.mark.parametrize(
    ("policy", "says"), [("noeviction", "the new cache is full: give"), ("allkeys-lru", r"has evicted \d+ keys: give")]
)
def test_a_target_that_turns_out_too_small_is_refused_and_writes_go_on(
    make: Makes, monkeypatch: pytest.MonkeyPatch, policy: str, says: str
) -> None:
    monkeypatch.setattr(Target, "memory", lambda _: 0)
    source = make("redis")
    fill(source, 20_000)
    with pytest.raises(RefusedError, match=says):
        migrate(source.endpoint, make("redis", "maxmemory 3mb", f"maxmemory-policy {policy}").endpoint, cut_over=True)
    assert source.writes()


@pytest.mark.parametrize("absent", ["source", "target"])
def test_one_that_does_not_answer_is_named(make: Makes, absent: str) -> None:
    there, gone = full(make).endpoint if absent == "target" else empty(make).endpoint, Endpoint("127.255.0.1", 1)
    pair = (gone, there) if absent == "source" else (there, gone)
    with pytest.raises(UnfinishedError, match=r"127\.255\.0\.1:1"):
        migrate(*pair, seconds=1)


@contextmanager
def speaking_tls(folder: Path, name: str = "") -> Iterator[tuple[Server, Path]]:
    """A server with TLS on another port, and the file with its authority."""
    host = address()
    certified = certify(name or f"IP:{host}")
    files = {"tls.crt": certified.certificate_pem, "tls.key": certified.key_pem, "ca.crt": certified.authority_pem}
    lines = [f"tls-{name}-file {{folder}}/{file}" for name, file in (("cert", "tls.crt"), ("key", "tls.key"), ("ca-cert", "ca.crt"))]
    with server("redis", "tls-port 6380", "tls-auth-clients no", *lines, files=files, host=host) as made:
        authority = folder / "ca.crt"
        authority.write_text(certified.authority_pem)
        yield made, authority


def command(source: str, target: Server, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "password").write_text(f"{PASSWORD}\n")
    words = ["migrate", f"--source={source}", f"--target={target.endpoint}", f"--target-password-file={folder / 'password'}", *more]
    return subprocess.run([Path(sys.executable).parent / "caches", *words], capture_output=True, text=True, timeout=60)


def test_the_command_says_what_it_does_and_ends_with_a_code(make: Makes, tmp_path: Path) -> None:
    source, target = full(make), empty(make)
    (tmp_path / "source").write_text(f"{PASSWORD}\n")
    login = f"--source-password-file={tmp_path / 'source'}"
    copied = command(str(source.endpoint), target, tmp_path, login)
    assert copied.returncode == 0
    assert copied.stdout.splitlines()[-1] == f"copied 1 keys; {source.endpoint} still serves. Cut over with migrate_cut_over"
    over = command(str(source.endpoint), target, tmp_path, login, "--cut-over", "--json")
    events = [json.loads(line) for line in over.stdout.splitlines()]
    assert (over.returncode, events[-1]["event"], events[-1]["keys"]) == (0, "cut over", 1)
    again = command(str(source.endpoint), target, tmp_path, login, "--cut-over")
    assert again.stdout == f"an earlier run has cut over, and {target.endpoint} is the cache now; nothing to do\n"
    refused = command(str(source.endpoint), full(make), tmp_path, login)
    assert (refused.returncode, "holds other data" in refused.stderr) == (3, True)
    silent = command("127.255.0.1:1", empty(make), tmp_path, "--seconds=1")
    assert (silent.returncode, "still waiting for" in silent.stderr) == (4, True)
    assert PASSWORD not in "".join(done.stdout + done.stderr for done in (copied, over, again, refused, silent))


def test_a_source_that_speaks_tls_is_copied_and_one_of_another_authority_is_not(make: Makes, tmp_path: Path) -> None:
    with speaking_tls(tmp_path) as (source, authority):
        fill(source, 10)
        target = empty(make)
        endpoint = replace(source.endpoint, port=6380, tls=True, ca_file=str(authority))
        with pytest.raises(UnfinishedError, match=r"certificate|CERTIFICATE"):
            migrate(replace(endpoint, ca_file=None), target.endpoint, seconds=1)
        migrate(endpoint, target.endpoint)
        assert same(source, target.client())


def test_a_cache_that_speaks_tls_is_known_by_its_authority_and_by_no_name(make: Makes, tmp_path: Path) -> None:
    source = full(make)
    with speaking_tls(tmp_path, "DNS:another.name") as (target, authority):
        migrate(source.endpoint, replace(target.endpoint, port=6380, authority=authority), cut_over=True)
        assert target.ask("GET", "key") == b"value"
        authority.write_text(certify("DNS:another.name").authority_pem)
        with pytest.raises(UnfinishedError, match=r"certificate|CERTIFICATE"):
            migrate(source.endpoint, replace(target.endpoint, port=6380, authority=authority), seconds=1)
