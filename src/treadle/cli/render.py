"""Jobs on the terminal: a table of many, a page of one. Nothing that came from outside can steer the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from treadle.cli.speaking import printable
from treadle.client import JobRecord
from treadle.states import Status

MAX_CELL_CHARACTERS = 60
PIPE_WIDTH = 1000

_STYLES = {
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.DEAD: "bold red",
    Status.CANCELLED: "dim",
    Status.PROCESSING: "cyan",
    Status.RETRYING: "yellow",
}


def print_json(value: Any) -> None:
    """``value`` as indented JSON; control characters are escaped in it."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_jobs(jobs: Sequence[JobRecord]) -> None:
    """A row a job."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "status", "created"):
        table.add_column(name, no_wrap=True)
    for name in ("type", "queue", "priority", "attempts", "error"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=4)
    for job in jobs:
        words = (job.type, job.queue, job.priority, str(job.attempts), job.error or "")
        table.add_row(job.id, _status(job.status), _time(job.created_at), *(_text(word) for word in words))
    # Into a file or a pipe a row is a line, however long; on a terminal it is cut at the edge.
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def print_job(job: JobRecord) -> None:
    """Everything of one job that has a value, a line each."""
    console = Console(highlight=False)
    for name, value in _facts(job):
        console.print(Text(f"{name:<10}", style="bold") + value, soft_wrap=True)
    for error in job.errors:
        told = f"attempt {error.attempt}, {_time(error.ended_at)}, {error.kind}: {error.message}"
        console.print(Text(f"{'':<10}") + Text(printable(told), style="red"), soft_wrap=True)


def _facts(job: JobRecord) -> Sequence[tuple[str, Text]]:
    facts: list[tuple[str, Text]] = [
        ("id", Text(job.id)),
        ("type", _text(job.type)),
        ("queue", _text(f"{job.queue}, {job.priority}")),
        ("status", _status(job.status) + Text(", a cancel was requested" if job.cancel_requested else "")),
        ("attempts", Text(f"{job.attempts} ({job.failures} failed of {job.max_attempts}, {job.crashes} crashed)")),
    ]
    times = {"created": job.created_at, "due": job.run_at, "started": job.started_at, "finished": job.finished_at}
    facts += [(name, Text(_time(moment))) for name, moment in times.items() if moment is not None]
    if job.progress is not None:
        total = "" if job.progress.total is None else f" of {job.progress.total:g}"
        facts.append(("progress", _text(f"{job.progress.done:g}{total} {job.progress.message or ''}".rstrip())))
    facts += [("file", _text(f"{file.path}, {file.size_bytes} bytes")) for file in job.artifacts]
    values = {"error": job.error, "result": job.result, "payload": job.payload}
    facts += [(name, _whole(value)) for name, value in values.items() if value is not None]
    return facts


def _status(status: Status) -> Text:
    return Text(status.value, style=_STYLES.get(status, ""))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _text(value: str) -> Text:
    text = printable(value)
    return Text(text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…")


def _whole(value: Any) -> Text:
    return Text(printable(value if isinstance(value, str) else msgspec.json.encode(value).decode()))
