"""The command line of the embedded cluster, `tools/node`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from common.console import Failure, fail_with, table

from embedded import cluster, machine, processes
from embedded.images import DEFAULT_IMAGES
from embedded.layout import MAX_NODES, Layout, Node

# Bound over the file by a shell of the command's own mounts, so that nothing else on the machine sees it.
_WITH_RESOLVER = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    try:
        # What follows these two belongs to another program, options included.
        if given[:1] in (["run"], ["kubectl"]) and given[1:2] not in ([], ["-h"], ["--help"]):
            _run(Layout.of_environment(), given)
        return _dispatch(Layout.of_environment(), parser.parse_args(given))
    except Failure as error:
        return fail_with(error)
    except BrokenPipeError:  # the reader has seen enough; the interpreter shall not try to write the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # such as a full disk
        return fail_with(Failure(f"{error.strerror or error}: {error.filename or 'no file'}"))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/node", description="A real Kubernetes on this machine, without Docker.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, details: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. {details}")

    up = command("up", "start the cluster, or continue one that was stopped or crashed", "Does nothing when it runs.")
    up.add_argument("--nodes", type=int, metavar="N", help=f"1 to {MAX_NODES}; without it $NODES, else what the cluster had, else 1")
    command("stop", "stop the cluster and keep its data")
    command("down", "stop the cluster and delete its data")
    status = command("status", "show what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    run = command("run", "run a command in the network of the first node", "Names of the cluster resolve; KUBECONFIG is set.")
    run.add_argument("words", nargs="+", metavar="COMMAND", help="the command and its arguments")
    run.usage = "tools/node run [-h] [--] COMMAND [ARGUMENT ...]"
    kubectl = command("kubectl", "short for `run kubectl`")
    kubectl.add_argument("words", nargs="+", metavar="ARGUMENT", help="as for kubectl")
    images = command("images", "put the Debian image in the nodes under the given names", f"Without names: {', '.join(DEFAULT_IMAGES)}.")
    images.add_argument("names", nargs="*", metavar="NAME", help="such as docker.io/library/redis:8.0.2")
    command("prometheus", "put a Prometheus with its Operator in the cluster", "It takes every monitor and rule, of all namespaces.")
    command("redis-operator", "put the OT-CONTAINER-KIT Redis operator in the cluster", "It looks at all namespaces.")
    for name, text in (
        ("cut", "pull a node's network cable"),
        ("heal", "plug a node's network cable in again"),
        ("restart", "restart a node as a reboot of its machine would; volumes stay"),
    ):
        command(name, text).add_argument("number", type=int, metavar="N", help="the node's number, from 1")
    return parser


def _dispatch(layout: Layout, options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            cluster.up(layout, _requested(options.nodes))
        case "stop":
            cluster.stop(layout)
        case "down":
            cluster.down(layout)
        case "status":
            found = cluster.status(layout)
            print(json.dumps(found, indent=2) if options.json else _status_text(found), flush=True)
        case "images":
            cluster.put_images(layout, options.names)
        case "prometheus":
            cluster.install_prometheus(layout)
        case "redis-operator":
            cluster.install_redis_operator(layout)
        case "cut":
            cluster.cut(layout, options.number)
        case "heal":
            cluster.heal(layout, options.number)
        case "restart":
            cluster.restart(layout, options.number)
    return 0


def _requested(option: int | None) -> int | None:
    variable = os.environ.get("NODES")
    if option is not None or not variable:
        return option
    if not variable.isdecimal():
        raise Failure(f"NODES={variable!r} is no number of nodes: choose 1 to {MAX_NODES}")
    return int(variable)


def _run(layout: Layout, given: Sequence[str]) -> NoReturn:
    machine.require_root()
    command = list(given[1:]) if given[0] == "run" else list(given)
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise Failure("no command was given: tools/node run COMMAND …")
    node: Node = layout.node(1)
    words = [*processes.entering(node, mounts=False), "unshare", "--mount", "--", "sh", "-c", _WITH_RESOLVER]
    environment = {
        **os.environ,
        "KUBECONFIG": str(layout.kubeconfig),
        "PATH": f"{os.environ.get('PATH', os.defpath)}:{layout.programs}",
    }
    os.execvpe(words[0], [*words, str(layout.resolv_conf), *command], environment)  # noqa: S606 - it is what was asked for


def _state(node: dict[str, Any]) -> str:
    if node["cut"]:
        return "cut off"
    return "ready" if node["ready"] else "not ready"


def _status_text(found: dict[str, Any]) -> str:
    if found["state"] == "down":
        kept = " (its data is kept)" if found["nodes"] else ""
        return f"the cluster is down{kept}: start it with `tools/node up`"
    dead = [f"{process['name']} of {process['space']}" for process in found["processes"] if not process["alive"]]
    lines = [f"the cluster is {found['state']}, {found['memory_bytes'] / 2**20:.0f} MiB of memory in use"]
    if found["state"] == "broken":
        lines.append(f"not running: {', '.join(dead) or 'a part that was never started'}; `tools/node up` repairs it")
    rows = [(node["name"], _state(node), node["zone"], node["address"], node["kubernetes"], node["runtime"]) for node in found["nodes"]]
    lines += ["", table(rows, ("NODE", "STATE", "ZONE", "ADDRESS", "KUBERNETES", "RUNTIME")), ""]
    spaces = sorted({process["space"] for process in found["processes"]})
    for space in spaces:
        lines.append(f"{space}: {', '.join(process['name'] for process in found['processes'] if process['space'] == space)}")
    lines += ["", *(f"{key}: {found[key]}" for key in ("api", "kubeconfig", "data", "logs"))]
    return "\n".join(lines)
