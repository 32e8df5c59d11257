"""``move``: a stopped SQLite installation goes to PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from treadle.assemble import open_move
from treadle.cli.loading import load_settings
from treadle.errors import SettingsError
from treadle.service.move import Move, Moved
from treadle.settings import Settings, parse_settings

ToOption = Annotated[
    str, typer.Option("--to", help="Where the jobs go: postgresql://USER:PASSWORD@HOST:PORT/DATABASE.", metavar="URL")
]


def move(to: ToOption) -> int:
    """Copy everything in the SQLite file to PostgreSQL, then compare both; safe to run again.

    Stop every Treadle process first. The file is read and left as it is.
    """
    settings = load_settings()
    try:
        target = parse_settings({"DATABASE_URL": to}).database_url
    except SettingsError:
        target = None
    if target is None or not target.startswith("postgres"):
        raise SettingsError(["--to: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"])
    moved = asyncio.run(_move(settings, target))
    console = Console(highlight=False)
    console.print(
        f"[bold]Moved[/bold]: {moved.jobs} jobs ({moved.new_jobs} of them now), {moved.queues} queues, "
        f"{moved.keys} idempotency keys; read back from both sides and equal (sha256 {moved.checksum[:16]}…)"
    )
    console.print("Set DATABASE_URL to the new address and start Treadle. The files in output/ stay where they are.")
    return 0


async def _move(settings: Settings, target: str) -> Moved:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_move(settings, target) as (source, there):
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bars = {step: progress.add_task(step, total=None) for step in ("copy", "compare")}
            return await Move(source, there).run(
                lambda step, done, total: progress.update(bars[step], completed=done, total=total)
            )
