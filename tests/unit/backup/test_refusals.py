"""What goes wrong with a backup: nothing half made is ever taken for one, and nothing is lost."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.backup import manifest, throwaway
from caches_runtime.ops.backup.cache import Cache
from caches_runtime.ops.backup.sealing import Sealing
from caches_runtime.ops.backup.store import Store
from caches_runtime.ops.migrate.errors import InterruptedMigrationError, RefusedError, UnfinishedError
from common.waiting import until
from pyrage import x25519
from unit.backup.caches import Place, kill, standalone
from unit.migrate.servers import Server, fill, same, server


@pytest.fixture
def source() -> Iterator[Server]:
    with server("redis") as made:
        fill(made)
        yield made


def test_memcached_is_refused(place: Place) -> None:
    with pytest.raises(RefusedError, match="memcached"):
        place.cache({"engine": "memcached", "host": "cache", "port": 11211})


def test_what_is_no_connection_is_refused(tmp_path: Path) -> None:
    (tmp_path / "connection").write_text('{"engine": "redis"}')
    with pytest.raises(RefusedError, match="KeyError: 'host'"):
        Cache.read(tmp_path / "connection", tmp_path)


def test_a_wrong_password_is_refused(source: Server, place: Place) -> None:
    with pytest.raises(RefusedError, match="does not let in"):
        place.backup(standalone(source, password="another")).run()
    assert manifest.backups(place.store) == []


def test_a_user_who_may_not_copy_is_refused(source: Server, place: Place) -> None:
    source.ask("ACL", "SETUSER", "default", "-sync")
    with pytest.raises(RefusedError, match=r"\+sync"):
        place.backup(standalone(source)).run()


def test_a_server_that_does_not_answer_is_waited_for(place: Place) -> None:
    with pytest.raises(UnfinishedError, match="none of 1 servers"):
        place.backup({"engine": "redis", "host": "127.0.0.1", "port": 1}).run()


def test_a_server_killed_while_it_is_read_leaves_no_backup(source: Server, place: Place) -> None:
    # A key that it takes long to send.
    source.ask("CONFIG", "SET", "rdb-key-save-delay", "2000")
    threading.Timer(1, source.end).start()
    with pytest.raises(UnfinishedError, match="broke off"):
        place.backup(standalone(source)).run()
    assert manifest.backups(place.store) == []
    assert list(place.folder.glob("*.rdb")) == []


def test_one_asked_to_end_leaves_no_backup(source: Server, place: Place) -> None:
    with pytest.raises(InterruptedMigrationError):
        place.backup(standalone(source), interrupted=lambda: True).run()
    assert manifest.backups(place.store) == []


def test_one_killed_while_it_sends_is_not_listed(source: Server, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between two files, which is the same as at any point before the manifest."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(manifest, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        place.backup(standalone(source)).run()
    assert place.store.folders() != []
    assert manifest.backups(place.store) == []


def test_the_command_killed_at_any_time_leaves_nothing_that_is_listed(source: Server, place: Place) -> None:
    place.connection_file(standalone(source))
    source.ask("CONFIG", "SET", "rdb-key-save-delay", "200")
    for seconds in (0.6, 1.0, 1.4):
        started = place.command("make")
        with pytest.raises(Exception, match="timed out"):
            started.wait(seconds)
        kill(started)
    for each in manifest.backups(place.store):
        place.restore().drill(each)


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_damaged_file_is_refused_before_the_cache_is_touched(source: Server, place: Place, damage: str) -> None:
    made = place.backup(standalone(source)).run()
    file = place.folder / "bucket" / made.id / made.parts[0].file
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-100] if damage == "truncated" else content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(RefusedError, match=r"SHA-256|no such file"):
        place.restore().drill(made)
    keys = source.ask("DBSIZE")
    with pytest.raises(RefusedError, match=r"SHA-256|no such file"):
        place.bring(standalone(source), made, force=True)
    assert source.ask("DBSIZE") == keys


@pytest.mark.parametrize("cut", [50, -1, -8, -100])
def test_a_truncated_snapshot_is_not_taken_for_a_whole_one(source: Server, place: Place, cut: int) -> None:
    made = place.backup(standalone(source)).run()
    file = place.folder / "bucket" / made.id / made.parts[0].file
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(RefusedError, match="not whole"):
        throwaway.count("redis", file)
    with throwaway.Throwaway("redis") as loading, pytest.raises(RefusedError, match="can't be loaded"):
        loading.load(file)


def test_what_is_read_back_must_be_what_was_sent(source: Server, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "_chunks", lambda *_: iter([b"something else"]))
    with pytest.raises(UnfinishedError, match="read back and differs"):
        place.backup(standalone(source)).run()
    monkeypatch.undo()
    assert manifest.backups(place.store) == []


def test_a_cache_with_keys_is_refused_without_force(source: Server, place: Place) -> None:
    made = place.backup(standalone(source)).run()
    source.ask("SET", "only", "here")
    with pytest.raises(RefusedError, match=r"holds 4013 keys.*--force"):
        place.bring(standalone(source))
    assert source.ask("GET", "only") == b"here"
    assert place.bring(standalone(source), force=True) == made.keys
    assert source.ask("EXISTS", "only") == 0


def test_another_key_is_refused(source: Server, tmp_path: Path) -> None:
    made = Place(tmp_path, key=str(x25519.Identity.generate())).backup(standalone(source)).run()
    for key, problem in (
        (str(x25519.Identity.generate()), "can't be decrypted"),
        (str(x25519.Identity.generate().to_public()), "a public one"),
        (None, "is encrypted"),
    ):
        with pytest.raises(RefusedError, match=problem):
            Place(tmp_path, key=key).restore().drill(made)


@pytest.mark.parametrize("text", ["", "password", "AGE-SECRET-KEY-1ABC", "age1abc", "age1a\nage1b"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="age-keygen"):
        Sealing(text)


def test_there_may_be_no_backup(place: Place) -> None:
    with pytest.raises(RefusedError, match="no complete backup"):
        place.restore().choose(None)
    with pytest.raises(RefusedError, match="no complete backup 'some'"):
        place.restore().choose("some")


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"format": 2}', '{"format": 1, "parts": []}'])
def test_a_manifest_that_is_none_is_not_listed(place: Place, content: str) -> None:
    place.store.write("20261127T000000Z-00000000/manifest.json", content.encode())
    assert manifest.backups(place.store) == []


@pytest.mark.parametrize("changed", [{"id": "another"}, {"engine": "sh"}, {"parts": [{"file": "../../escaped.rdb"}]}])
def test_a_manifest_that_somebody_has_changed_leads_nowhere_else(source: Server, place: Place, changed: dict[str, Any]) -> None:
    made = place.backup(standalone(source)).run()
    file = place.folder / "bucket" / made.id / "manifest.json"
    given = json.loads(file.read_text())
    if "parts" in changed:
        changed = {"parts": [given["parts"][0] | changed["parts"][0]]}
    file.write_text(json.dumps(given | changed))
    assert manifest.backups(place.store) == []


def test_a_restore_that_was_killed_is_made_anew_with_force(source: Server, place: Place) -> None:
    place.backup(standalone(source)).run()
    with server("redis") as target:
        place.connection_file(standalone(target))
        started = place.command("restore")
        assert until(lambda: target.ask("DBSIZE") > 0, 20, every=0.001)
        assert "restored" not in kill(started)
        with pytest.raises(RefusedError, match="--force"):
            place.bring(standalone(target))
        assert place.bring(standalone(target), force=True) == 4012
        assert same(source, target.client())


@pytest.mark.parametrize("url", ["bucket", "ftp://bucket", "file://relative"])
def test_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(RefusedError, match="must begin with"):
        Store(url)


def test_an_unreachable_bucket_is_found_before_anything_is_read(source: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    for name, value in {"ALLOW_HTTP": "true", "REGION": "eu-west-1", "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    unreachable = Place(tmp_path, "s3://bucket/cache")
    with pytest.raises(UnfinishedError, match="bucket s3://bucket/cache"):
        unreachable.backup(standalone(source)).run()
    assert unreachable.said == []


def test_the_command_says_what_went_wrong_and_ends_with_its_code(source: Server, place: Place) -> None:
    def ends(*words: str, **connection: Any) -> tuple[int, str]:
        place.connection_file(standalone(source, **connection))
        process = place.command(*words)
        output = process.communicate(timeout=60)[0]
        return process.returncode, output

    code, output = ends("make", "--json", "--keep-count=1")
    assert code == 0, output
    events = [json.loads(line) for line in output.splitlines()]
    assert events[-1]["event"] == "made"
    assert events[-1]["keys"] == 4012
    code, output = ends("make", "--keep-count=1")
    assert (code, output.splitlines()[-1]) == (0, f"removed {events[-1]['id']}, which was to be kept no longer")
    code, output = ends("list")
    assert code == 0
    assert "4012 keys" in output
    assert ends("drill")[0] == 0
    assert ends("restore")[0] == 3
    assert ends("make", password="another") == (3, f"refused: {source.host}:6379 does not let in: "
        "invalid username-password pair or user is disabled.; check the connection's username and password\n")  # fmt: skip
    assert ends("make", host="127.0.0.1", port=1)[0] == 4
    assert until(lambda: source.ask("PING") == b"PONG", 1)
