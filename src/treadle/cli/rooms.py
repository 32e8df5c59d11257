"""The processes that run until they are told to stop. No parser in here: they would keep its libraries to their end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop

from treadle.cli.loading import load_settings
from treadle.environment import child_environment
from treadle.listen import reserve
from treadle.server import Rooms, Started, run, url_of
from treadle.settings import Settings
from treadle.siblings import Place, Siblings

ROOMS = {
    "dev": Rooms(api=True, worker=True, mailbox=True),
    "api": Rooms(api=True),
    "worker": Rooms(worker=True),
    "mailbox": Rooms(mailbox=True),
}


def serve(name: str, app: str | None = None) -> int:
    """Run the process called ``name``, one of ``ROOMS``, until it is told to stop; its exit code."""
    settings = load_settings(app)
    if name == "api" and settings.api_processes > 1:
        return _serve_together(settings)
    return _run(run(settings, ROOMS[name], lambda up: _print(settings, up), child_environment()))


def _serve_together(settings: Settings) -> int:
    """The API from several processes: what this returns, or raises, may be a child's."""

    def live(place: Place) -> int:
        return _run(run(settings, ROOMS["api"], lambda _: place.say_up(), child_environment(), place=place))

    count = settings.api_processes
    started = Started(api_url=url_of(settings.host, settings.api_port), rooms=[f"api in {count} processes"])
    with reserve(settings.host, settings.api_port, "API_PORT"):
        return Siblings(count, live, lambda: _print(settings, started)).run()


def _run(running: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(running)


def _print(settings: Settings, up: Started) -> None:
    """The addresses, once everything listens."""
    lines = [f"{_bold('Treadle is up')}: {', '.join(up.rooms)}. Ctrl-C stops it."]
    if up.api_url is not None:
        lines.append(f"  API      {up.api_url}/jobs     health {up.api_url}/health")
        lines.append(f"  Admin    {up.api_url}/admin/ui")
    if up.mailbox_url is not None:
        lines.append(f"  Mailbox  {up.mailbox_url}          SMTP on {up.smtp_address}")
    if up.metrics_url is not None:
        lines.append(f"  Metrics  {up.metrics_url}/metrics")
    if up.api_url is not None or "worker" in up.rooms:
        lines.append(f"  Files    {settings.output_dir.resolve()}")
    is_guarded = settings.api_keys and settings.admin_user is not None
    if settings.open and not settings.is_loopback and not is_guarded:
        lines.append(
            _bold(
                "  TREADLE_OPEN=1: anybody who reaches this address may submit jobs, and so send e-mail "
                "through MAIL_HOST to anybody. Set TREADLE_API_KEYS and ADMIN_USER/ADMIN_PASS."
            )
        )
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stderr.isatty() else text
