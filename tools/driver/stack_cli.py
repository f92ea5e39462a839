"""The command line of `tools/stack`, which the Makefile's targets call."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from typing import Any, NoReturn

from common import paths
from common.console import Failure, fail_with, say, table

from driver import cloud_proof, clouds, monitoring_proof, proof, python_environment, stack, target


def main() -> int:
    """Runs one command; the process's exit code."""
    parser = argparse.ArgumentParser(
        prog="tools/stack",
        description="Drives one stack, on the embedded cluster. KUBE_CONTEXT names a cluster of yours instead, RENDER=1 writes YAML, "
        "EMULATE=1 emulates the cloud of a stack that is in one.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run in _COMMANDS.items():
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        if name not in ("environment", "clean"):
            command.add_argument(
                "--stack", default=os.environ.get("STACK") or "dev", help="of Pulumi.STACK.yaml (default: $STACK, else dev)"
            )
        if name == "password":
            command.add_argument("--cache", default=os.environ.get("CACHE"), help="which (default: $CACHE, else the first)")
        if name in ("status", "doctor"):
            command.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except Failure as error:
        return fail_with(error)
    except OSError as error:  # such as a full disk
        return fail_with(Failure(f"{error.strerror or error}: {error.filename or 'no file'}"))
    except KeyboardInterrupt:
        return 130
    return 0


def _up(arguments: argparse.Namespace) -> None:
    """deploy, then prove that it works"""
    opened = _open(arguments)
    changes = stack.up(opened)
    if opened.target.renders:
        say(_manifests(opened))
        return
    if opened.target.cloud:
        if opened.target.emulated:
            cloud_proof.prove(opened, opened.target.cloud)
        print(cloud_proof.describe(opened))
        return
    proof.prove(opened, changes)
    if stack.monitored(opened):
        monitoring_proof.prove(opened, _namespaces(opened))
    print(proof.describe(opened))


def _preview(arguments: argparse.Namespace) -> None:
    """show what up would change"""
    stack.preview(_open(arguments))


def _down(arguments: argparse.Namespace) -> None:
    """destroy the stack, and the embedded cluster with the last one"""
    stack.down(_open(arguments))


def _open(arguments: argparse.Namespace) -> stack.Stack:
    """The stack, ready to run its program. What can be refused at once is refused before minutes are spent on the rest."""
    stack.target_of(arguments.stack)
    python_environment.ensure()
    return stack.open_stack(arguments.stack)


def _status(arguments: argparse.Namespace) -> None:
    """show the cluster, the stack's pods and how to connect"""
    opened = stack.open_stack(arguments.stack)
    deployed = stack.is_deployed(opened)
    pods = _pods(opened) if deployed and not opened.target.renders and not opened.target.cloud else []
    if arguments.json:
        print(json.dumps({"stack": arguments.stack, "target": opened.target.label, "deployed": deployed, "pods": pods}, indent=2))
        return
    if opened.target.embedded:
        subprocess.run([*target.NODE, "status"])
        print()
    if opened.target.renders:
        print(_manifests(opened))
        return
    if not deployed:
        print(f"stack {arguments.stack} is not deployed: `{_make_up(opened)}`")
        return
    if opened.target.cloud:
        print(cloud_proof.describe(opened))
        return
    print(table(((pod["name"], pod["ready"], str(pod["restarts"])) for pod in pods), header=("POD", "READY", "RESTARTS")), end="\n\n")
    print(proof.describe(opened))
    if stack.monitored(opened):
        print(f"\nmonitoring: {monitoring_proof.describe(opened, _namespaces(opened))}")


def _make_up(opened: stack.Stack) -> str:
    return f"make up STACK={opened.name}{' EMULATE=1' if opened.target.emulated else ''}"


def _manifests(opened: stack.Stack) -> str:
    folder = stack.rendered(opened.name)
    count = sum(1 for _ in folder.rglob("*.yaml"))
    return f"{count} manifests are in {folder.relative_to(paths.CHECKOUT)}, with passwords in plain text: keep them private"


def _password(arguments: argparse.Namespace) -> None:
    """print the password of a cache"""
    opened = stack.open_stack(arguments.stack)
    if not stack.exists(opened):
        raise Failure(f"stack {arguments.stack} is not deployed: `{_make_up(opened)}`")
    found = stack.connections(opened)
    cache = arguments.cache or next(iter(sorted(found)), "")
    if cache not in found:
        raise Failure(f"CACHE={cache}: stack {arguments.stack} has no such cache; it has: {', '.join(sorted(found)) or 'none'}")
    if "password" not in found[cache]:
        raise Failure(f"CACHE={cache}: it has no password of its own, clients get in by {found[cache].get('auth', 'an existing Secret')}")
    print(found[cache]["password"])


def _doctor(arguments: argparse.Namespace) -> NoReturn:
    """print what the running caches miss of the best practices: ends with 0 for nothing, 1 for something, 2 when it can't look"""
    try:
        chosen = stack.target_of(arguments.stack)
        if chosen.renders:
            raise Failure("RENDER=1: manifests are only rendered, nothing runs that could be looked at")
        if chosen.cloud:
            raise Failure(f"stack {arguments.stack} is in {chosen.cloud.title}, and the doctor looks at caches in Kubernetes")
        opened = _open(arguments)
        if not stack.is_deployed(opened):
            raise Failure(f"stack {arguments.stack} is not deployed: `make up STACK={arguments.stack}`")
        sys.exit(stack.doctor(opened, json_output=arguments.json))
    except Failure as error:
        fail_with(error)
        sys.exit(2)


def _namespaces(opened: stack.Stack) -> list[str]:
    connections = stack.connections(opened).values()
    return sorted({connection["host"].split(".")[-2] for connection in connections if connection["provider"] == "kubernetes"})


def _pods(opened: stack.Stack) -> list[dict[str, Any]]:
    pods = []
    for namespace in _namespaces(opened):
        done = opened.kubectl("-n", namespace, "get", "pods", "--output=json")
        if done.returncode:
            raise Failure(f"the pods of namespace {namespace} could not be listed: {done.stderr.strip()}")
        for item in json.loads(done.stdout)["items"]:
            statuses = item["status"].get("containerStatuses", [])
            ready = sum(1 for status in statuses if status["ready"])
            restarts = sum(status["restartCount"] for status in statuses)
            pods.append({"name": item["metadata"]["name"], "ready": f"{ready}/{len(statuses)}", "restarts": restarts})
    return pods


def _environment(_: argparse.Namespace) -> None:
    """create or update .venv"""
    python_environment.ensure()


def _clean(_: argparse.Namespace) -> None:
    """remove the embedded cluster and emulated clouds, their stacks' state, .venv and rendered/; builds in the cache are kept"""
    for name in stack.deployed_to("embedded"):
        stack.down(stack.open_stack(name))
    for topology in clouds.CLOUDS:
        for name in stack.deployed_to(f"emulated {topology}"):
            stack.down(stack.open_stack(name, {**os.environ, "EMULATE": "1"}))
    target.remove_embedded()
    for folder in (python_environment.FOLDER, paths.CHECKOUT / "rendered"):
        shutil.rmtree(folder, ignore_errors=True)


_COMMANDS = {
    "up": _up,
    "preview": _preview,
    "down": _down,
    "status": _status,
    "password": _password,
    "doctor": _doctor,
    "environment": _environment,
    "clean": _clean,
}
