from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.backup.caches import Place, put_on_path
from unit.migrate.servers import Server, fill, server


@pytest.fixture(autouse=True)
def _programs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", put_on_path(tmp_path_factory.mktemp("bin"), "redis", "valkey"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def source() -> Iterator[Server]:
    with server("redis") as made:
        fill(made)
        yield made
