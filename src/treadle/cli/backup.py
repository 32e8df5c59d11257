"""``backup``: a checked copy of the SQLite file, while everything runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from treadle.assemble import back_up
from treadle.cli.loading import load_settings


def backup(
    target: Annotated[Path, typer.Argument(help="The file to make; it must not exist.", show_default=False)],
) -> int:
    """Copy the SQLite database to a new file, as of one moment, and check the copy; servers may run meanwhile."""
    settings = load_settings()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    is_seen = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not is_seen) as bar:
        task = bar.add_task("copying", total=None)
        size_bytes = back_up(settings, target, lambda done, total: bar.update(task, completed=done, total=total))
    typer.echo(f"{target}: {size_bytes} bytes, checked")
    return 0
