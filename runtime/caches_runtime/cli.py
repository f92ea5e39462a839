"""The one command, `caches`. Each subcommand imports what it runs only then."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from caches_runtime import backup_cli, cluster_cli, doctor_cli, memcached_cli, migrate_cli, replicate_cli, warmup_cli

PASSWORD_FILE = Path("/etc/cache/credentials/system-password")

Announce = Literal["address", "hostname"]

main = typer.Typer(help="Keeps caches whole.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
main.add_typer(cluster_cli.commands, name="cluster")
main.add_typer(backup_cli.commands, name="backup")
main.add_typer(replicate_cli.commands, name="replicate")
main.command()(migrate_cli.migrate)
main.command()(memcached_cli.memcached_login)
main.command()(doctor_cli.doctor)
main.command()(warmup_cli.warmup)


@main.command()
def sentinel_agent(
    group: Annotated[str, typer.Option(envvar="GROUP", help="Name of the SentinelGroup.")],
    members: Annotated[int, typer.Option(envvar="MEMBERS", help="How many members it has.")],
    engine: Annotated[str, typer.Option(envvar="ENGINE", help="redis or valkey: the name of its Service's port.")],
    namespace: Annotated[str, typer.Option(envvar="NAMESPACE", help="Namespace of the group.")],
    announce: Annotated[Announce, typer.Option(envvar="ANNOUNCE", help="What members know each other by.")],
    pod: Annotated[str, typer.Option(envvar="POD", help="Pod that this agent is in: GROUP-ORDINAL.")],
    pod_uid: Annotated[str, typer.Option(envvar="POD_UID", help="Its uid.")],
    pod_ips: Annotated[str, typer.Option(envvar="POD_IPS", help="Its addresses, with commas.")],
    quorum: Annotated[int, typer.Option(envvar="QUORUM", help="Agents that must miss the master before one replaces it.")],
    down_after_milliseconds: Annotated[int, typer.Option(envvar="DOWN_AFTER_MILLISECONDS", help="How long it may not be heard.")],
    password_file: Annotated[Path, typer.Option(help="File with the password of user system.")] = PASSWORD_FILE,
    run_folder: Annotated[Path, typer.Option(help="Folder shared with the pod's other containers.")] = Path("/run/cache"),
    data_folder: Annotated[Path, typer.Option(help="Folder for what outlives a restart.")] = Path("/data"),
    ca_file: Annotated[Path | None, typer.Option(help="File with the authority of the servers' certificates, when they speak TLS.")] = None,
) -> None:
    """Makes one member of a SentinelGroup the master, and moves the role without losing writes. Runs beside each server."""
    from caches_runtime.ops.sentinel import main
    from caches_runtime.ops.sentinel.hearing import Limits
    from caches_runtime.ops.sentinel.roles import OwnPod

    own = OwnPod(pod, pod_uid, pod_ips.split(","))
    limits = Limits(down_after_milliseconds / 1000, quorum)
    hostnames = announce == "hostname"
    main.run(main.Settings(group, members, engine, namespace, own, limits, password_file, run_folder, data_folder, ca_file, hostnames))
