"""Where clouds are: each in a place of its own."""

from collections.abc import Mapping
from typing import Any

from caches_runtime.client.connection import snake_case
from caches_runtime.multicloud.errors import RefusedError


def refuse_twins(connections: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises RefusedError for two names of one server, which would be one copy instead of two, and for what can't be one."""
    places: dict[tuple[Any, Any], str] = {}
    for name, connection in connections.items():
        if not isinstance(connection, Mapping):
            raise RefusedError(f"{name}: a connection is a mapping of fields, as a cache exports it, and no {type(connection).__name__}")
        fields = snake_case(connection)
        if fields.get("engine") == "memcached":
            raise RefusedError(f"{name}: Memcached can't compare writes by their stamps: use Redis or Valkey")
        place = (fields.get("host"), fields.get("port"))
        if place in places:
            raise RefusedError(f"{name} and {places[place]} are the same server, {place[0]}:{place[1]}: each cloud needs one of its own")
        places[place] = name
