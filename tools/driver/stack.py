"""One stack: up, preview, down, status, all through the real engine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import paths
from common.console import Failure, say

from driver import clouds, engine, target
from driver.target import Target


@dataclass(frozen=True)
class Stack:
    """A stack of this project on its target."""

    name: str
    target: Target
    environment: dict[str, str]

    @property
    def pulumi_name(self) -> str:
        # Rendering has a state of its own, as the files are not the cluster's objects; so has what only is in an emulated cloud.
        return f"{self.name}-render" if self.target.renders else f"{self.name}-emulated" if self.target.emulated else self.name

    def pulumi(self, *arguments: str, capture: bool = False) -> str:
        """Runs `pulumi` where it reaches the target. Raises Failure when it fails, after it has said why."""
        words = ["pulumi", *arguments, "--stack", self.pulumi_name, *([] if sys.stdout.isatty() else ["--non-interactive"])]
        done = subprocess.run(
            target.command(self.target, words),
            cwd=paths.CHECKOUT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE if capture else None,
            text=True,
        )
        if done.returncode:
            raise Failure(f"`pulumi {arguments[0]}` of stack {self.name} failed, see above")
        return done.stdout if capture else ""

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs kubectl against the target's cluster."""
        return subprocess.run([*self.target.kubectl, *arguments], capture_output=True, text=True)


def open_stack(name: str, variables: Mapping[str, str] = os.environ) -> Stack:
    """The stack of that name, with its target and an engine; starts nothing. Raises Failure when one of them can't be had."""
    chosen = target_of(name, variables)
    found = engine.find().environment()
    path = os.pathsep.join([*map(str, chosen.programs), found["PATH"]])
    return Stack(name, chosen, {**_backend(), **found, **chosen.environment, "PATH": path})


def target_of(name: str, variables: Mapping[str, str] = os.environ) -> Target:
    """Where the stack of that name goes. Raises Failure when there is no such stack or no such place."""
    source = paths.CHECKOUT / f"Pulumi.{name}.yaml"
    if not source.exists():
        known = sorted(path.name.split(".")[1] for path in paths.CHECKOUT.glob("Pulumi.*.yaml"))
        raise Failure(f"STACK={name}: there is no {source.name}; there are: {', '.join(known) or 'none'}")
    topology = re.search(r"^\s+caches:topology: *(\w+)", source.read_text(), re.MULTILINE)
    chosen = target.choose(name, variables, topology=topology.group(1) if topology else "")
    _refuse_another_target(name, chosen)
    if chosen.cloud and not chosen.emulated:
        clouds.require_account(chosen.cloud, name, variables)
    return chosen


def up(stack: Stack) -> dict[str, int]:
    """Deploys; how many resources were created, updated and so on."""
    target.start(stack.target)
    _import_images(stack)
    for what in _installed(stack):
        target.install(what)
    _remember_target(stack)
    _select(stack)
    _render_again(stack)
    stack.pulumi("up", "--yes", "--suppress-outputs", *_config(stack))
    history = json.loads(stack.pulumi("stack", "history", "--json", "--page-size", "1", capture=True))
    return dict(history[0].get("resourceChanges") or {})


def preview(stack: Stack) -> None:
    """Shows what `up` would do."""
    target.start(stack.target)
    _select(stack)
    stack.pulumi("preview", "--diff", *_config(stack))


def down(stack: Stack) -> None:
    """Destroys the stack, and the cluster if that is ours and nothing else is on it."""
    if exists(stack):
        if target.runs(stack.target):
            if stack.target.emulated:
                # Servers that were lost could not be told whom to let in no more.
                target.start(stack.target)
            stack.pulumi("destroy", "--yes", *_config(stack))
            stack.pulumi("stack", "rm", "--yes", "--preserve-config")
        else:
            say(f"the {stack.target.what} is gone, and with it everything in it: only the stack's state is left to remove")
            stack.pulumi("stack", "rm", "--yes", "--force", "--preserve-config")
    if stack.target.renders:
        shutil.rmtree(rendered(stack.name), ignore_errors=True)  # only empty folders are left
        return
    _targets(stack.name).unlink(missing_ok=True)
    if stack.target.real_cloud:
        return
    if others := deployed_to(stack.target.label):
        say(f"the {stack.target.what} goes on running for {', '.join(others)}")
    else:
        target.stop(stack.target)


