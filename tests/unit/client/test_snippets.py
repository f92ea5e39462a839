"""The snippets of README and docs that use a client do what they say, with a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from caches_runtime.multicloud import StandbyPolicy
from unit.client.processes import processes

CHECKOUT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/client.md"])
def test_the_first_snippet_with_a_client_stores_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [first, *_] = [block for block in BLOCK.findall((CHECKOUT / page).read_text()) if "from caches_runtime import connect" in block]
    monkeypatch.chdir(tmp_path)
    with processes() as server:
        server.serve(1)
        (tmp_path / "connection.json").write_text(json.dumps(server.connection(1)))
        known: dict[str, Any] = {}
        exec(compile(first, page, "exec"), known)  # noqa: S102
        known["cache"].close()
        assert server.ask(1, "GET", "greeting") == "hello"
        assert 0 < int(server.ask(1, "TTL", "greeting")) <= 60


def test_the_snippet_with_a_factory_finds_its_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (CHECKOUT / "docs/client.md").read_text()
    [configuration] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    [snippet] = [block for block in BLOCK.findall(text) if "Factory()" in block]
    monkeypatch.chdir(tmp_path)
    with processes() as server:
        server.serve(1)
        monkeypatch.setenv("PRODUCTS_CONNECTION", json.dumps(server.connection(1)))
        Path("sessions.json").write_text(json.dumps(server.connection(1)))
        Path("caches.toml").write_text(configuration)
        monkeypatch.setenv("CACHES_CONFIG", "caches.toml")
        exec(compile(snippet, "docs/client.md", "exec"), {})  # noqa: S102
        assert server.ask(1, "GET", "user:1") == "signed in"


def test_the_snippet_of_memory_stores_what_it_says() -> None:
    [snippet] = [block for block in BLOCK.findall((CHECKOUT / "README.md").read_text()) if "InvalidationLink" in block]
    with processes() as server:
        server.serve(1)
        known: dict[str, Any] = {"connection": server.connection(1)}
        exec(compile(snippet, "README.md", "exec"), known)  # noqa: S102
        known["link"].close()
        assert server.ask(1, "GET", "shop:1") == "value"


def test_the_snippet_of_several_clouds_puts_values_where_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [snippet] = [block for block in BLOCK.findall((CHECKOUT / "README.md").read_text()) if "MultiCloudCache" in block]
    monkeypatch.chdir(tmp_path)
    with processes() as server:
        for number in (1, 2, 3):
            server.serve(number)
        known: dict[str, Any] = {name: server.connection(number) for number, name in enumerate(("aws", "azure", "gcp"), 1)}
        # A machine that stalls is no cloud that is away.
        known["patient"] = StandbyPolicy(cloud_seconds=2, budget_seconds=20)
        for hasty, patient in (
            ("Policy(", "Policy(cloud_seconds=2, budget_seconds=20, "),
            ('"aws", folder', '"aws", policy=patient, folder'),
        ):
            assert hasty in snippet
            snippet = snippet.replace(hasty, patient)
        exec(compile(snippet, "README.md", "exec"), known)  # noqa: S102
        assert known["cache"].primary == "aws"
        assert "eu:customer" not in " ".join(server.ask(1, "KEYS", "*"))
        assert "eu:customer" in " ".join(server.ask(2, "KEYS", "*"))
