"""``settings``: every setting with its value, where it came from, and what it means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from treadle.environment import read_environment
from treadle.settings import SETTINGS, Setting, Settings, parse_settings


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


def describe(environment: Mapping[str, str], parsed: Settings) -> list[tuple[Setting, str, str]]:
    """Every setting with its value as text (secrets masked) and its source, ``environment`` or ``default``."""
    rows: list[tuple[Setting, str, str]] = []
    for setting in SETTINGS:
        value = getattr(parsed, setting.field)
        if value is None or value == ():
            shown = ""
        elif setting.secret:
            shown = "•••"
        elif isinstance(value, tuple):
            shown = ",".join(value)
        elif isinstance(value, bool):
            shown = "1" if value else "0"
        elif isinstance(value, float):
            shown = f"{value:g}"
        else:
            shown = os.fspath(value) if isinstance(value, Path) else str(value)
        rows.append((setting, shown, "environment" if setting.env in environment else "default"))
    return rows
