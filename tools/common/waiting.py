"""Waiting for a condition, with a deadline, and one that is often waited for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float, every: float = 0.2) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def listens(address: str, port: int) -> bool:
    """Whether somebody listens there, by TCP and IPv4."""
    with socket.socket() as trying:
        return trying.connect_ex((address, port)) == 0
