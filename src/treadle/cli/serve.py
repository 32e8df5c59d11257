"""``dev``, ``api``, ``worker``, ``mailbox``: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from treadle.cli.loading import load_settings
from treadle.environment import child_environment
from treadle.listen import reserve
from treadle.server import Rooms, Started, run, url_of
from treadle.settings import Settings
from treadle.siblings import Place, Siblings

AppOption = Annotated[
    str | None,
    typer.Option("--app", help="Your job types, as module:name. Overrides TREADLE_APP.", metavar="MODULE:NAME"),
]


def dev(app: AppOption = None) -> int:
    """Run everything in this process: API, worker, duties and mailbox."""
    return _serve(load_settings(app), Rooms(api=True, worker=True, mailbox=True))


def api(app: AppOption = None) -> int:
    """Run the HTTP API; workers run elsewhere."""
    settings = load_settings(app)
    if settings.api_processes > 1:
        return _serve_together(settings)
    return _serve(settings, Rooms(api=True))


def worker(app: AppOption = None) -> int:
    """Run a worker."""
    return _serve(load_settings(app), Rooms(worker=True))


def mailbox() -> int:
    """Run the mailbox: a mail server that keeps what it gets, with a page and a MailHog-shaped API."""
    return _serve(load_settings(), Rooms(mailbox=True))


def _serve(settings: Settings, rooms: Rooms) -> int:
    return _run(run(settings, rooms, lambda up: _print(settings, up), child_environment()))


def _serve_together(settings: Settings) -> int:
    """The API from several processes: what this returns, or raises, may be a child's."""

    def live(place: Place) -> int:
        return _run(run(settings, Rooms(api=True), lambda _: place.say_up(), child_environment(), place=place))

    count = settings.api_processes
    started = Started(api_url=url_of(settings.host, settings.api_port), rooms=[f"api in {count} processes"])
    with reserve(settings.host, settings.api_port, "API_PORT"):
        return Siblings(count, live, lambda: _print(settings, started)).run()


def _run(running: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(running)


def _print(settings: Settings, up: Started) -> None:
    """The addresses, once everything listens."""
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold]Treadle is up[/bold]: {', '.join(up.rooms)}. Ctrl-C stops it.")
    if up.api_url is not None:
        console.print(f"  API      {up.api_url}/jobs     health {up.api_url}/health")
        console.print(f"  Admin    {up.api_url}/admin/ui")
    if up.mailbox_url is not None:
        console.print(f"  Mailbox  {up.mailbox_url}          SMTP on {up.smtp_address}")
    if up.metrics_url is not None:
        console.print(f"  Metrics  {up.metrics_url}/metrics")
    if up.api_url is not None or "worker" in up.rooms:
        console.print(f"  Files    {settings.output_dir.resolve()}")
    is_guarded = settings.api_keys and settings.admin_user is not None
    if settings.open and not settings.is_loopback and not is_guarded:
        console.print(
            "[bold red]  TREADLE_OPEN=1: anybody who reaches this address may submit jobs, and so send e-mail "
            "through MAIL_HOST to anybody. Set TREADLE_API_KEYS and ADMIN_USER/ADMIN_PASS.[/bold red]"
        )
