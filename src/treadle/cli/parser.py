"""The parser: every command with its options, its help and what is said of wrong usage."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS = {
    "dev": "serve",
    "api": "serve",
    "worker": "serve",
    "mailbox": "serve",
    "health": "health",
    "migrate": "migrate",
    "move": "move",
    "settings": "settings",
    "smoke": "smoke",
    "backup": "backup",
    "check": "check",
    "jobs": "jobs",
    "bench": "bench",
}
"""Each command, and the module of this package that has it."""


class _Commands(TyperGroup):
    """The commands, each imported when it is asked for: a worker has no use for the libraries of the others."""

    # Any: Typer carries a click of its own from 0.24 on and does not name it in public.
    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return command(cmd_name) if cmd_name in COMMANDS else None


def command(name: str) -> Any:
    """The click command called ``name``, one of ``COMMANDS``."""
    found = getattr(importlib.import_module(f"treadle.cli.{COMMANDS[name]}"), name)
    if isinstance(found, typer.Typer):
        return get_command(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    alone.command(name)(found)
    return get_command(alone)


cli = typer.Typer(
    name="treadle",
    cls=_Commands,
    help="A background job server: submit over HTTP, watch it run, never lose a job.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=(
        "Exit codes: 0 done, 1 failed or refused, 2 usage, 69 no server, 70 bug or worn out, "
        "75 store away (try again), 78 settings."
    ),
)


@cli.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        from treadle.assemble import VERSION

        typer.echo(f"treadle {VERSION}")
        raise typer.Exit


def run_command() -> int:
    """Run what the command line says; its exit code. Raises click's usage errors, and whatever the command raises."""
    try:
        return int(cli(prog_name="treadle", standalone_mode=False) or 0)
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return 1