def deployed_to(label: str) -> list[str]:
    """The stacks whose target has that label."""
    return sorted(path.stem for path in _targets("").parent.glob("*.target") if path.read_text() == label)


def connections(stack: Stack) -> dict[str, dict[str, Any]]:
    """The exported connections, passwords included."""
    outputs = json.loads(stack.pulumi("stack", "output", "--json", "--show-secrets", capture=True))
    return dict(outputs.get("connections", {}))


def doctor(stack: Stack, *, json_output: bool) -> int:
    """Has `caches doctor` look at the caches; its exit code. Passwords go by its standard input."""
    caches = paths.CHECKOUT / ".venv" / "bin" / "caches"
    options = ["--connections=-", stack.target.named, *(["--json"] if json_output else [])]
    words = target.command(stack.target, [caches, "doctor", *options])
    return subprocess.run(words, input=json.dumps(connections(stack)), text=True).returncode


def monitored(stack: Stack) -> bool:
    """Whether the embedded cluster shall have a Prometheus for it; another cluster has its own."""
    return "prometheus" in _installed(stack)


def _installed(stack: Stack) -> list[str]:
    """What `tools/node` shall put in the embedded cluster for it; another cluster has its own."""
    if not stack.target.embedded:
        return []
    source = _source(stack)

    def has(key: str) -> bool:
        return re.search(rf"^\s+caches:{key}", source, re.MULTILINE) is not None

    prometheus = ["prometheus"] if has("monitoring:") else []
    # A stack that installs the operator itself gets no second one.
    return [*prometheus, *(["redis-operator"] if has("topology: *operator\\b") and not has("operator_chart:") else [])]


def is_deployed(stack: Stack) -> bool:
    """Whether there is anything to ask."""
    return exists(stack) and target.runs(stack.target)


