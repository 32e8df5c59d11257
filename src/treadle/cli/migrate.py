"""``migrate``: bring the schema up to date and end."""

from __future__ import annotations

import asyncio

import msgspec
import typer

from treadle.assemble import database_name, open_runtime
from treadle.cli.loading import load_settings
from treadle.jobtype import Registry
from treadle.settings import Settings


def migrate() -> int:
    """Bring the database's schema up to date; safe to run at any time, and twice."""
    settings = load_settings()
    asyncio.run(_migrate(msgspec.structs.replace(settings, migrate="on")))
    typer.echo(f"{database_name(settings)} is up to date")
    return 0


async def _migrate(settings: Settings) -> None:
    async with open_runtime(settings, Registry(), has_worker=False):
        pass
