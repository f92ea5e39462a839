"""Backups in a bucket, over real HTTP: moto's server answers for S3, and a proxy before it breaks off."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.backup import manifest
from caches_runtime.ops.backup.retention import Retention
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from common.waiting import until
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.server import ThreadedMotoServer
from unit.backup.caches import Place, kill, standalone
from unit.migrate.servers import Server, same, server
from werkzeug.serving import make_server

BUCKET = "s3://bucket/shop/sessions"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server with an empty bucket, which the environment leads to."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    port = moto.get_host_and_port()[1]
    ask(port, "POST", "moto-api/reset")  # what it holds outlives it
    ask(port, "PUT", "bucket")
    lead_to(port, monkeypatch)
    yield port
    moto.stop()


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Google's requests are those of S3 but for the login, which is replaced: so the same server stands in for it."""
    moto = DomainDispatcherApplication(create_backend_app)

    def with_its_login(environment: dict[str, Any], start: Any) -> Any:
        environment["HTTP_AUTHORIZATION"] = (
            "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        )
        return moto(environment, start)

    server = make_server("127.0.0.1", 0, with_its_login, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ask(server.port, "POST", "moto-api/reset")
    ask(server.port, "PUT", "bucket")
    key = {
        "gcs_base_url": f"http://127.0.0.1:{server.port}",
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(key))
    yield
    server.shutdown()
    server.server_close()


def ask(port: int, method: str, path: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{path}", method=method)):
        pass


def answers(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def lead_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"ENDPOINT_URL": f"http://127.0.0.1:{port}", "REGION": "us-east-1", "ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "secret"}
    for name, value in named.items():
        monkeypatch.setenv(f"AWS_{name}", value)


class Breaking:
    """A proxy that lets a client send so much over each connection; then it hangs up, or only waits."""

    def __init__(self, port: int, limit: int, *, hangs_up: bool) -> None:
        self._target, self._limit, self._hangs_up = port, limit, hangs_up
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.broke = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listening.accept()
                behind = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pass_on, args=[client, behind, self._limit], daemon=True).start()
                threading.Thread(target=self._pass_on, args=[behind, client, sys.maxsize], daemon=True).start()
        except OSError:
            return

    def _pass_on(self, one: socket.socket, other: socket.socket, limit: int) -> None:
        try:
            while data := one.recv(65536):
                limit -= len(data)
                if limit < 0:
                    self.broke.set()
                    if not self._hangs_up:
                        return
                    break
                other.sendall(data)
        except OSError:
            pass
        one.close()
        other.close()


def test_a_round_trip_through_a_bucket(source: Server, s3: int, tmp_path: Path) -> None:
    # More than one part of an upload.
    with source.client() as client:
        for number in range(40):
            client.set(f"large{number}", os.urandom(1024 * 1024))
    place = Place(tmp_path, BUCKET)
    run = place.backup(standalone(source))
    first, second = run.run(), run.run()
    assert second.bytes > 40 * 1024 * 1024
    assert run.prune(Retention(count=1)) == [first.id]
    assert place.store.folders() == [second.id]
    with server("redis") as target:
        place.bring(standalone(target))
        assert same(source, target.client())


def test_a_round_trip_through_a_bucket_of_google(source: Server, google: None, tmp_path: Path) -> None:
    place = Place(tmp_path, "gs://bucket/shop/sessions")
    with source.client() as client:
        client.set("large", os.urandom(40 * 1024 * 1024))
    run = place.backup(standalone(source))
    first, second = run.run(), run.run()
    assert run.prune(Retention(count=1)) == [first.id]
    assert manifest.backups(place.store) == [second]
    place.restore().drill(second)


def test_an_upload_that_breaks_off_leaves_nothing_that_is_listed(
    source: Server, s3: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Breaking(s3, 30_000, hangs_up=True)
    lead_to(proxy.port, monkeypatch)
    with pytest.raises(UnfinishedError, match="bucket s3://bucket"):
        Place(tmp_path, BUCKET).backup(standalone(source)).run()
    assert proxy.broke.is_set()
    proxy.close()
    lead_to(s3, monkeypatch)
    assert manifest.backups(Place(tmp_path, BUCKET).store) == []


def test_one_killed_while_it_sends_leaves_nothing_that_is_listed(
    source: Server, s3: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Breaking(s3, 30_000, hangs_up=False)
    place = Place(tmp_path, BUCKET)
    place.connection_file(standalone(source))
    started = place.command("make", AWS_ENDPOINT_URL=f"http://127.0.0.1:{proxy.port}")
    assert proxy.broke.wait(30)
    kill(started)
    proxy.close()
    assert manifest.backups(place.store) == []
    assert place.backup(standalone(source)).run().keys == 4012


def test_a_bucket_that_there_is_not_is_refused_before_anything_is_read(source: Server, s3: int, tmp_path: Path) -> None:
    place = Place(tmp_path, "s3://another/path")
    with pytest.raises(RefusedError, match="no such bucket"):
        place.backup(standalone(source)).run()
    assert place.said == []


def test_wrong_credentials_are_refused_before_anything_is_read(source: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # From its second request on this one looks who asks; the first makes the bucket.
    environment: dict[str, Any] = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "1"}
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as moto:
        try:
            assert until(lambda: answers(port), 20)
            ask(port, "PUT", "bucket")
            lead_to(port, monkeypatch)
            place = Place(tmp_path, BUCKET)
            with pytest.raises(RefusedError, match="does not let in"):
                place.backup(standalone(source)).run()
            assert place.said == []
        finally:
            moto.kill()
