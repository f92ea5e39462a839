"""Letting traffic in, over real HTTP: a web server stands in for the API server, which the node's test has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.ops.migrate.errors import RefusedError, UnfinishedError
from caches_runtime.ops.warmup.gate import open_gate
from unit.warmup.servers import web


def lead_to(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "users": [{"name": "here", "user": {"token": "the-token"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here", "namespace": "shop"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))


def answer(code_: int, **body: Any) -> Any:
    def give(request: Any) -> None:
        content = json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, **body}).encode()
        request.send_response(code_)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return give


def test_it_writes_one_key_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def takes(request: Any) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        asked.append((request.path.partition("?")[0], request.headers["Content-Type"], body))
        answer(200, kind="ConfigMap", data=body["data"])(request)

    with web(takes) as address:
        lead_to(address, tmp_path, monkeypatch)
        open_gate("cache-warmup")
    [(path, kind, body)] = asked
    assert (path, kind) == ("/api/v1/namespaces/shop/configmaps/cache-warmup", "application/merge-patch+json")
    assert list(body) == ["data"]
    assert list(body["data"]) == ["warm"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_one_that_is_not_there_or_may_not_be_written_is_refused(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web(answer(status, code=status, message="no such thing", reason="Any", status="Failure")) as address:
        lead_to(address, tmp_path, monkeypatch)
        with pytest.raises(RefusedError, match="ConfigMap cache-warmup can't be written: no such thing; it must be there"):
            open_gate("cache-warmup")


def test_an_api_server_that_does_not_answer_is_tried_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lead_to("http://127.0.0.1:1", tmp_path, monkeypatch)
    with pytest.raises(UnfinishedError, match="the API server"):
        open_gate("cache-warmup")
