"""``settings``: every setting with its value, where it came from, and what it means."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from treadle.environment import read_environment
from treadle.settings import describe, parse_settings


def settings(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """List every setting: name, value (secrets masked), source, meaning. Fails like a server would on wrong ones."""
    environment = read_environment()
    rows = describe(environment, parse_settings(environment))
    if as_json:
        listed = [
            {"name": s.env, "value": value, "source": source, "meaning": s.meaning, "expects": s.expects}
            for s, value, source in rows
        ]
        typer.echo(msgspec.json.format(msgspec.json.encode(listed), indent=2).decode())
        return 0
    table = Table("setting", "value", "source", "meaning", box=None, pad_edge=False, header_style="bold")
    for setting, value, source in rows:
        table.add_row(setting.env, value, source if source == "default" else f"[bold]{source}[/bold]", setting.meaning)
    Console().print(table)
    return 0