def exists(stack: Stack) -> bool:
    """Whether the engine knows the stack."""
    listed = subprocess.run(
        ["pulumi", "stack", "ls", "--json", "--project", "caches"],
        cwd=paths.CHECKOUT,
        env={**os.environ, **stack.environment},
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        # Not knowing is not the same as there being none: `down` would take the cluster away from under it.
        raise Failure(f"the stacks could not be listed: {listed.stderr.strip()}")
    return stack.pulumi_name in [entry["name"].rpartition("/")[2] for entry in json.loads(listed.stdout)]


def _select(stack: Stack) -> None:
    if not exists(stack):
        # Made from the folder of the copies, because it writes its encryption salt beside the Pulumi.yaml it finds.
        _, copy = _config(stack)
        shutil.copy(paths.CHECKOUT / "Pulumi.yaml", Path(copy).parent)
        stack.pulumi("stack", "init", "--no-select", "--cwd", str(Path(copy).parent))


def _render_again(stack: Stack) -> None:
    """Has all manifests written again when some were deleted: the engine believes what its state says, and looks at no file."""
    if not stack.target.renders:
        return
    state = json.loads(stack.pulumi("stack", "export", capture=True))
    resources = state["deployment"].get("resources", [])
    kept = [resource for resource in resources if not resource["type"].startswith("kubernetes:")]  # passwords are among them
    folder = rendered(stack.name)
    if sum(1 for _ in folder.rglob("*.yaml")) >= len(resources) - len(kept):
        return
    shutil.rmtree(folder, ignore_errors=True)
    forgotten = {resource["urn"] for resource in resources} - {resource["urn"] for resource in kept}
    for resource in kept:
        _forget_dependencies(resource, forgotten)
    state["deployment"]["resources"] = kept
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(state, file)
        file.flush()
        stack.pulumi("stack", "import", "--file", file.name, capture=True)


def _forget_dependencies(resource: dict[str, Any], forgotten: Set[str]) -> None:
    resource["dependencies"] = [urn for urn in resource.get("dependencies") or [] if urn not in forgotten]
    by_property = resource.get("propertyDependencies") or {}
    resource["propertyDependencies"] = {name: [urn for urn in urns or [] if urn not in forgotten] for name, urns in by_property.items()}


def rendered(name: str) -> Path:
    """The folder of the manifests of the stack of that name."""
    return paths.CHECKOUT / "rendered" / name


def _config(stack: Stack) -> tuple[str, str]:
    """A copy of the stack's configuration, because the engine adds a line to it; the checkout stays clean."""
    copy = _copies() / f"Pulumi.{stack.pulumi_name}.yaml"
    source = _source(stack)
    if "encryptionsalt:" not in source and copy.exists():
        source += "".join(re.findall(r"^encryptionsalt:.*\n", copy.read_text(), re.MULTILINE))
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(source)
    return "--config-file", str(copy)


def _source(stack: Stack) -> str:
    return (paths.CHECKOUT / f"Pulumi.{stack.name}.yaml").read_text()


def _copies() -> Path:
    """Where the copies are: one folder for each backend and passphrase, because the salt goes with both."""
    backend, passphrase = os.environ.get("PULUMI_BACKEND_URL", ""), _own_passphrase()
    if not backend and passphrase is None:
        return paths.state() / "stacks"
    # Slow on purpose: the folder's name must not help to guess the passphrase.
    digest = hashlib.scrypt(passphrase or b"", salt=backend.encode(), n=2**14, r=8, p=1, dklen=4)
    return paths.state() / f"stacks-{digest.hex()}"


def _own_passphrase() -> bytes | None:
    """The person's, from where the engine takes it."""
    if (passphrase := os.environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return passphrase.encode()
    file = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    return Path(file).read_bytes().strip() if file else None


def _backend() -> dict[str, str]:
    """The person's own state and passphrase where they are set, else ones on this machine."""
    variables = {}
    if not os.environ.get("PULUMI_BACKEND_URL"):
        folder = paths.state() / "pulumi"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        variables["PULUMI_BACKEND_URL"] = f"file://{folder}"
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys():
        passphrase = paths.state() / "passphrase"
        if not passphrase.exists():
            passphrase.touch(mode=0o600)
            passphrase.write_text(secrets.token_urlsafe(32))
        variables["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(passphrase)
    return variables


def _import_images(stack: Stack) -> None:
    """The embedded cluster has no registry: it gets the Debian build under whatever names the stack gives."""
    if stack.target.embedded:
        names = re.findall(r"^\s+\w*image: *['\"]?([^'\"\s#]+)", _source(stack), re.MULTILINE)
        if names and subprocess.run([*target.NODE, "images", *names]).returncode:
            raise Failure("the stack's images could not be put in the cluster, see above")


def _targets(name: str) -> Path:
    return paths.state() / "stacks" / f"{name}.target"


def _remember_target(stack: Stack) -> None:
    if not stack.target.renders:
        _targets(stack.name).parent.mkdir(parents=True, exist_ok=True)
        _targets(stack.name).write_text(stack.target.label)


def _refuse_another_target(name: str, chosen: Target) -> None:
    """A stack's state belongs to one place: deployed to another, the engine would delete it from the first."""
    remembered = _targets(name)
    if chosen.renders or not remembered.exists() or remembered.read_text() == chosen.label:
        return
    where = Target(remembered.read_text())
    raise Failure(
        f"stack {name} is deployed to {where.label}, not to {chosen.label}: run this with {where.again}, or `make down` it there first"
    )


def words(stack: Stack, values: Sequence[str]) -> str:
    """A command as a person would type it."""
    return " ".join([*(part.replace(f"{paths.CHECKOUT}/", "") for part in stack.target.kubectl if part != sys.executable), *values])
