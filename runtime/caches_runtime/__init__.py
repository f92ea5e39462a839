"""What applications and the stacks of pulumi-caches use caches with. It knows nothing of Pulumi."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caches_runtime.client import (
        BudgetSpentError,
        ConfigurationError,
        ConnectionRefusedError,
        Factory,
        MissingExtraError,
        NoTokenError,
        ShardAwayError,
        SourceError,
        UncertainError,
        connect,
        connect_async,
    )

__all__ = [
    "BudgetSpentError",
    "ConfigurationError",
    "ConnectionRefusedError",
    "Factory",
    "MissingExtraError",
    "NoTokenError",
    "ShardAwayError",
    "SourceError",
    "UncertainError",
    "connect",
    "connect_async",
]


def __getattr__(name: str) -> Any:
    """Agents and jobs take no time for clients that they do not use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("caches_runtime.client"), name)
