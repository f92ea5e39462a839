"""What `connect` takes for Memcached."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from caches_runtime.client.connection import ConnectionRefusedError
from caches_runtime.client.credentials import Credentials
from caches_runtime.client.plan import BUDGET_SECONDS

_SENSELESS = {
    "repeat": "no command of Memcached is sent twice",
    "reader": "Memcached has no replicas",
    "decode_responses": "its values are bytes",
}


@dataclass(frozen=True)
class MemcachedOptions:
    """As MemcachedClient has them, under the names that they have for Redis."""

    budget: float = BUDGET_SECONDS
    credentials: Credentials | None = None
    name: str = "caches"
    retry_seconds: float = 1.0
    changing: Collection[str] = ()

    @staticmethod
    def sensible(given: Mapping[str, Any]) -> dict[str, Any]:
        """Without what says nothing. Raises ConnectionRefusedError for what makes no sense."""
        for name, why in _SENSELESS.items():
            if given.get(name):
                raise ConnectionRefusedError(f"{name}: makes no sense for Memcached: {why}; leave it out")
        return {name: value for name, value in given.items() if name not in _SENSELESS}

    @property
    def arguments(self) -> dict[str, Any]:
        """What MemcachedClient is given."""
        return {
            "budget_seconds": self.budget,
            "credentials": self.credentials,
            "name": self.name,
            "retry_seconds": self.retry_seconds,
            "changing": self.changing,
        }
