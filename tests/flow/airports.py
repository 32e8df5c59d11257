"""A real data set: the 28,298 airports that the package airportsdata ships, as JSON rows."""

from __future__ import annotations

import csv
from importlib import resources
from typing import Any

NUMBERS = ("elevation", "lat", "lon")


def airports() -> list[dict[str, Any]]:
    """Rows with numbers as numbers and empty cells as ``None``."""
    text = resources.files("airportsdata").joinpath("airports.csv").read_text("utf-8")
    return [{name: _value(name, cell) for name, cell in row.items()} for row in csv.DictReader(text.splitlines())]


def _value(name: str, cell: str) -> Any:
    if cell == "":
        return None
    if name in NUMBERS:
        return float(cell) if "." in cell else int(cell)
    return cell
