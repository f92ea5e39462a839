"""Where a stack goes: a cluster that the person named, one that is started for it, or a folder of rendered manifests."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import paths
from common.console import Failure, run, step
from embedded.layout import Layout

KIND_CLUSTER = "pulumi-caches"
# By this Python, as the default one may be too old.
NODE = (sys.executable, str(paths.TOOLS / "node"))


@dataclass(frozen=True)
class Target:
    """`label` is remembered with the stack, so that it is never taken to another place by accident."""

    label: str
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    kubectl: tuple[str, ...] = ()

    @property
    def embedded(self) -> bool:
        return self.label == "embedded"

    @property
    def renders(self) -> bool:
        return self.label == "render"

    @property
    def named(self) -> str:
        """The option by which `caches` is told which cluster this is."""
        return f"--kubeconfig={self.environment['CACHES_KUBECONFIG']}" if self.embedded else f"--context={self.environment['KUBE_CONTEXT']}"

    @property
    def kind(self) -> bool:
        return self.label == f"context kind-{KIND_CLUSTER}"


def choose(stack: str, variables: Mapping[str, str] = os.environ, *, root: bool = os.geteuid() == 0) -> Target:
    """The target that the person asked for. A kubeconfig that merely lies around is never used."""
    if (render := variables.get("RENDER", "")) not in ("", "0", "1"):
        # Deploying instead would be the worst way to misunderstand it.
        raise Failure(f"RENDER={render}: must be 1 (write YAML) or empty (deploy)")
    if render == "1":
        return _render(paths.CHECKOUT / "rendered" / stack)
    if context := variables.get("KUBE_CONTEXT"):
        return _context(context)
    if platform.system() == "Linux" and root:
        return _embedded()
    if missing := [program for program in ("docker", "kind", "kubectl") if not shutil.which(program)]:
        raise Failure(
            "there is no cluster to deploy to: the embedded one needs Linux and root (use sudo), and one of `kind` needs "
            f"{' and '.join(missing)} on PATH. Name a cluster of yours with KUBE_CONTEXT=…, or write YAML with RENDER=1"
        )
    context = f"kind-{KIND_CLUSTER}"
    return Target(f"context {context}", {"KUBE_CONTEXT": context}, kubectl=_with_context(context))


def start(target: Target) -> None:
    """Starts the cluster where it is ours to start; does nothing when it runs."""
    if target.embedded:
        _node("up")
    elif target.kind and not runs(target):
        with step("creating a kind cluster"):
            run(["kind", "create", "cluster", "--name", KIND_CLUSTER, "--wait", "120s"])


def stop(target: Target) -> None:
    """Removes the cluster where it is ours."""
    if target.embedded:
        _node("down")
    elif target.kind:
        run(["kind", "delete", "cluster", "--name", KIND_CLUSTER])


def install(what: str) -> None:
    """`prometheus` or `redis-operator`, in the embedded cluster; does nothing where it is."""
    _node(what)


def remove_embedded() -> None:
    """Removes the embedded cluster if there is one, whoever started it."""
    layout = Layout.of_environment()
    if layout.state.exists() or layout.run.exists():
        _node("down")


def runs(target: Target) -> bool:
    """Whether the cluster is there to be asked."""
    if target.kind:
        return KIND_CLUSTER in run(["kind", "get", "clusters"]).stdout.split()
    if not target.embedded:
        return True
    return bool(json.loads(run([*NODE, "status", "--json"]).stdout)["state"] == "up")


def _render(folder: Path) -> Target:
    # The provider would ask whatever cluster the default kubeconfig points at for its types: it gets a home without one.
    home = paths.state() / "render-home"
    home.mkdir(parents=True, exist_ok=True)
    pulumi_home = os.environ.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    return Target("render", {"CACHES_RENDER": str(folder), "KUBECONFIG": "", "HOME": str(home), "PULUMI_HOME": pulumi_home})


def _embedded() -> Target:
    return Target(
        "embedded",
        {"CACHES_KUBECONFIG": str(Layout.of_environment().kubeconfig)},
        prefix=(*NODE, "run", "--"),
        kubectl=(*NODE, "kubectl"),
    )


def _context(context: str) -> Target:
    if not shutil.which("kubectl"):
        raise Failure(f"KUBE_CONTEXT={context}: `kubectl` is not on PATH, and it is how the result is checked")
    known = run(["kubectl", "config", "get-contexts", "--output=name"]).stdout.split()
    if context not in known:
        raise Failure(f"KUBE_CONTEXT={context}: there is no such context in the kubeconfig; there are: {', '.join(known) or 'none'}")
    return Target(f"context {context}", {"KUBE_CONTEXT": context}, kubectl=_with_context(context))


def _with_context(context: str) -> tuple[str, ...]:
    return ("kubectl", "--context", context)


def _node(command: str) -> None:
    if subprocess.run([*NODE, command]).returncode:
        raise Failure(f"`tools/node {command}` failed, see above")


def command(target: Target, words: Sequence[str | Path]) -> list[str]:
    """A command that can reach the target."""
    return [*target.prefix, *map(str, words)]
