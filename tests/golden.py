"""Golden files: what was rendered once, reviewed and kept, compared with what is rendered now."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

_UPDATE = "UPDATE_GOLDEN"


def check(path: Path, text: str) -> None:
    """Fails with the difference when `text` is not what the file holds; with UPDATE_GOLDEN=1 it becomes that instead."""
    if os.environ.get(_UPDATE) == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return
    kept = path.read_text() if path.exists() else ""
    if text != kept:
        difference = "".join(difflib.unified_diff(_lines(kept), _lines(text), f"{path.name} (kept)", f"{path.name} (now)"))
        advice = f"if every line of it is meant, run the test again with {_UPDATE}=1 and commit {path.name}"
        pytest.fail(f"{path.name} {'differs' if path.exists() else 'does not exist'}: {advice}\n{difference}", pytrace=False)


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.splitlines()]
