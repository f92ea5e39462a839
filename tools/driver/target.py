"""Where a stack goes: a cluster that the person named, one that is started for it, a folder of rendered manifests, or a cloud."""

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
from common.console import Failure, run, say, step
from embedded.layout import Layout

from driver import clouds, python_environment
from driver.clouds import Cloud

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
    cloud: Cloud | None = None
    """Where it is in none of Kubernetes."""
    programs: tuple[Path, ...] = ()
    """Folders that go in front of PATH."""

    @property
    def emulated(self) -> bool:
        return self.label.startswith("emulated ")

    @property
    def real_cloud(self) -> bool:
        return self.cloud is not None and not self.emulated

    @property
    def what(self) -> str:
        return "emulated cloud" if self.emulated else "cluster"

    @property
    def again(self) -> str:
        """How the person asks for this target."""
        if self.label.startswith("context "):
            return f"KUBE_CONTEXT={self.label.removeprefix('context ')}"
        if self.emulated:
            return "EMULATE=1"
        return "no EMULATE" if self.label.startswith("cloud ") else "no KUBE_CONTEXT"

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


def choose(
    stack: str, variables: Mapping[str, str] = os.environ, *, root: bool = os.geteuid() == 0, topology: str = "in_cluster"
) -> Target:
    """The target that the person asked for. A kubeconfig that merely lies around is never used."""
    emulate = clouds.emulates(variables)
    if cloud := clouds.CLOUDS.get(topology):
        return _cloud(cloud, stack, variables, emulate=emulate, root=root)
    if emulate:
        raise Failure(f"EMULATE=1: stack {stack} is in no cloud; topologies that are: {', '.join(clouds.CLOUDS)}")
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
    elif target.emulated and target.cloud:
        say(f"{target.cloud.title} is emulated on this machine: nothing leaves it, nothing costs anything (docs/emulated-clouds.md)")
        clouds.emulator(target.cloud, "start")
    elif target.kind and not runs(target):
        with step("creating a kind cluster"):
            run(["kind", "create", "cluster", "--name", KIND_CLUSTER, "--wait", "120s"])


def stop(target: Target) -> None:
    """Removes the cluster where it is ours."""
    if target.embedded:
        _node("down")
    elif target.emulated and target.cloud:
        clouds.emulator(target.cloud, "down")
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
    if target.emulated and target.cloud:
        return (clouds.emulated_folder() / target.cloud.topology).exists()
    if not target.embedded:
        return True
    return bool(json.loads(run([*NODE, "status", "--json"]).stdout)["state"] == "up")


def _render(folder: Path) -> Target:
    # The provider would ask whatever cluster the default kubeconfig points at for its types: it gets a home without one.
    home = paths.state() / "render-home"
    home.mkdir(parents=True, exist_ok=True)
    pulumi_home = os.environ.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    return Target("render", {"CACHES_RENDER": str(folder), "KUBECONFIG": "", "HOME": str(home), "PULUMI_HOME": pulumi_home})


def _cloud(cloud: Cloud, stack: str, variables: Mapping[str, str], *, emulate: bool, root: bool) -> Target:
    if variables.get("RENDER") == "1":
        raise Failure(f"RENDER=1: stack {stack} is in {cloud.title}, and only what is in Kubernetes is written as YAML")
    if emulate:
        clouds.require_emulator(root=root)
        # The emulator's plugin, and a Python that has what it imports.
        programs = (clouds.EMULATOR / "bin", python_environment.PYTHON.parent)
        return Target(f"emulated {cloud.topology}", clouds.environment(), cloud=cloud, programs=programs)
    return Target(f"cloud {cloud.topology}", cloud=cloud)


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
