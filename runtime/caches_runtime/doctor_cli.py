"""`caches doctor`: looks at running caches, and says what of the best practices they miss."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from caches_runtime.output import Output

MISSING, COULD_NOT_LOOK = 1, 2


def doctor(
    connections: Annotated[Path, typer.Option(help="File with `connections`, or one connection, as JSON; - is standard input.")],
    context: Annotated[str | None, typer.Option(help="Context of your kubeconfig: the cluster that the caches are in.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Kubeconfig to use; without --context its current one.", exists=True)] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON object a line, for each finding and check.")] = False,
) -> None:
    """
    Looks at running caches, and prints what of the best practices they miss (docs/best-practices.md). Changes nothing.

    pulumi stack output connections --json --show-secrets | caches doctor --connections - --context NAME

    Needs kubectl. Ends with 0 when nothing is missing, 1 when something is, 2 when it could not look.
    """
    from caches_runtime.ops.doctor.checks import CHECKS
    from caches_runtime.ops.doctor.findings import examine
    from caches_runtime.ops.doctor.gather import gather, read_connections
    from caches_runtime.ops.doctor.kubectl import CouldNotLookError, Kubectl
    from caches_runtime.ops.doctor.report import print_report

    output = Output(json_output)
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        try:
            text = sys.stdin.read() if str(connections) == "-" else connections.read_text()
            found = read_connections(text, Path(folder))
            kubectl = Kubectl(context, str(kubeconfig) if kubeconfig else None)
            looked = [(facts.cache, examine(facts, CHECKS)) for facts in (gather(each, kubectl) for each in found)]
        except (CouldNotLookError, OSError) as error:
            raise output.end("could not look", f"could not look: {error}", COULD_NOT_LOOK) from None
    if print_report(looked, output if json_output else None):
        raise typer.Exit(MISSING)
