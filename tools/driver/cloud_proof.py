"""Shows that caches in an emulated cloud work: a value is written and read by each exported connection."""

from __future__ import annotations

import json

from common.console import say, step, table
from common.waiting import listens

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
    emulated = stack.target.emulated
    found = sorted(connections(stack).items())
    gone = [name for name, connection in found if emulated and not listens(connection["host"], connection["port"])]
    rows = [
        (
            name,
            connection["engine"],
            connection["mode"],
            f"{connection['host']}:{connection['port']}{' (nobody listens)' if name in gone else ''}",
            "yes" if connection["tls"] else "no",
            "password" if "password" in connection else connection.get("auth", "none"),
        )
        for name, connection in found
    ]
    lines = [table(rows, header=("CACHE", "ENGINE", "MODE", "ADDRESS", "TLS", "LOGIN"))]
    if gone:
        lines += ["", f"Servers are gone: `make up STACK={stack.name} EMULATE=1` starts them again, empty."]
    if emulated and stack.target.cloud:
        cloud = stack.target.cloud
        lines += ["", f"This {cloud.title} is emulated on this machine, in {clouds.emulated_folder() / cloud.topology}."]
        lines += ["Its faults:", f"  PYTHONPATH=tests .venv/bin/python -m clouds.emulator {cloud.topology} --help"]
    else:
        lines += ["", "They are reached from their networks only, so nothing was tried from here."]
    return "\n".join(lines)
