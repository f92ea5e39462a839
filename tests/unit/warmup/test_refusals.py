"""What a warm-up does not take: said early, counted and named, and never with what is in it."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.warmup import cache_source, records, text_source
from caches_runtime.ops.warmup.entries import Entry
from caches_runtime.ops.warmup.records import BadRecordError, of_json, of_row
from hypothesis import given
from hypothesis import strategies as st
from unit.backup.caches import standalone
from unit.migrate.servers import Server, server
from unit.warmup.servers import cache, command, database, file, lines, many, memcached, postgresql, url, warm, web

VALUE = "a-value-that-must-not-be-shown"
BAD_RECORDS: list[tuple[Any, str]] = [
    ("", "is not JSON in UTF-8"),
    (VALUE, "is not JSON in UTF-8"),
    (b'{"key": "k", "value": "\xff"}', "is not JSON in UTF-8"),
    ("[" * 100_000, "is not JSON in UTF-8"),
    ([VALUE], 'is not an object with a "key" and a "value"'),
    ({"value": VALUE}, "key is missing, or is not a text"),
    ({"key": 1, "value": VALUE}, "key is missing, or is not a text"),
    ({"key": "", "value": VALUE}, "key is empty"),
    ({"key": "k"}, "value is missing"),
    ({"key": "k", "value": None}, "value is not a text or a number"),
    ({"key": "k", "value": True}, "value is not a text or a number"),
    ({"key": "k", "value": {"field": VALUE}}, "value is not a text: name its type"),
    ({"key": "k", "value": VALUE, "value_base64": "AA=="}, "there is a value too"),
    ({"key": "k", "value_base64": VALUE}, "value_base64 is not base64"),
    ({"key": "k", "value_base64": 5}, "value_base64 is not base64"),
    ({"key": "k", "value": VALUE, VALUE: 5}, "has another field than key, value, value_base64, ttl, type"),
    ({"key": "k", "value": VALUE, "ttl": 0}, "ttl is not a number of seconds above 0"),
    ({"key": "k", "value": VALUE, "ttl": -1}, "ttl is not a number of seconds above 0"),
    ({"key": "k", "value": VALUE, "ttl": "soon"}, "ttl is not a number of seconds above 0"),
    ({"key": "k", "value": VALUE, "ttl": True}, "ttl is not a number of seconds above 0"),
    ({"key": "k", "value": VALUE, "ttl": 1e12}, "at most a hundred years"),
    ('{"key": "k", "value": "v", "ttl": NaN}', "ttl is not a number of seconds above 0"),
    ({"key": "k", "value": VALUE, "type": "stream"}, "type is not one of string, hash, list, set, zset"),
    ({"key": "k", "value": VALUE, "type": ["hash"]}, "type is not one of"),
    ({"key": "k", "value": [VALUE], "type": "hash"}, "value is not an object with a field or more"),
    ({"key": "k", "value": {}, "type": "hash"}, "value is not an object with a field or more"),
    ({"key": "k", "value": {"f": [VALUE]}, "type": "hash"}, "value is not a text or a number"),
    ({"key": "k", "value": VALUE, "type": "list"}, "value is not a list with an element or more"),
    ({"key": "k", "value": [], "type": "set"}, "value is not a list with an element or more"),
    ({"key": "k", "value": {"m": VALUE}, "type": "zset"}, "a score is not a number"),
    ('{"key": "\\ud800", "value": "v"}', "has half a character"),
]


@pytest.fixture
def target() -> Iterator[Server]:
    with server("redis") as made:
        yield made


@pytest.mark.parametrize(("record", "reason"), BAD_RECORDS, ids=[str(record)[:60] for record, _ in BAD_RECORDS])
def test_a_record_that_is_none_says_why_and_not_what(record: Any, reason: str) -> None:
    with pytest.raises(BadRecordError) as raised:
        of_json(lines(record).rstrip(b"\n"), "line 1")
    assert reason in str(raised.value)
    assert VALUE not in str(raised.value)


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_whatever_a_line_is_it_is_an_entry_or_a_bad_record(line: bytes) -> None:
    with contextlib.suppress(BadRecordError):
        assert isinstance(of_json(line, "line 1"), Entry)


@given(
    st.fixed_dictionaries(
        {"key": st.none() | st.text() | st.binary() | st.integers(), "value": st.none() | st.text() | st.binary() | st.integers()},
        optional={"ttl": st.none() | st.text() | st.floats() | st.integers()},
    )
)
def test_whatever_a_row_is_it_is_an_entry_or_a_bad_record(row: dict[str, Any]) -> None:
    with contextlib.suppress(BadRecordError):
        assert isinstance(of_row(row, "row 1"), Entry)


def test_bad_records_are_named_counted_and_passed_over(target: Server, tmp_path: Path) -> None:
    good = {"key": "good", "value": "1"}
    (tmp_path / "warm.jsonl").write_bytes(lines(good, VALUE, {"key": "k", "value": VALUE, "ttl": 0}, "", {"key": "last", "value": "1"}))
    said: list[str] = []
    done = warm(standalone(target), file(tmp_path / "warm.jsonl"), said, bad_maximum=2)
    assert (done.written, done.bad) == (2, 2)
    assert said[1:3] == ["line 2 is not JSON in UTF-8", "line 3 ttl is not a number of seconds above 0, and at most a hundred years"]
    assert VALUE not in "".join(said)


def test_too_many_bad_records_end_it_and_what_was_written_stays(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(2000) + lines(*[VALUE] * 200))
    with pytest.raises(RefusedError, match=r"4 records are bad, the last one line 2004, which is not JSON in UTF-8; at most 3 may be"):
        warm(standalone(target), file(tmp_path / "warm.jsonl"), bad_maximum=3)
    assert target.ask("GET", "key1999") == b"value1999"


def test_rows_of_a_csv_file_that_are_none(target: Server, tmp_path: Path) -> None:
    rows = f"key,value,ttl\nfirst,1\nsecond,{VALUE},soon\n,{VALUE},1\nlast,1,60\n"
    (tmp_path / "warm.csv").write_text(rows)
    said: list[str] = []
    assert warm(standalone(target), file(tmp_path / "warm.csv"), said).written == 1
    assert said[1:4] == [
        "line 2 has 2 columns, and the first line 3",
        "line 3 ttl is not a number of seconds",
        "line 4 key is empty",
    ]


def test_what_is_too_large_is_a_bad_record_and_not_read_into_memory(
    target: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_source, "_LINE_BYTES", 1024 * 1024)
    large = {"key": "large", "value": VALUE * 100_000}
    (tmp_path / "warm.jsonl").write_bytes(lines({"key": "a", "value": "1"}, large, {"key": "b", "value": "1"}, large))
    said: list[str] = []
    assert warm(standalone(target), file(tmp_path / "warm.jsonl"), said).written == 2
    assert said[1:] == ["line 2 has more than 1 MiB", "line 4 has more than 1 MiB"]
    monkeypatch.setattr(records, "VALUE_BYTES", 1000)
    (tmp_path / "warm.jsonl").write_bytes(lines({"key": "large", "value": "x" * 1000}))
    assert warm(standalone(target), file(tmp_path / "warm.jsonl")).bad == 1
    monkeypatch.setattr(cache_source, "VALUE_BYTES", 1000)
    with server("redis") as source:
        source.ask("MSET", "large", "x" * 2000, "small", "1")
        done = warm(standalone(target), cache(standalone(source)), said)
    assert (done.written, done.bad) == (1, 1)


SOURCES: list[tuple[str, bytes, str]] = [
    ("warm.csv", b"", "must name the columns"),
    ("warm.csv", b"name,value\na,b\n", "must name the columns: key and value, perhaps ttl, and no other"),
    ("warm.csv", b"key,value,expires\na,b,1\n", "must name the columns"),
    ("warm.csv", b"key,value,key\na,b,c\n", "must name the columns"),
    ("warm.csv", b'key,value\na,"b\nc,d\n', "line 3 is no CSV: unexpected end of data"),
    ("warm.csv", b'key,value\na,"b"c\n', "line 2 is no CSV"),
    ("warm.txt", b"", "nothing says whether the source is json or csv"),
    ("warm.jsonl", gzip.compress(many(1000))[:-2000], "the gzip is damaged or cut off: EOFError"),
    ("warm.jsonl", gzip.compress(many(10))[:20] + b"damaged", "the gzip is damaged or cut off"),
]


@pytest.mark.parametrize(("name", "content", "reason"), SOURCES, ids=[f"{name} {reason}" for name, _, reason in SOURCES])
def test_a_file_that_can_not_be_read_as_what_it_is(name: str, content: bytes, reason: str, target: Server, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusedError, match=reason):
        warm(standalone(target), file(tmp_path / name))


def test_a_file_that_is_not_there(target: Server, tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.csv", "No such file"), (tmp_path, "nothing says")):
        with pytest.raises(RefusedError, match=reason):
            warm(standalone(target), file(path))
    with pytest.raises(RefusedError, match="Is a directory"):
        warm(standalone(target), file(tmp_path, "json"))


def test_urls(target: Server) -> None:
    with web(404) as address, pytest.raises(RefusedError, match=r"http://127.0.0.1:\d+/a.csv answers 404 Not Found: check the URL"):
        warm(standalone(target), url(f"{address}/a.csv?token={VALUE}"))
    with pytest.raises(RefusedError, match="nothing says whether"):
        warm(standalone(target), url("http://127.0.0.1:1/a"))
    assert target.ask("DBSIZE") == 0


def test_a_url_that_never_answers_is_given_up(target: Server, tmp_path: Path) -> None:
    started = command(tmp_path, standalone(target), "--source=http://127.0.0.1:1/a.csv", "--seconds=2")
    output = started.communicate(timeout=60)[0]
    assert started.returncode == 4
    assert "not done; waited for http://127.0.0.1:1/a.csv: ConnectError" in output


def test_queries(target: Server, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE warm (key TEXT, value TEXT)")
        connection.execute("INSERT INTO warm VALUES (?, ?), (NULL, 'x'), ('k', NULL), ('good', '1')", ("", VALUE))
    here = f"sqlite:///{tmp_path}/shop.db"
    for address, query, reason in (
        (here, "SELEC * FROM warm", "the query can't be run: near"),
        (here, "SELECT * FROM cold", "the query can't be run: no such table: cold"),
        (here, "DELETE FROM warm", "the query can't be run"),
        (here, "SELECT key FROM warm", "must have the columns key and value, perhaps ttl, and no other: it has key"),
        (here, "SELECT key, value, 1 AS more FROM warm", "it has key, value, more"),
        (f"sqlite:///{tmp_path}/none.db", "SELECT 1", "there is no file"),
        ("a file", "SELECT 1", "is not a database's URL"),
        ("unknown://here", "SELECT 1", "no such kind of database"),
        ("oracle://here", "SELECT 1", "the image has no driver for that database"),
    ):
        with pytest.raises(RefusedError, match=reason):
            warm(standalone(target), database(address, query))
    said: list[str] = []
    done = warm(standalone(target), database(here, "SELECT * FROM warm"), said)
    assert (done.written, done.bad) == (1, 3)
    assert VALUE not in "".join(said)


def test_a_database_that_does_not_let_in(target: Server) -> None:
    with postgresql() as address:
        for wrong in (address.replace("shop:", "shop:another-"), address.replace("shop:", "nobody:"), f"{address}-none"):
            with pytest.raises(RefusedError, match="the database does not let in") as raised:
                warm(standalone(target), database(wrong, "SELECT 1"))
            assert "the-password" not in str(raised.value)


def test_caches_that_can_be_no_source(target: Server) -> None:
    with server("redis") as source:
        with pytest.raises(RefusedError, match="does not let in"):
            warm(standalone(target), cache(standalone(source, password=VALUE)))
        source.ask("SET", "key", "value", database=3)
        with pytest.raises(RefusedError, match="has keys in databases 3: only database 0 is read"):
            warm(standalone(target), cache(standalone(source)))


def test_targets_that_can_not_be_filled(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(50_000))
    with server("redis", "maxmemory 3mb") as full:
        with pytest.raises(RefusedError, match="the cache is full"):
            warm(standalone(full), file(tmp_path / "warm.jsonl"))
        with pytest.raises(RefusedError, match="does not let in"):
            warm(standalone(full, password=VALUE), file(tmp_path / "warm.jsonl"))
        full.ask("FLUSHALL")
        full.ask("ACL", "SETUSER", "default", "-set")
        with pytest.raises(RefusedError, match="a right is missing"):
            warm(standalone(full), file(tmp_path / "warm.jsonl"))
    with memcached() as connection, pytest.raises(RefusedError, match="does not let in"):
        warm({**connection, "password": VALUE}, file(tmp_path / "warm.jsonl"))
    (tmp_path / "warm.jsonl").write_bytes(lines(*({"key": f"key{number}", "value": "x" * 10_000} for number in range(2000))))
    with memcached("-M", "-m", "8") as connection, pytest.raises(RefusedError, match="full and evicts nothing"):
        warm(connection, file(tmp_path / "warm.jsonl"))


def test_memcached_is_no_source(target: Server, tmp_path: Path) -> None:
    (tmp_path / "from.json").write_text(json.dumps({"engine": "memcached", "host": "127.0.0.1", "port": 1}))
    started = command(tmp_path, standalone(target), f"--from-connection={tmp_path}/from.json")
    assert "refused: memcached has no way to read all that it holds" in started.communicate(timeout=60)[0]
    assert started.returncode == 3


def test_a_value_that_is_too_large_for_memcached_is_a_bad_record(tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(lines({"key": "large", "value": "x" * 2_000_000}, {"key": "small", "value": "1"}))
    said: list[str] = []
    with memcached() as connection:
        assert warm(connection, file(tmp_path / "warm.jsonl"), said).written == 1
    assert said[-1] == "line 1 is larger than an item may be: raise max_item_size_mib"


def test_a_replica_is_waited_for_to_become_a_master_and_then_given_up(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(10))
    with server("redis", f"replicaof {target.host} 6379") as replica:
        started = command(tmp_path, standalone(replica), f"--source={tmp_path}/warm.jsonl", "--seconds=2")
        assert "You can't write against a read only replica" in started.communicate(timeout=60)[0]
        assert started.returncode == 4


ARGUMENTS: list[tuple[list[str], str]] = [
    ([], "give one of --source, --source-file and --from-connection"),
    (["--source=a.csv", "--from-connection=b"], "give one of --source"),
    (["--from-connection=b", "--query=SELECT 1"], "say nothing of another cache"),
    (["--source=a.csv", "--query=SELECT 1", "--format=csv"], "--format says nothing of a query"),
    (["--source=a.csv", "--jitter=1.1"], "less than or equal to 1"),
    (["--source=a.csv", "--keys-per-second=0"], "greater than or equal to 0.01"),
    (["--source=a.csv", "--bad-maximum=-1"], "greater than or equal to 0"),
    (["--source=a.csv", "--format=xml"], "'xml' is not one of 'json', 'csv'"),
    (["--source-file=none"], "the file with the source's URL can't be read: No such file"),
]


@pytest.mark.parametrize(("words", "reason"), ARGUMENTS, ids=[" ".join(words) or "none" for words, _ in ARGUMENTS])
def test_arguments_that_can_not_work(words: list[str], reason: str, tmp_path: Path) -> None:
    started = command(tmp_path, {"engine": "redis", "host": "127.0.0.1", "port": 1}, *words)
    output = started.communicate(timeout=60)[0]
    assert started.returncode in (2, 3)
    assert reason in " ".join(output.replace("│", "").split())


def test_the_command_tells_programs(target: Server, tmp_path: Path) -> None:
    (tmp_path / "warm.jsonl").write_bytes(many(10))
    output = command(tmp_path, standalone(target), f"--source={tmp_path}/warm.jsonl", "--json").communicate(timeout=60)[0]
    events = [json.loads(line) for line in output.splitlines()]
    assert events[-1]["event"] == "warm"
    counts = {"written": 10, "there": 0, "expired": 0, "bad": 0, "keys": 10, "keys_before": 0, "full": False}
    assert {key: events[-1][key] for key in counts} == counts
    with pytest.raises(UnfinishedError):
        warm({**standalone(target), "host": "127.0.0.1", "port": 1}, file(tmp_path / "warm.jsonl"), seconds=1)
