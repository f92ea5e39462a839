"""What the engine's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from common import go_build
from engine import schemas


@pytest.fixture(scope="session")
def kubernetes_schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder)
    return folder


@pytest.fixture(scope="session")
def operator_schemas(kubernetes_schemas: Path) -> Path:
    """Those of the OT operator too."""
    schemas.write_custom(kubernetes_schemas, go_build.build(["operator-crds"])["operator-crds"])
    return kubernetes_schemas


@pytest.fixture(scope="session")
def monitoring_schemas(kubernetes_schemas: Path) -> Path:
    """Those of the Prometheus Operator too."""
    schemas.write_custom(kubernetes_schemas, go_build.build(["monitoring-crds"])["monitoring-crds"])
    return kubernetes_schemas
