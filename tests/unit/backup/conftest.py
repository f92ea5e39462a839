from __future__ import annotations

from pathlib import Path

import pytest
from unit.backup.caches import Place, put_on_path


@pytest.fixture(autouse=True)
def _programs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", put_on_path(tmp_path_factory.mktemp("bin"), "redis", "valkey"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
