"""Looks after an emulated cloud: its faults, its servers, and a proof that they serve."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import secrets
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(_CHECKOUT / "tests"), str(_CHECKOUT / "tools"), str(_CHECKOUT / "components")]

from clouds.emulator import aws_caches  # noqa: E402 # found by the line above
from clouds.emulator.client import open_client  # noqa: E402
from clouds.emulator.cloud import Cloud, ConflictError  # noqa: E402
from clouds.emulator.faults import KINDS, Fault  # noqa: E402
from clouds.emulator.servers import hang, resume  # noqa: E402
from common import paths  # noqa: E402
from common.console import Failure, fail_with, say, table  # noqa: E402
from embedded import rootfs  # noqa: E402

_CLOUDS = ("aws", "azure", "gcp")


def main() -> int:
    """Runs one command; the process's exit code."""
    faults = "\n".join(f"  {kind:12} {what}" for kind, what in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m clouds.emulator",
        description=__doc__,
        epilog=f"faults:\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cloud", choices=_CLOUDS, help="which")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (_list, _set, _clear, _start, _promote, _down, _prove):
        command = commands.add_parser(run.__name__.strip("_"), help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        if run is _set:
            command.add_argument("fault", choices=KINDS)
            command.add_argument("--type", help="only of this type of resource, such as gcp:redis/instance:Instance (default: all)")
            command.add_argument("--once", action="store_true", help="ends with its first effect")
            command.add_argument("--milliseconds", type=int, default=1000, help="how late (default: 1000)")
        if run is _promote:
            command.add_argument("group", help="ID of one that follows, as `list` says it")
        if run is _clear:
            command.add_argument("fault", nargs="?", choices=KINDS, help="which (default: all)")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("CACHES_EMULATOR") or paths.state() / "clouds") / arguments.cloud
    try:
        if not folder.exists() and arguments.run not in (_start, _down):
            raise Failure(f"there is no emulated {arguments.cloud} in {folder}: `make up STACK={arguments.cloud} EMULATE=1` makes one")
        kinds = importlib.import_module(f"clouds.emulator.{arguments.cloud}_kinds")
        arguments.run(arguments, Cloud(folder, kinds.KINDS, kinds.INVOKES))
    except Failure as error:
        return fail_with(error)
    return 0


def _list(_: argparse.Namespace, cloud: Cloud) -> None:
    """show what there is in it, and its faults"""
    rows = [(each.token, each.id, str(len(each.processes) or "-")) for each in cloud.everything()]
    print(table(rows, header=("TYPE", "ID", "PROCESSES")), end="\n\n")
    faults = [(each.kind, each.token or "all", "once" if each.once else "until it is cleared") for each in cloud.faults.all()]
    print(table(faults, header=("FAULT", "TYPE", "HOW LONG")) if faults else "no faults")


def _set(arguments: argparse.Namespace, cloud: Cloud) -> None:
    """give it a fault"""
    if arguments.milliseconds < 1:
        raise Failure(f"--milliseconds={arguments.milliseconds}: must be at least 1")
    if arguments.once and arguments.fault in ("hung", "slow-servers"):
        raise Failure(f"--once: servers are {arguments.fault.partition('-')[0]} until that is cleared")
    if arguments.fault == "hung":
        hang(process for each in cloud.everything() if arguments.type in (None, each.token) for process in each.processes)
    cloud.faults.set(
        Fault(arguments.fault, arguments.type, arguments.once, arguments.milliseconds if arguments.fault.startswith("slow") else 0)
    )


def _clear(arguments: argparse.Namespace, cloud: Cloud) -> None:
    """take faults away"""
    if arguments.fault in ("hung", None):
        resume(process for each in cloud.everything() for process in each.processes)
    cloud.faults.clear(arguments.fault)


def _start(_: argparse.Namespace, cloud: Cloud) -> None:
    """start servers that were lost, such as by a restart of this machine; they begin empty"""
    rootfs.folder()
    for resource_id in cloud.revive():
        say(f"{resource_id}: its servers were gone, and have been started empty")


def _promote(arguments: argparse.Namespace, cloud: Cloud) -> None:
    """make a group of ElastiCache the primary of its global datastore; the one before follows it"""
    if arguments.cloud != "aws":
        raise Failure(f"promote: {arguments.cloud} has resources for that (docs/emulated-clouds.md), only aws has none")
    try:
        before = aws_caches.promote(cloud, arguments.group)
    except ConflictError as refused:
        raise Failure(str(refused)) from None
    say(f"{arguments.group} takes writes now, and {before} follows it")


def _down(_: argparse.Namespace, cloud: Cloud) -> None:
    """end all servers, and forget everything"""
    cloud.remove()


def _prove(_: argparse.Namespace, cloud: Cloud) -> None:
    """write and read by each of the connections on standard input, a JSON object by name"""
    failed = False
    for name, connection in sorted(json.load(sys.stdin).items()):
        value = secrets.token_hex(8)
        how = f"{connection['mode']}, {'TLS' if connection['tls'] else 'no TLS'}"
        try:
            with open_client(cloud, connection, budget=10) as client:
                client.set("pulumi-caches:proof", value)
                found = client.get("pulumi-caches:proof")
        except Exception as error:  # whatever a client of any engine says
            failed = True
            print(f"{name}: {how}: {error}", file=sys.stderr)
            continue
        if found not in (value, value.encode()):
            failed = True
            print(f"{name}: {how}: {value} was written, and {found!r} read", file=sys.stderr)
            continue
        print(f"{name}: {connection['engine']}, {how}: serves what was written ({value})")
    if failed:
        raise Failure("not every cache serves")


if __name__ == "__main__":
    sys.exit(main())
