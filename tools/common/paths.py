"""Where things that outlive a checkout are kept: builds in the cache folder, the cluster and Pulumi's state in the state folder."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = CHECKOUT / "tools"


def _base(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / "pulumi-caches"


def cache() -> Path:
    """What can be built again: binaries, images, schemas."""
    return _base("XDG_CACHE_HOME", ".cache")


def state() -> Path:
    """What can't: Pulumi's state, the embedded cluster's data."""
    return _base("XDG_STATE_HOME", ".local/state")
