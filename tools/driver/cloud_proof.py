"""Shows that caches in an emulated cloud work: a value is written and read by each exported connection."""

from __future__ import annotations

import json

from common.console import say, step, table

from driver import clouds
from driver.clouds import Cloud
from driver.stack import Stack, connections


def prove(stack: Stack, cloud: Cloud) -> None:
    """Writes and reads by the runtime's own client. Raises Failure when that can't be done."""
    found = connections(stack)
    with step(f"connecting to {', '.join(sorted(found))} as an application does, writing, reading back"):
        # Passwords go by its standard input.
        done = clouds.emulator(cloud, "prove", given=json.dumps(found))
    for line in done.stdout.splitlines():
        say(line)


def describe(stack: Stack) -> str:
    """How to connect, for a person."""
    rows = [
        (
            name,
            connection["engine"],
            connection["mode"],
            f"{connection['host']}:{connection['port']}",
            "yes" if connection["tls"] else "no",
            "password" if "password" in connection else connection.get("auth", "none"),
        )
        for name, connection in sorted(connections(stack).items())
    ]
    lines = [table(rows, header=("CACHE", "ENGINE", "MODE", "ADDRESS", "TLS", "LOGIN"))]
    if stack.target.emulated and stack.target.cloud:
        cloud = stack.target.cloud
        lines += ["", f"This {cloud.title} is emulated on this machine, in {clouds.emulated_folder() / cloud.topology}."]
        lines += ["Its faults:", f"  PYTHONPATH=tests .venv/bin/python -m clouds.emulator {cloud.topology} --help"]
    else:
        lines += ["", "They are reached from their networks only, so nothing was tried from here."]
    return "\n".join(lines)
