"""A person who has set nothing and never used the tools, so that no test depends on whose machine it runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

_VARIABLES = (
    *("STACK", "KUBE_CONTEXT", "KUBECONFIG", "RENDER", "EMULATE", "NODES", "CACHE", "CACHES_NODE_INSTANCE"),
    *("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"),
)


def forget_settings(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Removes what the tools read of the environment; state is kept below `home`."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
