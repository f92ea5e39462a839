"""`caches cluster`: commands for a Redis or Valkey cluster."""

from pathlib import Path
from typing import Annotated

import typer

from caches_runtime.output import INTERRUPTED, REFUSED, UNFINISHED, Output, asked_to_end

commands = typer.Typer(help="Makes and mends a Redis or Valkey cluster.", no_args_is_help=True)


@commands.callback()
def _cluster() -> None:
    """Subcommands, even while there is only one."""


@commands.command()
def repair(
    hosts: Annotated[str, typer.Option(help="Name of each pod, with {shard} and {ordinal} in it.")],
    shards: Annotated[int, typer.Option(min=3, help="How many masters there shall be.")],
    replicas: Annotated[int, typer.Option(min=0, help="How many replicas of each.")],
    password_file: Annotated[Path, typer.Option(help="File with the system user's password.", exists=True, dir_okay=False)],
    ca_file: Annotated[
        Path | None, typer.Option(help="File with the authority of the servers' certificates, when they speak TLS.", exists=True)
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="How long to go on without any progress.")] = 300,
    json_output: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """
    Makes the cluster what it shall be, from whatever it is: new, grown, to be shrunk, half made, with moved or emptied nodes.

    Does nothing when there is nothing to do. Ends with 0 when the cluster is whole, 3 when going on could destroy data, 4 when
    nodes do not come, 5 when it was asked to end. It can be run again at any time, and by several at once: they wait for each other.
    """
    from caches_runtime.ops import cluster
    from caches_runtime.ops.cluster_state import Hosts, Wanted

    output = Output(json_output)
    run = cluster.Repair(
        wanted=Wanted(shards, replicas),
        hosts=Hosts(hosts),
        password=password_file.read_text().rstrip("\n"),
        report=output.progress,
        ca_file=ca_file,
        interrupted=asked_to_end(),
    )
    try:
        steps = run.run(seconds)
    except cluster.RefusedError as refused:
        raise output.end("refused", f"refused: {refused}", REFUSED) from None
    except cluster.NotWholeError as problem:
        raise output.end("not whole", f"no progress for {seconds:g} s; still waiting for {problem}", UNFINISHED) from None
    except cluster.InterruptedRepairError:
        raise output.end("interrupted", "asked to end: run it again to go on", INTERRUPTED) from None
    whole = f"the cluster is whole: {shards} masters with {replicas} replicas each"
    output.say("whole", f"{whole}; nothing to do" if steps == 0 else f"{whole}, after {steps} steps", steps=steps)
