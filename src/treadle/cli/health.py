"""``health``: ask a process of this machine whether it can do its work; for health checks of containers and units."""

from __future__ import annotations

import ipaddress
import socket
import urllib.error
import urllib.request
from enum import StrEnum
from typing import Annotated

import typer

from treadle.cli.loading import load_settings
from treadle.clock import rising_seconds
from treadle.settings import Settings
from treadle.worker.pulse import living_here

ANSWER_SECONDS = 4.0
"""Longer than the API gives its own checks; twice is shorter than the health checks of compose.yaml may take."""


class Process(StrEnum):
    """What can be asked."""

    API = "api"
    WORKER = "worker"
    MAILBOX = "mailbox"


def health(
    process: Annotated[Process, typer.Argument(help="What to ask, on this machine.", show_default=False)],
) -> int:
    """Ask the api, worker or mailbox that runs here with these settings; exit 0 when it can do its work, else 1."""
    objection = _ASK[process](load_settings())
    typer.echo(f"{process}: {objection or 'ok'}")
    return 1 if objection else 0


def _ask_api(settings: Settings) -> str:
    """What is wrong, in words without secrets; nothing when all is well."""
    return _get(settings.host, settings.api_port, "/health")


def _ask_worker(settings: Settings) -> str:
    signs = living_here(settings.data_dir)
    if not signs:
        return f"no worker of this host keeps a sign of life in {settings.data_dir}"
    now = rising_seconds()
    late = [f"process {sign.pid} has not beaten for a whole lease" for sign in signs if sign.valid_until <= now]
    return "; ".join(late)


def _ask_mailbox(settings: Settings) -> str:
    """Both its doors."""
    return _get(settings.mailbox_host, settings.mailbox_port, "/live") or _greet(
        settings.mailbox_host, settings.mailbox_smtp_port
    )


_ASK = {Process.API: _ask_api, Process.WORKER: _ask_worker, Process.MAILBOX: _ask_mailbox}


def _get(listens_on: str, port: int, path: str) -> str:
    host = _reachable(listens_on)
    shown = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{shown}:{port}{path}", timeout=ANSWER_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"{path} answered {error.code}: {error.read(300).decode(errors='replace')}"
    except OSError as error:
        return f"{host}:{port} does not answer ({error})"


def _greet(listens_on: str, port: int) -> str:
    host = _reachable(listens_on)
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection:
            greeting = connection.recv(512)
            connection.sendall(b"QUIT\r\n")
    except OSError as error:
        return f"{host}:{port} does not answer ({error})"
    return "" if greeting.startswith(b"220") else f"{host}:{port} greets with {greeting[:80]!r}"


def _reachable(listens_on: str) -> str:
    """What listens everywhere is asked on loopback."""
    try:
        address = ipaddress.ip_address(listens_on)
    except ValueError:
        return listens_on
    if not address.is_unspecified:
        return listens_on
    return "127.0.0.1" if address.version == 4 else "::1"
