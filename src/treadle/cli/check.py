"""``check``: whether the invariants hold, on the store itself; no server needs to run."""

from __future__ import annotations

import asyncio

import typer
from rich.console import Console
from rich.table import Table

from treadle.assemble import inspect_store
from treadle.cli.loading import load_settings
from treadle.cli.render import print_json
from treadle.cli.speaking import JsonOption, printable
from treadle.service.check import Finding
from treadle.service.check import check as find
from treadle.settings import Settings

SHOWN_SUBJECTS = 3


def check(as_json: JsonOption = False) -> int:
    """Check what must always be true of the database, reading only; exit 1 where something is not."""
    findings = asyncio.run(_check(load_settings()))
    broken = [finding for finding in findings if finding.subjects]
    if as_json:
        print_json([{"name": f.name, "meaning": f.meaning, "violations": f.subjects} for f in findings])
    else:
        _print(findings)
        typer.echo(f"{len(broken)} of {len(findings)} invariants are violated" if broken else "all invariants hold")
    return 1 if broken else 0


async def _check(settings: Settings) -> list[Finding]:
    async with inspect_store(settings) as (store, clock):
        return await find(store, settings, clock.now())


def _print(findings: list[Finding]) -> None:
    table = Table("check", "", "what must be true", "violated by", box=None, pad_edge=False, header_style="bold")
    for finding in findings:
        verdict = "[red]BROKEN[/red]" if finding.subjects else "[green]ok[/green]"
        shown = ", ".join(printable(subject) for subject in finding.subjects[:SHOWN_SUBJECTS])
        more = len(finding.subjects) - SHOWN_SUBJECTS
        table.add_row(finding.name, verdict, finding.meaning, shown + (f" and {more} more" if more > 0 else ""))
    Console(highlight=False).print(table)
