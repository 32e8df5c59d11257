"""Payloads and results as people may see them: indented JSON with what looks like a secret covered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

MAX_SHOWN_CHARACTERS = 64 * 1024
COVER = '"•••"'

_SECRET = re.compile(r"pass|secret|token|authori|api.?key|cookie", re.IGNORECASE)
_MEMBER = re.compile(r'(\s*)("(?:[^"\\]|\\.)*"): (.*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Readable:
    """``text``, and whether the rest was left out."""

    text: str
    is_cut: bool


def readable(document: bytes) -> Readable:
    """``document``, stored JSON, on lines, every member whose name sounds secret covered, whatever it holds.

    The text is formatted, not parsed: numbers keep their digits, and ten MiB cost no objects.
    """
    lines = msgspec.json.format(document, indent=2).decode("utf-8").split("\n")
    shown: list[str] = []
    left = MAX_SHOWN_CHARACTERS
    for line in _covered(iter(lines)):
        if len(line) >= left:
            shown.append(line[:left])
            return Readable("\n".join(shown), True)
        shown.append(line)
        left -= len(line) + 1
    return Readable("\n".join(shown), False)


def _covered(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        member = _MEMBER.fullmatch(line)
        if member is None or not _SECRET.search(json.loads(member[2])):
            yield line
            continue
        indent, name, value = member.groups()
        end = value
        if value in ("{", "["):  # all of it, down to the bracket that stands where its own member began
            end = next((later for later in lines if later.startswith((f"{indent}}}", f"{indent}]"))), "")
        yield f"{indent}{name}: {COVER}{',' if end.endswith(',') else ''}"
