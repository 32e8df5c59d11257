"""Cells of CSV: how a JSON value reads, and what a spreadsheet must not run. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

# OWASP "CSV Injection": what makes a spreadsheet take a cell for a formula, full-width forms included; white space, a
# byte-order mark or quotes before it do not help.
_FORMULA = re.compile("[ \ufeff'\"]*[=+\\-@\t\r\n＝＋－＠]")
# A plain number or phone-like text begins with a sign, too, and is no formula.
_HARMLESS = re.compile(r"[+-]?[0-9][0-9 ().,-]*(?:[eE][+-]?[0-9]+)?")


def escaped(text: str) -> str:
    """``text`` with a leading ``'`` where a spreadsheet would run it."""
    if _FORMULA.match(text) and not _HARMLESS.fullmatch(text):
        return "'" + text
    return text


def cell(value: Any, *, escape: bool) -> str:
    """A JSON value as a cell's text: ``null`` is empty, numbers stay as JSON writes them, the rest is compact JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return escaped(value) if escape else value
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    text = msgspec.json.encode(value).decode()
    return escaped(text) if escape else text
