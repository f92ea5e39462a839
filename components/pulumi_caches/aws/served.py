"""What the services have in common: what says where a cache is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True)
class Served:
    """A cache, and where it is once that is known."""

    resource: pulumi.CustomResource
    parts: list[pulumi.Output[Any]]
    """What `where` takes."""
    where: Callable[..., dict[str, Any]]
    """Fields of the connection: mode, host, port and what else is there."""
    global_id: pulumi.Output[str] | None = None
    """Of the global datastore that it is the primary of."""
