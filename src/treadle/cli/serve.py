"""``dev``, ``api``, ``worker``, ``mailbox`` as the parser knows them."""

from __future__ import annotations

from typing import Annotated

import typer

from treadle.cli.rooms import serve

AppOption = Annotated[
    str | None,
    typer.Option("--app", help="Your job types, as module:name. Overrides TREADLE_APP.", metavar="MODULE:NAME"),
]


def dev(app: AppOption = None) -> int:
    """Run everything in this process: API, worker, duties and mailbox."""
    return serve("dev", app)


def api(app: AppOption = None) -> int:
    """Run the HTTP API; workers run elsewhere."""
    return serve("api", app)


def worker(app: AppOption = None) -> int:
    """Run a worker."""
    return serve("worker", app)


def mailbox() -> int:
    """Run the mailbox: a mail server that keeps what it gets, with a page and a MailHog-shaped API."""
    return serve("mailbox")
