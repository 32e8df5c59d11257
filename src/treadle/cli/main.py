"""The console script, and where errors become one line and an exit code.

Exit codes (after sysexits.h): 0 done; 1 failed (a smoke test or a health check, say) or refused by a server; 2 wrong
usage; 69 no server answers a command that speaks HTTP; 70 a bug, or a worker worn out by handlers that never end; 75
the store does not answer, try again; 78 settings or schema are wrong.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from treadle.errors import RegistrationError, SettingsError, StoreRefused, TreadleError, Unavailable

EXIT_FAILED = 1
EXIT_BUG = 70
EXIT_TRY_AGAIN = 75
EXIT_CONFIG = 78

_PLAIN = {"dev": True, "api": True, "worker": True, "mailbox": False}
"""Processes that stay, and whether they take an app."""


def run() -> NoReturn:
    """The console script."""
    code = EXIT_BUG
    try:
        code = _run(sys.argv[1:])
    except SettingsError as error:
        code = _say(EXIT_CONFIG, *error.problems)
    except (RegistrationError, StoreRefused) as error:
        code = _say(EXIT_CONFIG, str(error))
    except Unavailable as error:
        code = _say(EXIT_TRY_AGAIN, str(error))
    except TreadleError as error:
        code = _say(EXIT_FAILED, str(error))
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


def _run(arguments: Sequence[str]) -> int:
    """Typer, pydantic and rich are 11 MB that a server would keep to its end. So plain words that start one are read
    here; whatever else is said, wrong usage and ``--help`` among it, is the parser's."""
    match arguments:
        case [name] if name in _PLAIN:
            return _serve(name, None)
        case [name, "--app", app] if _PLAIN.get(name) and not app.startswith("-"):
            return _serve(name, app)
    from treadle.cli.parser import run_command

    return run_command()


def _serve(name: str, app: str | None) -> int:
    from treadle.cli.rooms import serve

    return serve(name, app)


def _say(code: int, *sentences: str) -> int:
    for sentence in filter(None, sentences):  # help that was printed for want of arguments has no words of its own
        sys.stderr.write(f"treadle: {sentence}\n")
    return code
