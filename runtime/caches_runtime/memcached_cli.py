"""`caches memcached-login`: logs in to Memcached for what can't."""

from pathlib import Path
from typing import Annotated

import typer


def memcached_login(
    forward: Annotated[list[str], typer.Option(help="Port to listen on and server, as PORT=HOST:PORT; may be repeated.")],
    username: Annotated[str, typer.Option(help="User to log in as.")],
    password_file: Annotated[Path, typer.Option(help="File with the password; read for each connection.")],
    tls: Annotated[bool, typer.Option("--tls", help="Whether the servers speak TLS.")] = False,
    ca_file: Annotated[Path | None, typer.Option(help="Authority of their certificates; default: those that the image trusts.")] = None,
) -> None:
    """
    Listens on 127.0.0.1, and for each connection makes one to the server, logs in by the text protocol, and passes on all that follows.

    For exporters in the same pod: a connection lasts 10 s at most. Runs until it is asked to end.
    """
    from caches_runtime.ops import memcached_login

    try:
        forwards = [memcached_login.Forward.parse(text) for text in forward]
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--forward") from None
    memcached_login.run(forwards, memcached_login.Login(username, password_file, tls, ca_file))
