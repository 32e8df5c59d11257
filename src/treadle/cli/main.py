"""The parser, and where errors become one line and an exit code.

Exit codes (after sysexits.h): 0 done; 1 failed (a smoke test or a health check, say) or refused by a server; 2 wrong
usage; 69 no server answers a command that speaks HTTP; 70 a bug, or a worker worn out by handlers that never end; 75
the store does not answer, try again; 78 settings or schema are wrong.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from treadle.errors import RegistrationError, SettingsError, StoreRefused, TreadleError, Unavailable

EXIT_FAILED = 1
EXIT_BUG = 70
EXIT_TRY_AGAIN = 75
EXIT_CONFIG = 78

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


def run() -> NoReturn:
    """The console script."""
    code = EXIT_BUG
    try:
        code = int(cli(prog_name="treadle", standalone_mode=False) or 0)
    except SettingsError as error:
        code = _say(EXIT_CONFIG, *error.problems)
    except (RegistrationError, StoreRefused) as error:
        code = _say(EXIT_CONFIG, str(error))
    except Unavailable as error:
        code = _say(EXIT_TRY_AGAIN, str(error))
    except TreadleError as error:
        code = _say(EXIT_FAILED, str(error))
    except typer.Exit as error:
        code = error.exit_code
    except typer.Abort:
        code = EXIT_FAILED
    except Exception as error:
        if not hasattr(error, "format_message"):
            logging.getLogger("treadle").exception("a bug in Treadle or in the app it loads")
        else:  # click's usage errors know their own words and code
            code = _say(getattr(error, "exit_code", 2), error.format_message())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    # Not sys.exit: a handler's thread that never ends must not keep a stopped server from ending.
    os._exit(code)


def _say(code: int, *sentences: str) -> int:
    for sentence in filter(None, sentences):  # help that was printed for want of arguments has no words of its own
        sys.stderr.write(f"treadle: {sentence}\n")
    return code
