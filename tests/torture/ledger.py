"""What the handlers wrote down, read back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """``phase``: ``start``, ``saved`` or ``effect``; ``done``: steps that were saved by then."""

    phase: str
    job_id: str
    attempt: int
    done: int


def read_lines(path: Path) -> list[Line]:
    """In the order they were appended, over all processes."""
    if not path.exists():
        return []
    return [_line(text.split()) for text in path.read_text().splitlines()]


def _line(words: list[str]) -> Line:
    return Line(words[0], words[1], int(words[2]), int(words[3]))


def by_job(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """The lines of each job, in order."""
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[line.job_id].append(line)
    return found
