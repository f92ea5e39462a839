"""What a component says of arguments that can't work."""

from __future__ import annotations

import re
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


def refused_later(program: Callable[[], Any], message: str) -> None:
    """Checks the message with which a program ends that is only refused once its Outputs are known."""
    with pytest.raises(ArgumentError, match=re.escape(message)):
        program()
