"""What the engine's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import schemas


@pytest.fixture(scope="session")
def kubernetes_schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder)
    return folder
