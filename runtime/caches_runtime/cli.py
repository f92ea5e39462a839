"""The one command, `caches`. Each subcommand imports what it runs only then."""

import typer

main = typer.Typer(help="Keeps caches whole.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@main.callback()
def _caches() -> None:
    """Subcommands, even while there is only one."""
