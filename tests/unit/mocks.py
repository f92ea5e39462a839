"""Runs a Pulumi program against mocks and hands back what it registered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.rpc import is_rpc_secret, unwrap_rpc_secret


class Registered(Mocks):
    """What a program registered, by type and name; `answers` replaces outputs of single resources, and is what invokes return."""

    def __init__(self, answers: dict[str, dict[str, Any]] | None = None) -> None:
        self.resources: list[MockResourceArgs] = []
        self.requests: list[Any] = []
        self._answers = answers or {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs)
        if args.typ == "pulumi:index:Stash":
            outputs["output"] = outputs["input"]
        if "metadata" in outputs:
            # What has no name of its own is given one.
            outputs["metadata"] = {"name": f"{args.name}-random", **outputs["metadata"]}
        if args.typ.startswith("azure-native:"):
            outputs.setdefault("name", args.name)
        answer = self._answers.get(args.name, {})
        return answer.get("id", f"{args.name}-id"), {**outputs, **answer}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return self._answers.get(args.token, {}), []

    def named(self, kind: str) -> dict[str, Any]:
        """The inputs of every resource of a kind, by name."""
        return {resource.name: plain(resource.inputs) for resource in self.resources if resource.typ.rpartition(":")[2] == kind}

    def only(self, kind: str) -> Any:
        """The inputs of the one resource of a kind."""
        [(_, inputs)] = self.named(kind).items()
        return inputs


class _Monitor(MockMonitor):
    def RegisterResource(self, request: Any) -> Any:
        self.mocks.requests.append(request)  # type: ignore[attr-defined] # Registered has it
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


def run(
    program: Callable[[], Any],
    *,
    preview: bool = False,
    answers: dict[str, dict[str, Any]] | None = None,
    config: dict[str, str] | None = None,
) -> Registered:
    """Runs a program to its end, everything in its applies included."""
    registered = Registered(answers)
    pulumi.runtime.set_mocks(registered, project="caches", stack="test", preview=preview, monitor=_Monitor(registered))
    pulumi.runtime.set_all_config({f"caches:{key}": value for key, value in (config or {}).items()})
    asyncio.get_event_loop().set_exception_handler(_log_all_but_leftovers)
    pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    return registered


def _log_all_but_leftovers(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # What failed with a program that was refused is reported when it is collected, whenever that is. Python 3.11 parses source for
    # such a log entry, and ends with a SystemError when it is parsing already.
    if "never retrieved" not in context["message"]:
        loop.default_exception_handler(context)


def plain(value: Any) -> Any:
    """A value without its secret markers."""
    if is_rpc_secret(value):
        return plain(unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
