"""How commands speak with a server over HTTP: where it is, what it is shown, and what its errors are here.

Exit codes: 0 done; 1 the server says no; 2 wrong usage; 69 (EX_UNAVAILABLE) no server, or one that cannot work now.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from treadle.client import Client
from treadle.environment import read_environment
from treadle.errors import InvalidInput, TreadleError, Unavailable
from treadle.settings import Settings, parse_settings

EXIT_REFUSED = 1
EXIT_UNAVAILABLE = 69
RETRY_SECONDS = 3.0
"""A person waits: less than programs do."""

_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared with, not bound to)

UrlOption = Annotated[
    str | None, typer.Option("--url", help="The server. Default: API_PORT on TREADLE_HOST.", metavar="URL")
]
KeyOption = Annotated[
    str | None, typer.Option("--key", help="An API key. Default: the first of TREADLE_API_KEYS.", metavar="KEY")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def speak(url: str | None, key: str | None, work: Callable[[Client], int]) -> int:
    """Run ``work`` with a client, and turn its errors into lines and an exit code. Raises ``SettingsError``."""
    settings = parse_settings(read_environment())
    try:
        with _client(settings, url, key) as client:
            return work(client)
    except TreadleError as error:
        return refused(error)


def refused(error: TreadleError, prefix: str = "") -> int:
    """Tell ``error``, a line a problem; the exit code it means."""
    for line in _lines(error):
        sys.stderr.write(f"treadle: {prefix}{printable(line)}\n")
    return EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_REFUSED


def key_of(settings: Settings, key: str | None) -> str | None:
    """The API key to show: ``key``, or the first of the settings'."""
    return settings.api_keys[0] if key is None and settings.api_keys else key


def login_of(settings: Settings) -> tuple[str, str] | None:
    """User and password of ``/admin``, where the settings have them."""
    if settings.admin_user is None or settings.admin_pass is None:
        return None
    return settings.admin_user, settings.admin_pass


def printable(text: str) -> str:
    """``text`` without what would steer the terminal: errors and payloads come from anywhere."""
    return "".join(c if c.isprintable() else " " for c in text)


def _lines(error: TreadleError) -> Sequence[str]:
    if isinstance(error, InvalidInput):
        return [f"{p.pointer.lstrip('/')}: {p.detail}" if p.pointer else p.detail for p in error.problems]
    return [str(error)]


def _client(settings: Settings, url: str | None, key: str | None) -> Client:
    shown = key_of(settings, key)
    return Client(url or _own_url(settings), key=shown, admin=login_of(settings), retry_seconds=RETRY_SECONDS)


def _own_url(settings: Settings) -> str:
    host = _EVERY_ADDRESS.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}"
