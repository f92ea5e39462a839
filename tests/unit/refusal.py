"""What a component says of arguments that can't work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi_caches import ArgumentError
from unit import mocks


def refused(component: Callable[..., pulumi.ComponentResource], args: dict[str, Any]) -> str:
    """The message; fails when the arguments are accepted, or when anything was registered first."""
    registered = mocks.Registered()
    pulumi.runtime.set_mocks(registered)
    with pytest.raises(ArgumentError) as raised:
        component("cache", args)
    assert registered.resources == []
    return str(raised.value)
