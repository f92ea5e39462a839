"""RENDER=1 through the real command, in a checkout of its own: what a person does to the files is noticed, passwords stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from availability import unavailable
from common import go_build, paths
from driver import engine, python_environment

pytestmark = pytest.mark.engine

# What a person may have set and would lead the command elsewhere.
AMBIENT = ("KUBE_CONTEXT", "KUBECONFIG", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def rendering(scratch: Path, command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in AMBIENT}
    environment |= {"RENDER": "1", "STACK": "dev", "XDG_STATE_HOME": str(scratch / "state")}
    words = [sys.executable, str(scratch / "checkout" / "tools" / "stack"), command]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def manifests(scratch: Path) -> dict[str, str]:
    folder = scratch / "checkout" / "rendered" / "dev"
    return {file.name: file.read_text() for file in folder.rglob("*.yaml")}


def test_deleted_manifests_are_written_again_with_the_same_passwords(tmp_path: Path) -> None:
    if not (shutil.which("pulumi") or go_build.cached(engine._BUILT)):
        unavailable("the engine has not been built yet (tools/build)")
    not_needed = shutil.ignore_patterns(".*", "rendered", "__pycache__", "docs", "bench", "tests")
    shutil.copytree(paths.CHECKOUT, tmp_path / "checkout", ignore=not_needed)
    (tmp_path / "checkout" / ".venv").symlink_to(python_environment.FOLDER)
    rendering(tmp_path, "up")
    first = manifests(tmp_path)
    assert any("-secret-" in name for name in first)

    shutil.rmtree(tmp_path / "checkout" / "rendered")
    assert f"{len(first)} manifests are in rendered/dev" in rendering(tmp_path, "up")
    assert manifests(tmp_path) == first

    next((tmp_path / "checkout" / "rendered").rglob("*-secret-*.yaml")).unlink()
    rendering(tmp_path, "up")
    assert manifests(tmp_path) == first

    said = rendering(tmp_path, "up")
    assert "unchanged" in said
    assert "created" not in said
    assert f"{len(first)} manifests are in rendered/dev" in rendering(tmp_path, "status")

    rendering(tmp_path, "down")
    assert not (tmp_path / "checkout" / "rendered" / "dev").exists()
