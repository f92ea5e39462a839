"""What a tier needs and can't have is a failure under CI and a skip with its reason elsewhere."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Ends a test that can't run here: silently skipping in CI would pass for verified."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"this machine can't run the test, and CI may not skip it: {reason}", pytrace=False)
    pytest.skip(reason)
