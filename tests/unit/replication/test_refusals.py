"""What is not replicated, and changes nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.migrate.errors import RefusedError
from caches_runtime.replication.notes import Notes
from unit.backup.caches import standalone
from unit.client.relay import Relay
from unit.migrate.servers import PASSWORD, Server, server
from unit.replication.sites import EVENTS, Sites, limited, of


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    with server("redis", EVENTS) as one, server("redis") as other:
        yield one, other


@pytest.fixture
def empty(pair: tuple[Server, Server]) -> tuple[Server, Server]:
    for each in pair:
        each.ask("FLUSHALL")
    pair[0].ask("SET", "key", "1")
    return pair


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": "memcached", "mode": "sharded"}, "memcached can't tell which keys it has"),
        ({"mode": "ring"}, "mode: 'ring' is unknown; it is one of standalone, sentinel, cluster"),
        ({"port": None}, "port: missing"),
        ({"password": None}, "password: missing; give it, or auth = none"),
        ({"pasword": "x"}, "unknown: pasword; a connection has auth, ca_pem"),
        ({"password": "wrong-secret"}, "does not let in"),
        ({"auth": "iam"}, "auth: 'iam' can't be used yet"),
    ],
)
def test_what_is_no_connection(tmp_path: Path, empty: tuple[Server, Server], change: dict[str, Any], said: str) -> None:
    one, other = empty
    sites = Sites(tmp_path, one=standalone(one), other={**standalone(other), **change})
    with pytest.raises(RefusedError) as refused:
        sites.replicate()
    assert said in str(refused.value)
    assert "wrong-secret" not in str(refused.value)
    assert int(other.ask("DBSIZE")) == 0


def test_a_cache_onto_itself(tmp_path: Path, empty: tuple[Server, Server]) -> None:
    one, _ = empty
    relay = Relay(one.host, 6379)
    host, port = relay.node.split(":")
    try:
        sites = Sites(tmp_path, one=standalone(one), other=standalone(one, host=host, port=int(port)))
        for leader in (True, False):
            with pytest.raises(RefusedError, match="are the same server"):
                sites.replicate(leader=leader, into_non_empty=True)
    finally:
        relay.close()
    assert one.ask("KEYS", "*") == [b"key"]


def test_a_cache_onto_itself_that_hides_what_it_is(tmp_path: Path, empty: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    from caches_runtime.replication.site import Site

    one, _ = empty
    # As of a cloud's proxy, which has another for each connection.
    monkeypatch.setattr(Site, "run_ids", lambda site: {0: str(id(site))})
    with pytest.raises(RefusedError, match="are the same cache"):
        of(tmp_path, one=one, other=one).replicate(into_non_empty=True)
    assert one.ask("KEYS", "*") == [b"key"]


def test_a_target_with_keys_unless_that_is_wanted(tmp_path: Path, empty: tuple[Server, Server]) -> None:
    one, other = empty
    other.ask("SET", "key", "mine")
    sites = of(tmp_path, one=one, other=other)
    for leader in (True, False):
        with pytest.raises(RefusedError, match=r"have keys, which could be overwritten.*--into-non-empty"):
            sites.replicate(leader=leader)
        assert other.ask("GET", "key") == b"mine"
    sites.replicate(into_non_empty=True)
    assert other.ask("GET", "key") == b"1"


def test_other_databases(tmp_path: Path, empty: tuple[Server, Server]) -> None:
    one, other = empty
    one.ask("SET", "key", "1", database=5)
    with pytest.raises(RefusedError, match="has keys in databases 5: only database 0"):
        of(tmp_path, one=one, other=other).replicate()
    assert int(other.ask("DBSIZE")) == 0


def test_a_user_who_may_not_write(tmp_path: Path, empty: tuple[Server, Server]) -> None:
    one, other = empty
    other.ask("ACL", "SETUSER", "limited", "on", f">{PASSWORD}", "~*", "+@read", "+info", "+select")
    with pytest.raises(RefusedError, match="a right is missing"):
        Sites(tmp_path, one=standalone(one), other=limited(other)).replicate()


def test_a_state_that_is_in_use_or_of_others_or_none(tmp_path: Path, empty: tuple[Server, Server]) -> None:
    one, other = empty
    sites = of(tmp_path, one=one, other=other)
    sites.replicate()
    with pytest.raises(RefusedError, match=r"is of .*follow.*, and not of .*mesh"):
        sites.replicate(leader=False)
    with sites.replicating(), pytest.raises(RefusedError, match="another replicator is at work"):
        Notes(sites.state, "any")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "replicate.db").write_bytes(os.urandom(5000))
    with pytest.raises(RefusedError, match="is no state of a replicator"):
        Notes(tmp_path / "none", "any")


def test_a_disk_that_can_not_be_written(tmp_path: Path, empty: tuple[Server, Server]) -> None:
    one, other = empty
    sites = of(tmp_path, one=one, other=other)
    sites.state.write_text("no folder")
    code, said = sites.ends("run", "--from={one}", "--to={other}", "--state={state}", "--once")
    assert code == 4, said
    assert int(other.ask("DBSIZE")) == 0


def test_the_command_says_why_and_how_it_ends(tmp_path: Path, empty: tuple[Server, Server]) -> None:
    one, other = empty
    other.ask("SET", "key", "mine")
    sites = of(tmp_path, one=one, other=other)
    code, said = sites.ends("run", "--from={one}", "--to={other}", "--state={state}", "--json")
    assert code == 3, said
    assert json.loads(said.splitlines()[-1])["event"] == "refused"
    assert PASSWORD not in said
    assert sites.ends("run", "--from={one}", "--state={state}")[0] == 2
    assert sites.ends("run", "--mesh={one}", "--state={state}")[0] == 2
    code, said = sites.ends("run", "--from={one}", "--to={other}", "--state={state}", "--into-non-empty", "--once", "--json")
    assert code == 0, said
    done = json.loads(said.splitlines()[-1])
    assert (done["event"], done["copied"], done["compared"]) == ("alike", 1, 1)
    assert time.time() - 60 < (sites.state / "replicate.db").stat().st_mtime
