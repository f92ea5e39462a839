"""A stack's configuration, typed: a misspelt key or a value of the wrong kind is refused before anything is registered."""

from typing import Any, get_type_hints

import pulumi
from pulumi.runtime.config import CONFIG
from pulumi_caches.arguments import suggest

PROJECT = "caches"


def read(schema: type) -> dict[str, Any]:
    """The stack's `caches:` keys, checked against a TypedDict. Raises pulumi.RunError naming the key."""
    hints = get_type_hints(schema)
    known = ["topology", *hints]
    for full in CONFIG.get():
        namespace, _, key = full.partition(":")
        if namespace == PROJECT and key not in known:
            raise pulumi.RunError(f"there is no configuration key {full!r}{suggest(key, known)}; there are {', '.join(known)}")
    config = pulumi.Config(PROJECT)
    return {key: _typed(config, key, hint) for key, hint in hints.items() if config.get(key) is not None}


def _typed(config: pulumi.Config, key: str, hint: Any) -> Any:
    if hint is str:
        return config.get(key)
    try:
        value = config.get_object(key)
    except pulumi.ConfigTypeError:
        value = config.get(key)
    if not isinstance(value, dict):
        raise pulumi.RunError(f"{PROJECT}:{key} = {value!r}: must be a mapping")
    for name, arguments in value.items():
        if not isinstance(arguments, dict | None):
            raise pulumi.RunError(f"{PROJECT}:{key}.{name} = {arguments!r}: must be a mapping of arguments")
    return value
